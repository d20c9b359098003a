"""Server-sent events: how they are written, and how a stream of them is put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from watchllm_server.jsontext import mend_halves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from watchllm_server.gateway.shapes.base import Answer

DONE: Final = b"[DONE]"
# A stream is kept up to here; an answer beyond it passes, but is read and cached no further.
MAX_KEPT: Final = 32_000_000
PIECE: Final = 2_000
"""Characters that one event of a written stream carries: a line that every client can read."""

_FIELDS: Final = frozenset({b"event", b"data", b"id", b"retry"})
_BOM: Final = b"\xef\xbb\xbf"


class MalformedStreamError(ValueError):
    """Say that an event is none of the API, or reports an error."""


class Event(NamedTuple):
    """One event: its name, empty where it has none, and its data."""

    name: bytes
    data: bytes


class Telling(Protocol):
    """What a stream has told so far, event by event."""

    ended: bool

    def take(self, event: Event) -> None:
        """Take the next event; raise any error for one that is not as it must be."""
        ...

    def body(self) -> dict[str, Any]:
        """Return what was told, as a body without streaming."""
        ...


def written(data: Any, name: str = "") -> bytes:
    """Return one event with JSON data."""
    text = b"data: " + msgspec.json.encode(data) + b"\n\n"
    return b"event: " + name.encode() + b"\n" + text if name else text


def pieces(text: str) -> Iterator[str]:
    """Split a text into the pieces that events carry."""
    for begin in range(0, len(text), PIECE):
        yield text[begin : begin + PIECE]


def events(text: bytes) -> tuple[list[Event], bool]:
    """Return the whole events of a stream, and whether it consists of nothing else."""
    text = text.removeprefix(_BOM)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *blocks, rest = text.split(b"\n\n")
    found, sound = [], not rest.strip(b"\n")
    for block in blocks:
        name, data = b"", []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
            elif line and field and field not in _FIELDS:
                sound = False
        if data:
            found.append(Event(name, b"\n".join(data)))
    return found, sound


def decoded(data: bytes) -> dict[str, Any]:
    """Return an event's JSON object; raise ValueError for anything else."""
    found = msgspec.json.decode(data)
    if not isinstance(found, dict):
        raise MalformedStreamError("An event is no JSON object.")
    return found


class SseAssembly:
    """Put a stream together once it is asked for: while it passes, its bytes are only kept."""

    def __init__(
        self, telling: Callable[[], Telling], answer: Callable[[dict[str, Any]], Answer]
    ) -> None:
        self._new = telling
        self._answer = answer
        self._kept: list[bytes] = []
        self._size = 0
        self._cut = False
        self._read: tuple[Telling, bool] | None = None

    def feed(self, chunk: bytes) -> None:
        """Keep the next bytes, of 32 MB of them all."""
        self._read = None
        self._size += len(chunk)
        if self._size > MAX_KEPT:
            self._cut = True
        elif not self._cut:
            self._kept.append(chunk)

    @property
    def complete(self) -> bool:
        """Say whether the stream came to its own end, with nothing malformed and no error."""
        telling, sound = self._told()
        return telling.ended and sound

    def body(self) -> bytes:
        """Return the answer as a JSON body; of a stream that broke off, what it had said."""
        return msgspec.json.encode(self._told()[0].body())

    def answer(self) -> Answer:
        """Return what the stream has said so far."""
        return self._answer(self._told()[0].body())

    def _told(self) -> tuple[Telling, bool]:
        if self._read is None:
            self._read = self._tell()
        return self._read

    def _tell(self) -> tuple[Telling, bool]:
        telling = self._new()
        self._kept = [b"".join(self._kept)]
        found, sound = events(self._kept[0])
        for event in found:
            if telling.ended:
                # Some providers end every stream of theirs with the mark of another API.
                sound = sound and event.data == DONE
                continue
            try:
                telling.take(event)
            except Exception:  # noqa: BLE001 - a provider can send anything; it is never kept then
                sound = False
                self._save(telling, event)
        return telling, sound and not self._cut

    @staticmethod
    def _save(telling: Telling, event: Event) -> None:
        """Read what a text cut between two UTF-16 halves says, for the event of the call."""
        mended = mend_halves(event.data)
        if mended == event.data:
            return
        try:
            telling.take(Event(event.name, mended))
        except Exception:  # noqa: BLE001 - as above
            return


class NoStream:
    """Stand for the stream of an API that has none: never complete, says nothing."""

    complete = False

    def __init__(self, answer: Answer) -> None:
        self._nothing = answer

    def feed(self, chunk: bytes) -> None:
        """Keep nothing."""

    def body(self) -> bytes:
        """Return an empty object."""
        return b"{}"

    def answer(self) -> Answer:
        """Return that nothing was said."""
        return self._nothing
