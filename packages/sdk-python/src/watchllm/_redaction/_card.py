"""Find card numbers: digits in plausible groups, of a known issuer, with a right check digit."""

from __future__ import annotations

import re

# A run of digits with at most one space or dash between two of them. It starts with a digit and
# has no alternatives, so the search is linear.
_run = re.compile(r"[0-9](?:[ -]?[0-9]){11,}")
_group = re.compile(r"[0-9]+")
_token = re.compile(r"[0-9A-Za-z+/-]*")
_uuid = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_hex = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_iban = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]){11,30}")

# First digits (as a range) and lengths, by the issuers' published ranges (ISO/IEC 7812).
_ISSUERS = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),  # Mastercard
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("300", "305", (14, 16, 17, 18, 19)),  # Diners Club
    ("3095", "3095", (14, 16, 17, 18, 19)),
    ("36", "36", (14, 15, 16, 17, 18, 19)),
    ("38", "39", (14, 16, 17, 18, 19)),
    ("6011", "6011", (16, 17, 18, 19)),  # Discover
    ("644", "649", (16, 17, 18, 19)),
    ("65", "65", (16, 17, 18, 19)),
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("1800", "1800", (15,)),  # JCB, old
    ("2131", "2131", (15,)),
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("81", "81", (16,)),  # UnionPay, RuPay
    ("60", "60", (16,)),  # RuPay
    ("82", "82", (16,)),
    ("508", "508", (16,)),
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("50", "50", (13, 14, 15, 16, 17, 18, 19)),  # Maestro, Elo
    ("56", "58", (13, 14, 15, 16, 17, 18, 19)),
    ("61", "61", (13, 14, 15, 16, 17, 18, 19)),
    ("63", "63", (13, 14, 15, 16, 17, 18, 19)),
    ("66", "69", (13, 14, 15, 16, 17, 18, 19)),
    ("67", "67", (12,)),
)
_GROUPINGS = frozenset(
    {
        (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 5), (4, 4, 4, 1), (4, 4, 4, 2), (4, 4, 4, 3),
        (4, 4, 4), (4, 5, 6), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (6, 13), (8, 8),
        (6, 4, 6), (4, 3, 3, 3), (4, 4, 7), (4, 8, 4), (4, 6, 6), (3, 4, 4, 4), (4, 5, 4),
        (4, 4, 4, 7), (6, 4, 4, 4),
    }
)  # fmt: skip
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_SHORTEST, _LONGEST = 12, 19
_SHORTEST_IBAN = 15
_BASE64 = 32  # characters of mixed case that are taken for encoded data


def is_card(digits: str) -> bool:
    """Say whether a known issuer gives out such numbers and the check digit is right (Luhn)."""
    length = len(digits)
    for first, last, lengths in _ISSUERS:
        if first <= digits[: len(first)] <= last and length in lengths:
            total = sum(map(int, digits[-1::-2]))
            total += sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])
            return total % 10 == 0
    return False


class CardDetector:
    """Replace card numbers in text. Linear in the length of the text."""

    kind = "credit_card"
    placeholder = "[REDACTED_CC]"
    in_labels = False

    def replace(self, text: str) -> tuple[str, int]:
        """Return the text with every card number replaced, and how many there were."""
        run = _run.search(text)
        if run is None:
            return text, 0
        pieces: list[str] = []
        done = 0
        while run is not None:
            for start, end in self._cards(text, run.start(), run.end()):
                pieces += (text[done:start], self.placeholder)
                done = end
            run = _run.search(text, run.end())
        return ("".join((*pieces, text[done:])), len(pieces) // 2) if pieces else (text, 0)

    def _cards(self, text: str, start: int, end: int) -> list[tuple[int, int]]:
        """Return the spans of the cards in one run of digits and separators."""
        groups = [found.span() for found in _group.finditer(text, start, end)]
        # Digit by digit: more single digits than a card has are a list of numbers.
        spaced = all(stop - begin == 1 for begin, stop in groups)
        if spaced and len(groups) > _LONGEST:
            return []
        cards: list[tuple[int, int]] = []
        first = 0
        while first < len(groups):
            found = self._from(text, groups, first, spaced=spaced)
            if found > first and not _is_part_of_something_else(
                text, groups[first][0], groups[found - 1][1]
            ):
                cards.append((groups[first][0], groups[found - 1][1]))
                first = found
            else:
                first += 1
        return cards

    @staticmethod
    def _from(text: str, groups: list[tuple[int, int]], first: int, *, spaced: bool) -> int:
        """Return the group after the longest card that starts with `first`; `first` if none."""
        digits = ""
        shape: tuple[int, ...] = ()
        best = first
        separator = ""
        for index in range(first, len(groups)):
            here, stop = groups[index]
            if index > first:
                between = text[groups[index - 1][1] : here]
                separator = separator or between
                if between != separator:
                    break
            digits += text[here:stop]
            shape += (stop - here,)
            if len(digits) > _LONGEST:
                break
            plausible = len(shape) == 1 or spaced or shape in _GROUPINGS
            if len(digits) >= _SHORTEST and plausible and is_card(digits):
                best = index + 1
        return best


def _is_part_of_something_else(text: str, start: int, end: int) -> bool:
    """Say whether these digits belong to a fraction, a UUID, a hash, base64 text or an IBAN."""
    before, after = text[max(start - 64, 0) : start], text[end : end + 64]
    if before[-1:] == "." and before[-2:-1].isdigit():
        return True
    left = _token.match(before[::-1])
    right = _token.match(after)
    left_part = before[len(before) - left.end() :] if left else ""
    right_part = after[: right.end()] if right else ""
    token = left_part + text[start:end] + right_part
    for found in _uuid.finditer(token):
        if found.start() <= len(left_part) and found.end() >= len(token) - len(right_part):
            return True
    if left_part[-2:].lower() == "0x":
        return True
    if left_part[-1:].isalpha() and right_part[:1].isalpha():
        around = left_part + right_part
        mixed = around != around.lower() and around != around.upper()
        if _hex.fullmatch(token) or (mixed and len(token) >= _BASE64):
            return True
    return any(
        found.start() < len(before) + end - start and _checks_out(found.group())
        for found in _iban.finditer(before + text[start:end] + after)
    )


def _checks_out(iban: str) -> bool:
    """Say whether an IBAN's check digits are right (ISO 7064, MOD 97-10), ends of lines aside."""
    groups = iban.split(" ")
    for last in range(len(groups), max(len(groups) - 3, 0), -1):
        number = "".join(groups[:last])
        if (
            len(number) >= _SHORTEST_IBAN
            and int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1
        ):
            return True
    return False
