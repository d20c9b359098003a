"""A copy of arguments, for a function may change what it is given before its step is logged."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_NODES = 10_000
DEEPEST = 64


def snapshot(value: Any) -> Any:
    """Return a copy of dicts, lists, tuples and sets, and of those within; all else as it is.

    Containers deeper than 64 levels or beyond the first 10,000 values are not copied either.
    """
    return _copy(value, [MOST_NODES], DEEPEST)


def _copy(value: Any, left: list[int], depth: int) -> Any:
    kind = type(value)
    left[0] -= 1
    if kind not in _CONTAINERS or left[0] < len(value) or not depth:
        return value
    if kind is dict:
        return {key: _copy(item, left, depth - 1) for key, item in value.items()}
    if kind is list:
        return [_copy(item, left, depth - 1) for item in value]
    if kind is tuple:
        return tuple(_copy(item, left, depth - 1) for item in value)
    return value.copy()


_CONTAINERS = frozenset((dict, list, tuple, set))
