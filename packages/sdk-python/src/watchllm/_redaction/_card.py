"""Find payment card numbers in text.

A number counts as a card when its digits are grouped as cards are printed, its prefix and length
belong to an issuer, and its check digit is right (Luhn, ISO/IEC 7812-1). Prefixes and lengths are
those that the issuers publish.
"""

from __future__ import annotations

import re

from watchllm._redaction._iban import is_of_iban

# What may stand between two groups of digits. Folded text has no other dash or space.
_SEPARATORS = " -.\t\r\n"
_DIGITS = "0123456789"
# A text without twelve digits in a row, separators aside, holds no card. The first pass takes
# separators for digits, which keeps places; the second, for code and tables, leaves them out.
_MARKS = bytes(ord("0") if chr(i) in _DIGITS + _SEPARATORS else ord("x") for i in range(256))
_DELETE = _SEPARATORS.encode()
_SHORTEST, _LONGEST = 12, 19
_ENOUGH = b"0" * _SHORTEST

_RUN = re.compile(r"[0-9](?:[ \-.\t\r\n]{0,3}[0-9]){11,}")
_LONGEST_WORD = 16  # what is glued to a number and longer is an encoding, no word
_HEX = frozenset("abcdefABCDEF")
_QUAD = 4  # digits in a group, and groups of a card, as most are printed
_LONGEST_LAST = 5  # digits in the group after three of four
_GROUP = re.compile(r"[0-9]+")
_DOUBLED = str.maketrans("0123456789", "0246813579")

# (first prefix, last prefix, lengths): a number of any of them counts.
_ISSUERS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("300", "305", (14, 16)),  # Diners Club
    ("3095", "3095", (14, 16)),
    ("36", "36", (14, 16)),
    ("38", "39", (14, 16)),
    ("6011", "6011", (16, 19)),  # Discover
    ("644", "659", (16, 19)),
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("35", "35", (16,)),  # from which made-up numbers of theirs are drawn
    ("1800", "1800", (15,)),
    ("2131", "2131", (15,)),
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("81", "81", (16,)),  # UnionPay, RuPay
    ("5018", "5018", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("5020", "5020", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("5038", "5038", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("5893", "5893", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("6304", "6304", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("6759", "6763", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("67", "67", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("56", "58", (16,)),
    ("6390", "6390", (16, 17, 18, 19)),
    ("5019", "5019", (16,)),  # Dankort
    ("2200", "2205", (16, 17, 18, 19)),  # Mir, Borica
    ("60", "60", (16,)),  # RuPay, Hipercard
    ("508", "508", (16,)),
    ("82", "82", (16,)),
    ("5041", "5041", (16,)),  # Elo
    ("5066", "5067", (16,)),
    ("509", "509", (16,)),
    ("6277", "6277", (16,)),
    ("6362", "6363", (16,)),
    ("5060", "5061", (16, 18, 19)),  # Verve
    ("637", "639", (16,)),  # InstaPayment, Hiper
    ("9792", "9792", (16,)),  # Troy
    ("9860", "9860", (16,)),  # Humo
    ("8600", "8600", (16,)),  # Uzcard
)


def _masks() -> list[int]:
    """Return, for each first four digits, the lengths that an issuer gives them, as bits."""
    masks = [0] * 10_000
    for low, high, lengths in _ISSUERS:
        bits = sum(1 << length for length in lengths)
        for prefix in range(int((low + "000")[:4]), int((high + "999")[:4]) + 1):
            masks[prefix] |= bits
    return masks


_LENGTHS = _masks()


def is_card(digits: str) -> bool:
    """Say whether so many digits are a card: an issuer's prefix and length, and the check digit."""
    if not _LENGTHS[int(digits[:4])] >> len(digits) & 1:
        return False
    plain, doubled = digits[-1::-2], digits[-2::-2].translate(_DOUBLED)
    return not sum(map(int, plain + doubled)) % 10


class CardDetector:
    """Find card numbers. Linear in the length of the text."""

    kind = "credit_card"
    placeholder = "[REDACTED_CC]"
    in_labels = False

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of cards in a folded text, in order and apart from each other."""
        found: list[tuple[int, int]] = []
        data = text.encode("latin-1", "replace")
        marks = data.translate(_MARKS)
        start = marks.find(_ENOUGH)
        if start < 0 or _ENOUGH not in data.translate(_MARKS, _DELETE):
            return found
        while start >= 0:
            end = marks.find(b"x", start)
            if end < 0:
                end = len(marks)
            for run in _RUN.finditer(text, start, end):
                _search(text, run.start(), run.end(), found)
            start = marks.find(_ENOUGH, end)
        return found


def _search(text: str, start: int, end: int, found: list[tuple[int, int]]) -> None:
    """Add the cards in a run of digits and separators."""
    digits = text[start:end]
    if digits.isdigit():
        if len(digits) <= _LONGEST and is_card(digits):
            _add(text, start, end, grouped=False, found=found)
        return
    whole, _, fraction = digits.partition(".")
    if not (fraction.isdigit() and whole.isdigit()):
        _search_run(text, start, end, found)


def _search_run(text: str, start: int, end: int, found: list[tuple[int, int]]) -> None:
    """Try every way in which groups of digits that follow each other can be a card."""
    groups = [match.span() for match in _GROUP.finditer(text, start, end)]
    sizes = [stop - begin for begin, stop in groups]
    if max(sizes) < _QUAD:
        # Typed digit by digit or in twos and threes: a card only if the run is nothing else,
        # which also keeps a page of small numbers linear.
        if len(set(sizes[:-1])) == 1 and sum(sizes) <= _LONGEST:
            _try(text, groups, found)
        return
    before = len(found)
    for index, size in enumerate(sizes):
        if size >= _SHORTEST:
            if size <= _LONGEST:
                _try(text, groups[index : index + 1], found)
        elif size in (4, 6, 8) and _LENGTHS[int(text[groups[index][0] : groups[index][0] + 4])]:
            for count in _shapes(sizes, index):
                if _try(text, groups[index : index + count], found):
                    break
    if len(found) > before and is_of_iban(text, start, end):
        del found[before:]


def _shapes(sizes: list[int], index: int) -> list[int]:
    """Return how many groups from here on can be one card, as cards are printed, longest first."""
    if sizes[index] == _QUAD:
        fours = 1
        while fours < _QUAD and sizes[index + fours : index + fours + 1] == [4]:
            fours += 1
        rest = sizes[index + fours] if index + fours < len(sizes) else 0
        if fours == _QUAD:
            return [5, 4] if 0 < rest < _QUAD else [4]
        if fours == _QUAD - 1 and 0 < rest <= _LONGEST_LAST:
            return [4]
        if sizes[index + 1 : index + 3] in ([6, 5], [6, 4], [5, 6]):
            return [3]
    elif sizes[index : index + 2] in ([6, 13], [8, 8], [6, 10]):
        return [2]
    return []


def _try(text: str, window: list[tuple[int, int]], found: list[tuple[int, int]]) -> bool:
    """Add the groups if they are a card whose groups are set apart in one way."""
    digits = "".join([text[begin:stop] for begin, stop in window])
    if not _SHORTEST <= len(digits) <= _LONGEST or not is_card(digits):
        return False
    gaps = [text[a[1] : b[0]] for a, b in zip(window, window[1:])]
    lines = sum("\n" in gap for gap in gaps)
    if lines > 1 or len({gap for gap in gaps if "\n" not in gap}) > 1:
        return False
    return _add(text, window[0][0], window[-1][1], grouped=len(window) > 1, found=found)


def _add(text: str, start: int, end: int, *, grouped: bool, found: list[tuple[int, int]]) -> bool:
    if _is_part_of_more(text, start, end, grouped=grouped):
        return False
    if found and start < found[-1][1]:
        # Two readings of one row of groups: what either takes for a card goes.
        found[-1] = (found[-1][0], max(end, found[-1][1]))
    else:
        found.append((start, end))
    return True


def _is_part_of_more(text: str, start: int, end: int, *, grouped: bool) -> bool:
    """Say whether the digits belong to a fraction, a hexadecimal number, a UUID or an encoding."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if before in ("-", ".") and text[max(0, start - 2) : start - 1].isalnum():
        # The end of a fraction or of a UUID; "ref-4111..." is a word before a card.
        joined = text[max(0, start - 6) : start - 1]
        if before == "." or grouped or any(char.isdigit() for char in joined):
            return True
    following = text[end + 1 : end + 2]
    if not grouped and (
        (after == "." and following.isdigit()) or (after == "-" and following.isalnum())
    ):
        return True
    return not _is_word(_glued_before(text, start), _glued_after(text, end))


def _glued_before(text: str, start: int) -> str:
    begin = start
    while begin and start - begin < _LONGEST_WORD and text[begin - 1].isalnum():
        begin -= 1
    return text[begin:start]


def _glued_after(text: str, end: int) -> str:
    stop = end
    while stop - end < _LONGEST_WORD and text[stop : stop + 1].isalnum():
        stop += 1
    return text[end:stop]


def _is_word(*glued: str) -> bool:
    """Say whether what is glued to the digits is nothing, a word, or of another script.

    "card4111..." and "4111...USD" hold a card; "a4111...f9" is a hash.
    """
    parts = [part for part in glued if part and part.isascii()]
    if any(not part.isalpha() or len(part) >= _LONGEST_WORD for part in parts):
        return False
    return not parts or not _HEX.issuperset("".join(parts))
