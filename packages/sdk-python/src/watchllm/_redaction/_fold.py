"""Fold text to the letters, digits and marks that the detectors read.

People write numbers and addresses in full-width digits, with no-break spaces, long dashes and
characters of no width. The detectors read a folded copy, and its spans are mapped back, so that
whatever is not personal stays as it was.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

# What is read as a dash, a space or the end of a line: a category of Unicode, and more characters.
_ALIKE = {"-": ("Pd", "\u2212\u2043\u02d7"), " ": ("Zs", ""), "\n": ("Zl", "\x85\u2029")}
# Of no width, and no format characters to Unicode: joiners, fillers and variation selectors.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u3164\ufe0e\ufe0f\uffa0")
_WIDE = frozenset(map(chr, (*range(0xFF01, 0xFF5F), *range(0xFE50, 0xFE6C))))
_MARKS = frozenset("@.-_+%()[]")


class _Folded(dict):  # type: ignore[type-arg] # 3.8 cannot subscript it at run time
    """What each character is read as, by code point; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _read_as(chr(code))
        return folded


def _read_as(char: str) -> str:
    """Return the ASCII character that this one stands for, nothing for an invisible one."""
    import unicodedata

    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.digit(char))
    if category == "Cf" or char in _INVISIBLE:
        return ""
    for stands_for, alike in _ALIKE.items():
        if category == alike[0] or char in alike[1]:
            return stands_for
    if char in _WIDE:
        plain = unicodedata.normalize("NFKC", char)
        if plain.isalnum() or plain in _MARKS:
            return plain
    return char


_folded = _Folded()


def fold(text: str) -> tuple[str, Sequence[int] | None]:
    """Return the text as detectors read it, and where each of its characters stood.

    The second is None where nothing was left out, so that both have the same positions.
    """
    changed = {char for char in set(text) if char > "\x7f" and _folded[ord(char)] != char}
    if not changed:
        return text, None
    folded = "".join([_folded[ord(char)] if char in changed else char for char in text])
    if len(folded) == len(text):
        return folded, None
    kept = [at for at, char in enumerate(text) if char not in changed or _folded[ord(char)]]
    return folded, kept
