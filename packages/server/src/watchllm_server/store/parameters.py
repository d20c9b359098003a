"""Query parameters in the escaped text form that ClickHouse reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchllm_server.store.base import Value

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t"})
_QUOTED = str.maketrans({"\\": "\\\\", "'": "\\'"})


def format_parameters(values: Mapping[str, Value]) -> dict[str, str]:
    """Return values as the engine's `params` expect them; what comes back is what went in.

    Text is escaped, because the engine silently reinterprets pairs with a backslash.
    """
    return {name: _format(value) for name, value in values.items()}


def _format(value: Value) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, Sequence):
        return "[" + ",".join(f"'{item.translate(_QUOTED)}'" for item in value) + "]"
    return str(value)
