"""Send the events of a file to a server, in batches, until each is stored or refused."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from watchllm_server.errors import TransferError
from watchllm_server.transfer.connection import message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from watchllm_server.transfer.connection import Server

_MOST_EVENTS: Final = 500
_MOST_BYTES: Final = 4_000_000
_OK: Final = 200
_LATER: Final = {429, 503}
_MOST_SECONDS: Final = 30.0
# What an export adds to an event: the project is the key's, and the server knows the price.
_ADDED: Final = ("project_id", "cost_usd")
_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class Refusal(NamedTuple):
    """A line that the server did not take, and why."""

    line: int
    message: str


@dataclass
class Upload:
    """How far an upload is."""

    stored: int = 0
    refused: list[Refusal] = field(default_factory=list)
    """The first hundred."""
    refusals: int = 0

    def refuse(self, line: int, message: str) -> None:
        """Count a line that was not taken."""
        self.refusals += 1
        if len(self.refused) < 100:  # noqa: PLR2004 - as many as anyone reads
            self.refused.append(Refusal(line, message))


class _Batch(NamedTuple):
    lines: list[int]
    events: list[bytes]
    read: int


def upload(
    server: Server,
    lines: Iterable[bytes],
    progress: Callable[[int], None],
    *,
    patience: float = 120.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Upload:
    """Send every line and say how many were stored; tell `progress` the bytes of each batch.

    A server that is away or busy is asked again, for at most `patience` seconds without any
    progress. Sending a file again stores nothing twice. Raises TransferError.
    """
    state = Upload()
    for batch in _batches(lines, state):
        if batch.events:
            body = b'{"events":[%b]}' % b",".join(batch.events)
            answer = _send(server, body, patience, sleep)
            state.stored += answer["total_processed"]
            for fault in answer["errors"]:
                state.refuse(batch.lines[fault["index"]], fault["message"])
        progress(batch.read)
    return state


def _batches(lines: Iterable[bytes], state: Upload) -> Iterator[_Batch]:
    batch, size = _Batch([], [], 0), 0
    for number, line in enumerate(lines, 1):
        event = _event(line)
        if event is None:
            state.refuse(number, "The line is no JSON object.")
        elif event:
            if len(batch.events) == _MOST_EVENTS or size + len(event) > _MOST_BYTES:
                yield batch
                batch, size = _Batch([], [], 0), 0
            batch.lines.append(number)
            batch.events.append(event)
            size += len(event)
        batch = batch._replace(read=batch.read + len(line))
    yield batch


def _event(line: bytes) -> bytes | None:
    """Return the event of a line as it was sent, nothing of an empty line, None of another."""
    if not line.strip():
        return b""
    try:
        event = _fields(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    for name in _ADDED:
        event.pop(name, None)
    return msgspec.json.encode(event)


def _send(
    server: Server, body: bytes, patience: float, sleep: Callable[[float], None]
) -> dict[str, Any]:
    """Post a batch until it is answered."""
    waited, pause = 0.0, 0.5
    while True:
        try:
            with server.request("POST", "/events/batch", body) as answer:
                if answer.status == _OK:
                    found: dict[str, Any] = json.loads(answer.read())
                    return found
                why = message_of(answer)
                if answer.status not in _LATER:
                    raise TransferError(f"The server does not take the events: {why}")
                asked = answer.headers.get("Retry-After", "")
                pause = float(asked) if asked.isascii() and asked.isdigit() else pause
        except (OSError, http.client.HTTPException) as error:
            why = f"{server.base_url} cannot be reached: {error}"
        if waited >= patience:
            raise TransferError(
                f"Given up after {waited:.0f} s: {why}. Start again: nothing is stored twice."
            )
        pause = min(max(pause, 0.1), _MOST_SECONDS)
        sleep(pause)
        waited += pause
        pause *= 2
