"""Find international bank account numbers (ISO 13616).

A number counts when its length is that of its country in the IBAN registry and its check digits are
right (ISO 7064, MOD 97-10), so it needs no context.
"""

from __future__ import annotations

import re

from watchllm._redaction._marks import Marks

_START = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?=[ \-]?[0-9A-Za-z])")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARKS = Marks({"a": _LETTERS, "0": "0123456789"}, ("xaa00",))
_LONGEST = 34
_LONGEST_START = 6  # country, check digits, and what follows them
_LONGEST_HEAD = 16  # those, and the letters of a bank
_LONGEST_WRITTEN = 2 * _LONGEST
_SEPARATORS = " -"

# Lengths by country, of the registry that SWIFT keeps, and of countries that use the form.
_BY_LENGTH = {
    15: "NO",
    16: "BE",
    18: "DK FI FK GL NL SD FO",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH CR HR LI LV",
    22: "BG BH DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ DZ ES MD PK RO SA SE SK TN VG",
    25: "AO CV GW LY MZ PT ST",
    26: "IR IS TR",
    27: "BF BI CF CG CM DJ FR GA GQ GR IT KM MC MG MR SM TD",
    28: "AL AZ BJ BY CI CY DO GT HN HU LB MA ML NE NI PL SN SV TG",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_LENGTHS = {
    country: length for length, countries in _BY_LENGTH.items() for country in countries.split()
}


class IbanDetector:
    """Find account numbers. Linear in the length of the text."""

    kind = "iban"
    placeholder = "[REDACTED_IBAN]"
    in_labels = False

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of account numbers in a folded text, in order and apart."""
        found: list[tuple[int, int]] = []
        # With a space before, the first word begins like all others: after what is no letter.
        for begin in _MARKS.places(f" {text}"):
            end = 0 if found and begin < found[-1][1] else iban_end(text, begin)
            if end:
                found.append((begin, end))
        return found


def iban_end(text: str, start: int) -> int:
    """Return where the account number that starts here ends; 0 if there is none."""
    length = _LENGTHS.get(text[start : start + 2].upper(), 0)
    number = ""
    end = start
    for char in text[start : start + _LONGEST_WRITTEN] if length else "":
        if char.isalnum() and char.isascii():
            number += char
        elif char not in _SEPARATORS or text[end - 1] in _SEPARATORS:
            break
        end += 1
        if len(number) == length:
            glued = text[end : end + 1]
            turned = number[4:] + number[:4]
            right = not (glued.isalnum() and glued.isascii()) and (
                int("".join([str(int(digit, 36)) for digit in turned])) % 97 == 1
            )
            return end if right else 0
    return 0


def is_of_iban(text: str, start: int, end: int) -> bool:
    """Say whether the digits of a span are of an account number that starts before it."""
    least = max(0, start - _LONGEST_HEAD)
    return any(
        iban_end(text, found.start()) >= end
        for found in _START.finditer(text, least, start + _LONGEST_START)
    )
