"""Find social security numbers of the USA: three, two and four digits.

Numbers with dashes count wherever they stand; with spaces or without anything between them only
after words that announce one.
"""

from __future__ import annotations

import re

from watchllm._redaction._marks import Marks

_DASHED = re.compile(r"[0-9]{3}-[0-9]{2}-[0-9]{4}")
_ANNOUNCED = re.compile(
    r"(?:\bssns?\b|social[ _\-]?security|\bitin\b|tax(?:payer)?[ _\-]?id)[^0-9\n]{0,20}"
    r"([0-9]{3}[ .]?[0-9]{2}[ .]?[0-9]{4})",
    re.IGNORECASE,
)
_MARKS = Marks({"0": "0123456789"}, ("0" * 9,), leave_out=" .-")
_NO_AREA, _NO_GROUP, _NO_SERIAL = ("000", "666"), "00", "0000"  # never given out


class SsnDetector:
    """Find social security numbers. Linear in the length of the text."""

    kind = "ssn"
    placeholder = "[REDACTED_SSN]"
    in_labels = False

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of numbers in a folded text, in order and apart from each other."""
        if not _MARKS.in_text(text):
            return []
        found = [match.span() for match in _DASHED.finditer(text) if _is_ssn(text, *match.span())]
        lower = text.lower()
        if "ssn" in lower or "social" in lower or "itin" in lower or "tax" in lower:
            announced = [match.span(1) for match in _ANNOUNCED.finditer(text)]
            found += [span for span in announced if _is_ssn(text, *span)]
            found.sort()
        return found


def _is_ssn(text: str, start: int, end: int) -> bool:
    """Say whether the digits are a possible number, and not a part of more."""
    digits = [char for char in text[start:end] if char.isdigit()]
    area, group, serial = "".join(digits[:3]), "".join(digits[3:5]), "".join(digits[5:])
    if area in _NO_AREA or group == _NO_GROUP or serial == _NO_SERIAL:
        return False
    before, after = text[start - 1 : start], text[end : end + 1]
    if before.isdigit() or before in ("-", "_") or after.isalnum() or after == "_":
        return False
    return not (after == "-" and text[end + 1 : end + 2].isalnum())
