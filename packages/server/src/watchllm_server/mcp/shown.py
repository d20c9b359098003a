"""Answers as an assistant is shown them: no longer than it can read."""

from __future__ import annotations

from typing import Any, Final

import msgspec

MOST_CHARACTERS: Final = 40_000
"""How long an answer may be: some ten thousand tokens."""

# Texts and lists are cut at the first of these that makes the answer short enough.
_WIDTHS: Final = ((8_000, 1_000), (2_000, 200), (500, 100), (120, 100), (40, 20))
_MOST_LEVELS: Final = 20


def shown(answer: dict[str, Any]) -> str | None:
    """Return an answer as JSON, its long texts and lists cut; None where that is not enough.

    What is cut says how much is missing.
    """
    for characters, items in _WIDTHS:
        text = msgspec.json.encode(_cut(answer, characters, items, _MOST_LEVELS)).decode()
        if len(text) <= MOST_CHARACTERS:
            return text
    return None


def _cut(value: Any, characters: int, items: int, levels: int) -> Any:
    if isinstance(value, str):
        more = len(value) - characters
        return value if more <= 0 else f"{value[:characters]} [and {more:,} more characters]"
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return "[too deep to show]"
    more = len(value) - items
    if isinstance(value, list):
        few = [_cut(item, characters, items, levels - 1) for item in value[:items]]
        return few if more <= 0 else [*few, f"[and {more:,} more]"]
    return {name: _cut(item, characters, items, levels - 1) for name, item in value.items()}
