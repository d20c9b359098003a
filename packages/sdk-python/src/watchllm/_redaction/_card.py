"""Find payment card numbers in text.

A number counts as a card when its digits are grouped as cards are printed, its prefix and length
belong to an issuer, and its check digit is right.
"""

from __future__ import annotations

import re

from watchllm._redaction._iban import is_of_iban
from watchllm._redaction._issuers import LENGTHS, is_card

# What may stand between two groups of digits. Folded text has no other dash or space.
_SEPARATORS = " -._/\t\r\n"
_DIGITS = "0123456789"
_DOTS = "\u00b7\u2022\u2027\u2219\u22c5\u30fb"
# A text without twelve digits in a row, separators aside, holds no card. The first pass takes
# separators for digits, which keeps places; the second, for code and tables, leaves them out.
_MARKS = bytes(ord("0") if chr(i) in _DIGITS + _SEPARATORS else ord("x") for i in range(256))
_DELETE = _SEPARATORS.encode()
_SHORTEST, _LONGEST = 12, 19
_ENOUGH = b"0" * _SHORTEST

_RUN = re.compile(r"[0-9](?:[ \-._/\t\r\n]{0,3}[0-9]){11,}")
_GROUP = re.compile(r"[0-9]+")
# Other spellings of a space, a dash or nothing: URL, HTML, JSON and Python.
_SIGNS = ("%20", "%2D", "%2d", "&nbsp;", "&#160;", "\\u00a0", "\\u20", "\\xa0")
_ESCAPED = re.compile(
    r"(?<=[0-9])(?:%20|%2[Dd]|&nbsp;|&#160;|\\u00a0|\\u20(?:0[0-9a-f]|1[0-5]|2f|60)|\\xa0)(?=[0-9])"
)
# What is named before the number: of goods, books, telephones. Their check digits are others.
_OTHER_NUMBER = re.compile(
    r"\b(?:ean|gtin|upc|isbn|issn|imei|barcode)(?:-?1[0-9])?[ :=#\"']{0,4}\Z", re.IGNORECASE
)
_LONGEST_WORD = 16  # what is glued to a number and longer is an encoding, no word
_PLAIN = " \"'\n\t"  # beside a number, or nothing: what tells nothing of it
_HEX = frozenset("abcdefABCDEF")
_QUAD = 4  # digits in a group, and groups of a card, as most are printed
_LONGEST_LAST = 5  # digits in the group after three of four


class CardDetector:
    """Find card numbers. Linear in the length of the text."""

    kind = "credit_card"
    placeholder = "[REDACTED_CC]"
    in_labels = False

    def may_find(self, text: str) -> bool:
        """Say whether there can be a card in an ASCII text; made for texts without one."""
        if _is_escaped(text):
            return True
        data = text.encode()
        # A row of blanks or points is enough for the first look; the second takes longer.
        # From the end the search takes half the time: it leaps over what is no digit.
        return data.translate(_MARKS).rfind(_ENOUGH) >= 0 and _ENOUGH in data.translate(
            _MARKS, _DELETE
        )

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of cards in a folded text, in order and apart from each other."""
        if not text.isascii():
            for dot in _DOTS:
                if dot in text:
                    text = text.replace(dot, ".")
        return _unescaped(text) if _is_escaped(text) else _find(text)


def _is_escaped(text: str) -> bool:
    """Say whether a text has another spelling of what may stand between groups."""
    if "%" in text or "&" in text or "\\" in text:
        for sign in _SIGNS:
            if sign in text:
                return True
    return False


def _find(text: str) -> list[tuple[int, int]]:
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
            _search(text, data, run.start(), run.end(), found)
        start = marks.find(_ENOUGH, end)
    return found


def _unescaped(text: str) -> list[tuple[int, int]]:
    """Find cards whose groups are set apart by escaped characters."""
    pieces: list[str] = []
    places: list[int] = []
    done = 0
    for match in _ESCAPED.finditer(text):
        pieces += (text[done : match.start()], " ")
        places += range(done, match.start() + 1)
        done = match.end()
    pieces.append(text[done:])
    places += range(done, len(text))
    return [(places[start], places[end - 1] + 1) for start, end in _find("".join(pieces))]


def _search(text: str, data: bytes, start: int, end: int, found: list[tuple[int, int]]) -> None:
    """Add the cards in a run of digits and separators."""
    row = data[start:end]
    if row.isdigit():
        if len(row) <= _LONGEST and is_card(row):
            _add(text, start, end, grouped=False, found=found)
        return
    whole, _, fraction = row.partition(b".")
    if fraction.isdigit() and whole.isdigit():
        return
    run = _Run(text, start, end, row.translate(None, _DELETE))
    before = len(found)
    if max(run.sizes) >= _QUAD:
        run.search(found)
    run.search_small(found)
    if len(found) > before and is_of_iban(text, start, end):
        del found[before:]


class _Run:
    """Groups of digits that follow each other, and where each of them stands."""

    __slots__ = ("alike", "digits", "groups", "sizes", "text")

    def __init__(self, text: str, start: int, end: int, digits: bytes) -> None:
        self.text = text
        self.digits = digits
        self.groups = [match.span() for match in _GROUP.finditer(text, start, end)]
        self.sizes = [stop - begin for begin, stop in self.groups]
        gaps = {text[a[1] : b[0]] for a, b in zip(self.groups, self.groups[1:])}
        self.alike = len(gaps) == 1 and "\n" not in gaps.pop()

    def search(self, found: list[tuple[int, int]]) -> None:
        """Try every way in which groups can be a card."""
        sizes, digits = self.sizes, self.digits
        place = 0
        for index, size in enumerate(sizes):
            if size >= _SHORTEST:
                self._try(index, 1, place, found)
            elif size in (4, 6, 8) and LENGTHS[int(digits[place : place + 4])]:
                for count in _shapes(sizes, index):
                    if self._try(index, count, place, found):
                        break
            place += size

    def search_small(self, found: list[tuple[int, int]]) -> None:
        """Take digits typed one by one in a row, or a whole run in twos or threes, for a card.

        Trying each part of a row would find cards in any page of small numbers.
        """
        sizes = self.sizes
        index = place = 0
        while index < len(sizes):
            size = sizes[index]
            count = 1
            while index + count < len(sizes) and sizes[index + count] == size:
                count += 1
            total = size * count
            if index == 0 and size < _QUAD and count == len(sizes) - 1 and sizes[-1] < size:
                total += sizes[-1]
                count += 1
            if (size == 1 or (size < _QUAD and count == len(sizes))) and total >= _SHORTEST:
                self._try(index, count, place, found)
            index += count
            place += total

    def _try(self, index: int, count: int, place: int, found: list[tuple[int, int]]) -> bool:
        """Add so many groups if they are a card, and are set apart in one way."""
        total = sum(self.sizes[index : index + count])
        if total > _LONGEST or not is_card(self.digits[place : place + total]):
            return False
        window = self.groups[index : index + count]
        if count > 1 and not self.alike and not self._is_even(window):
            return False
        return _add(self.text, window[0][0], window[-1][1], grouped=count > 1, found=found)

    def _is_even(self, window: list[tuple[int, int]]) -> bool:
        """Say whether all gaps are alike; one of them may be the end of a line."""
        text = self.text
        first = ""
        lines = 0
        for (_, stop), (begin, _) in zip(window, window[1:]):
            gap = text[stop:begin]
            if "\n" in gap:
                lines += 1
            elif gap != (first or gap):
                return False
            else:
                first = gap
        return lines <= 1


def _shapes(sizes: list[int], index: int) -> list[int]:
    """Return how many groups from here on can be one card, as cards are printed, longest first."""
    if sizes[index] == _QUAD:
        fours = 1
        while fours < _QUAD and sizes[index + fours : index + fours + 1] == [_QUAD]:
            fours += 1
        rest = sizes[index + fours] if index + fours < len(sizes) else 0
        if fours == _QUAD:
            return [5, 4] if 0 < rest < _QUAD else [4]
        if fours == _QUAD - 1:
            return [4] if 0 < rest <= _LONGEST_LAST else [3]
        if sizes[index + 1 : index + 3] in ([6, 5], [6, 4], [5, 6]):
            return [3]
    elif sizes[index : index + 2] in ([6, 13], [8, 8], [6, 10]):
        return [2]
    return []


def _add(text: str, start: int, end: int, *, grouped: bool, found: list[tuple[int, int]]) -> bool:
    if _is_part_of_more(text, start, end, grouped=grouped):
        return False
    if not grouped and _OTHER_NUMBER.search(text, max(0, start - _LONGEST_WORD), start):
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
    if before in _PLAIN and after in _PLAIN:
        return False
    joined = text[max(0, start - 6) : start - 1] if before in ("-", ".") else ""
    if before == "." and joined[-1:].isdigit():
        return True  # of a fraction; "Thanks.4111..." is a word before a card
    # The end of a UUID; "ref-4111..." is a word before a card.
    if before == "-" and joined[-1:].isalnum() and (grouped or any(map(str.isdigit, joined))):
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
