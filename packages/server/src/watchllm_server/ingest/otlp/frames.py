"""The frame of a protobuf message, walked without building the message.

A message of two bytes a field grows some thirtyfold when it is parsed. So an export is walked down
to its spans, and each is parsed alone; a large one is measured first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Schema: TypeAlias = "Mapping[int, Schema]"
"""The fields of a message that are messages themselves, by number."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_SHIFT = 63

_value: dict[int, Schema] = {}
_pair: Final[Schema] = {2: _value}
_value |= {5: {1: _value}, 6: {1: _pair}}
SPAN: Final[Schema] = {9: _pair, 11: {3: _pair}, 13: {4: _pair}, 15: {}}
RESOURCE: Final[Schema] = {1: _pair}
SCOPE: Final[Schema] = {3: _pair}


class BrokenFrameError(ValueError):
    """The bytes are no protobuf message."""


def parts(body: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each field of a message that holds bytes.

    Raises BrokenFrameError; groups, which OTLP does not have, count as broken.
    """
    at = start
    while at < end:
        tag, at = _varint(body, at, end)
        wire = tag & 7
        if wire == _BYTES:
            length, at = _varint(body, at, end)
            stop = at + length
            if stop > end:
                raise BrokenFrameError
            yield tag >> 3, at, stop
            at = stop
        elif wire == _VARINT:
            _, at = _varint(body, at, end)
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise BrokenFrameError
    if at != end:
        raise BrokenFrameError


def has_more_messages(than: int, body: bytes, schema: Schema) -> bool:
    """Return whether a message holds more messages, at any depth. Raises BrokenFrameError."""
    found = 0
    waiting = [(parts(body, 0, len(body)), schema)]
    while waiting:
        fields, known = waiting[-1]
        for number, start, end in fields:
            if number in known:
                found += 1
                if found > than:
                    return True
                waiting.append((parts(body, start, end), known[number]))
                break
        else:
            waiting.pop()
    return False


def _varint(body: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift <= _MAX_SHIFT:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
            return value, at
        shift += 7
    raise BrokenFrameError
