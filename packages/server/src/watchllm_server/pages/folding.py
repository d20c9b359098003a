"""JSON in parts that fold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from watchllm_server.jsontext import is_deeper_than
from watchllm_server.pages.words import Words, words

_MOST: Final = 300
_LEVELS: Final = 12
_OPEN: Final = 30


@dataclass(slots=True)
class Fold:
    """A value of JSON: an object or a list with its parts, or a plain value."""

    name: str
    """Its name in the object that it is part of, or its number in the list."""
    kind: str
    """object, list, text or value."""
    summary: str
    """Of an object or a list: how much it has, such as `3 fields`."""
    words: Words | None = None
    """Of a plain value."""
    parts: list[Fold] = field(default_factory=list)
    open: bool = False


def fold(raw: bytes, *, whole: bool = False) -> Fold | Words:
    """Return JSON that folds; as indented text when it is too large or too deep for that.

    Small values are open, and the text has every digit that was sent. Unless `whole`, a long text
    is only its beginning.
    """
    if not is_deeper_than(_LEVELS, raw):
        try:
            value = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return words(raw.decode(errors="replace"), formatted=False, whole=whole)
        budget = [_MOST]
        found = _fold("", value, budget, whole=whole)
        if budget[0] >= 0 and isinstance(value, dict | list):
            _open(found, many=_MOST - budget[0] > _OPEN)
            return found
    return words(indented(raw), formatted=False, whole=whole)


def indented(raw: bytes) -> str:
    """Return JSON with a value a line and every digit that was sent."""
    try:
        return msgspec.json.format(raw, indent=2).decode(errors="replace")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw.decode(errors="replace")


def _fold(name: str, value: Any, budget: list[int], *, whole: bool) -> Fold:
    budget[0] -= 1
    if budget[0] < 0:
        return Fold(name, "value", "")
    if isinstance(value, dict):
        parts = [_fold(str(key), each, budget, whole=whole) for key, each in value.items()]
        return Fold(name, "object", _many(len(parts), "field"), parts=parts)
    if isinstance(value, list):
        parts = [_fold(str(number), each, budget, whole=whole) for number, each in enumerate(value)]
        return Fold(name, "list", _many(len(parts), "item"), parts=parts)
    if isinstance(value, str):
        return Fold(name, "text", "", words(value, formatted=False, whole=whole))
    return Fold(name, "value", "", words(msgspec.json.encode(value).decode(), formatted=False))


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _open(found: Fold, *, many: bool) -> None:
    """Open what is outermost, and all within a small value."""
    found.open = True
    if not many:
        for part in found.parts:
            _open(part, many=False)
