"""A stream of server-sent events on its way from the provider to the client."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

_EVENT: Final = re.compile(rb"(?:\r\n|\n|\r){2}")
_BLANK: Final = (b"\n\n", b"\r\n\r\n")
_USAGE: Final = re.compile(rb'"usage"\s*:\s*\{')
_LONGEST_EVENT: Final = 4_000_000
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class UsageFilter:
    """Take the event out of a stream that the gateway asked for and the client did not.

    That is the one that has no choices and tells the usage; clients that did not ask may stumble
    over it. All other bytes pass as they came, an event at a time.
    """

    def __init__(self) -> None:
        self._begun = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return the events that are whole by now."""
        found = self._begun + chunk if self._begun else chunk
        lines, returns = found.rfind(b"\n\n"), found.rfind(b"\r\n\r\n")
        end = max(lines + 2 if lines >= 0 else 0, returns + 4 if returns >= 0 else 0)
        if not end:
            if len(found) > _LONGEST_EVENT:
                self._begun = b""
                return found
            self._begun = found
            return b""
        whole, self._begun = found[:end], found[end:]
        if b'"usage"' not in whole or not _USAGE.search(whole):
            return whole
        return _without_usage(whole)

    def end(self) -> bytes:
        """Return what came after the last whole event."""
        return self._begun


def _without_usage(whole: bytes) -> bytes:
    """Return whole events without those that tell the usage and have no choices."""
    kept: list[bytes] = []
    at = 0
    for match in _USAGE.finditer(whole):
        if match.start() < at:
            continue
        begin = max(_after(whole.rfind(blank, at, match.start()), blank, at) for blank in _BLANK)
        end = min(_after(whole.find(blank, match.end()), blank, len(whole)) for blank in _BLANK)
        if _tells_usage_alone(whole[begin:end]):
            kept.append(whole[at:begin])
            at = end
    return b"".join((*kept, whole[at:]))


def _after(place: int, blank: bytes, otherwise: int) -> int:
    return otherwise if place < 0 else place + len(blank)


def _events(whole: bytes) -> list[bytes]:
    """Return events, each with the blank line at its end."""
    ends = [match.end() for match in _EVENT.finditer(whole)]
    return [whole[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def _data_of(event: bytes) -> bytes:
    return b"\n".join(line[5:] for line in event.splitlines() if line.startswith(b"data:"))


def _tells_usage_alone(event: bytes) -> bool:
    if not _USAGE.search(event):
        return False
    try:
        data = _decode(_data_of(event))
    except msgspec.DecodeError:
        return False
    return data.get("choices") == [] and isinstance(data.get("usage"), dict)


def error_told(chunk: bytes) -> bytes:
    """Return the data of the first event that is an error, as providers end streams; else empty."""
    for event in _events(chunk if _EVENT.search(chunk) else chunk + b"\n\n"):
        data = _data_of(event)
        try:
            if _decode(data).get("error"):
                return data
        except msgspec.DecodeError:
            continue
    return b""


def error_event(shape: str, body: bytes) -> bytes:
    """Return an error as the last event of a stream, as the clients of its API raise it.

    The blank line before it ends an event that broke off.
    """
    named = shape in ("anthropic.messages", "openai.responses")
    return b"".join((b"\n\n", b"event: error\n" if named else b"", b"data: ", body, b"\n\n"))
