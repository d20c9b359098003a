"""Read a text folded, and replace in the text as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchllm._redaction._fold import fold

if TYPE_CHECKING:
    from typing import Callable


def replace(
    text: str, find: Callable[[str], list[tuple[int, int]]], placeholder: str
) -> tuple[str, int]:
    """Return the text with every finding replaced, and how many there were.

    `find` gets the folded text and returns spans in it, in order and apart from each other.
    """
    folded, places = (text, None) if text.isascii() else fold(text)
    spans = find(folded)
    if not spans:
        return text, 0
    pieces: list[str] = []
    done = 0
    for start, end in spans:
        if places is not None:
            start, end = places[start], places[end - 1] + 1  # noqa: PLW2901 - where it really stands
        pieces += (text[done:start], placeholder)
        done = end
    pieces.append(text[done:])
    return "".join(pieces), len(spans)
