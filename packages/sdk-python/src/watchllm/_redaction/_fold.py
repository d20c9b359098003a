"""Fold text to the letters, digits and marks that the detectors read.

People write numbers and addresses in full-width digits, with no-break spaces, long dashes and
characters of no width. The detectors read a folded copy, and its spans are mapped back, so that
whatever is not personal stays as it was.
"""

from __future__ import annotations

import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Sequence

# What is read as a dash, a space or the end of a line: a category of Unicode, and more characters.
_ALIKE = {"-": ("Pd", "\u2212\u2043\u02d7"), " ": ("Zs", ""), "\n": ("Zl", "\x85\u2029")}
# Of no width, and no format characters to Unicode: joiners, fillers and variation selectors.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u3164\ufe0e\ufe0f\uffa0")
_WIDE = frozenset(map(chr, (*range(0xFF01, 0xFF5F), *range(0xFE50, 0xFE6C))))
_MARKS = frozenset("@.-_+%()[]")
_ASCII = bytes(range(128))
MANY = 16  # different characters, from where one pass costs less than one for each


class _Folded(dict):  # type: ignore[type-arg] # 3.8 cannot subscript it at run time
    """What each character is read as, by code point; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _read_as(chr(code))
        return folded


def _read_as(char: str) -> str:
    """Return the ASCII character that this one stands for, nothing for an invisible one."""
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


def fold(text: str) -> tuple[str, Collection[str] | None]:
    """Return the text as detectors read it, and which characters were left out of it.

    The second is None where none was, so that both have the same positions.
    """
    # Without its ASCII a text is short, whatever its size: this is no look at each character.
    odd = text.encode("utf-8", "surrogatepass").translate(None, _ASCII)
    found = set(odd.decode("utf-8", "surrogatepass"))
    changed = {char: _folded[ord(char)] for char in found}
    changed = {char: plain for char, plain in changed.items() if plain != char}
    if not changed:
        return text, None
    if len(changed) > MANY:
        folded = text.translate({ord(char): plain for char, plain in changed.items()})
    else:
        folded = text
        for char, plain in changed.items():
            folded = folded.replace(char, plain)
    if len(folded) == len(text):
        return folded, None
    return folded, [char for char, plain in changed.items() if not plain]


def places(text: str, left_out: Collection[str]) -> Sequence[int]:
    """Return where each character of the folded text stood, of which some were left out."""
    return [at for at, char in enumerate(text) if char not in left_out]
