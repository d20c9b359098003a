"""Values of attributes: how they are taken, read, and kept within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from watchllm_server.ingest.otlp.span import Attributes

MAX_ATTRIBUTES: Final = 128
MAX_TEXT: Final = 16_000
_MAX_ALL: Final = 64_000
_MAX_NAME: Final = 256


def bounded(attributes: Attributes) -> tuple[Attributes, int]:
    """Return at most 128 attributes and 64,000 characters of them, and how many were left out.

    A longer text is cut and says so; a longer list or object becomes such a text.
    """
    kept: Attributes = {}
    size = 0
    for name, value in attributes.items():
        if len(kept) == MAX_ATTRIBUTES:
            break
        short, length = _short(value)
        size += len(name) + length
        if size > _MAX_ALL:
            break
        kept[name[:_MAX_NAME]] = short
    return kept, len(attributes) - len(kept)


def _short(value: Any) -> tuple[Any, int]:
    if isinstance(value, str):
        return cut(value), min(len(value), MAX_TEXT)
    if not isinstance(value, list | dict):
        return value, 8
    text = msgspec.json.encode(value)
    if len(text) <= MAX_TEXT:
        return value, len(text)
    return cut(text.decode()), MAX_TEXT


def cut(text: str) -> str:
    """Return a text of at most 16,000 characters and a mark that says how many there were."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… [{len(text):,} characters]"


def first(attributes: Attributes, *names: str) -> Any:
    """Take all attributes of these names, and return the first that has a value."""
    found = None
    for name in names:
        value = attributes.pop(name, None)
        if found is None and value is not None and value != "":
            found = value
    return found


def given(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that say something."""
    return {name: value for name, value in fields.items() if value or value == 0}
