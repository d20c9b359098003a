"""What the columns hold of an event's error, which is among its attributes as JSON.

The server fills them in, once for each error: the engine would have to take every event's JSON
apart, and to look for what varies in every message each time that errors are asked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from watchllm_server.rows import Columns

_LONGEST: Final = 500
_NAME: Final = '"error":'
# What varies between two errors of one kind: UUIDs, hexadecimal numbers, long runs of hexadecimal
# digits, and numbers with their decimals.
_VARIABLE: Final = re.compile(
    r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b0x[0-9a-f]+\b"
    r"|\b[0-9a-f]{8,}\b|\d+(?:[.,:]\d+)*",
    re.ASCII | re.IGNORECASE,
)


class _Error(msgspec.Struct, gc=False):
    message: str = ""
    type: str | None = None


class _Attributes(msgspec.Struct, gc=False):
    error: _Error


_read = msgspec.json.Decoder(_Attributes).decode


def fill_error_columns(columns: Columns) -> None:
    """Set what the columns of an event say of its error, when it has one."""
    attributes = columns.attributes
    if not isinstance(attributes, str) or _NAME not in attributes:
        return
    try:
        error = _read(attributes).error
    except msgspec.DecodeError:
        # An event of a type that we do not know may call something else an error.
        return
    columns.error_type = error.type or ""
    columns.error_message = error.message[:_LONGEST]
    columns.error_pattern = pattern_of(columns.error_message)


def pattern_of(message: str) -> str:
    """Return a message with # for what varies between two errors of one kind."""
    return _VARIABLE.sub("#", message)
