"""A load of HTTP requests over kept connections, cheap enough not to be what is measured."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Fired:
    """What a load saw."""

    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    """Seconds to the first byte after the head."""
    failed: int = 0
    wall: float = 0.0

    @property
    def per_second(self) -> float:
        """Return how many requests a second were answered."""
        return len(self.seconds) / self.wall


class _Connection(asyncio.Protocol):
    def __init__(self, next_request: Callable[[], bytes | None], fired: Fired) -> None:
        self._next = next_request
        self._fired = fired
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = self._next()
        if request is None:
            self._transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self._read = b""
        self._whole = -1
        self._first = 0.0
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._read = self._read + data if self._read else data
        if self._whole < 0:
            end = self._read.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._read[:end].lower()
            at = head.find(b"content-length:")
            self._whole = 0
            if at >= 0:
                self._whole = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
            if not self._read.startswith(b"HTTP/1.1 200"):
                self._fired.failed += 1
            self._body = end + 4
        if not self._first and len(self._read) > self._body:
            self._first = time.perf_counter()
        done = (
            len(self._read) >= self._whole if self._whole else self._read.endswith(b"\r\n0\r\n\r\n")
        )
        if done:
            now = time.perf_counter()
            self._fired.seconds.append(now - self._sent)
            self._fired.first.append(self._first - self._sent)
            self._send()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self._fired.failed += 1
            self.done.set_result(None)


async def fire(port: int, connections: int, seconds: float, make: Callable[[int], bytes]) -> Fired:
    """Send requests for so many seconds, and at least one over each connection.

    `make` is asked for each request, by its number.
    """
    fired = Fired()
    count = 0
    begun = time.perf_counter()

    def next_request() -> bytes | None:
        nonlocal count
        if count >= connections and time.perf_counter() - begun > seconds:
            return None
        count += 1
        return make(count)

    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Connection(next_request, fired), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in opened))
    fired.wall = time.perf_counter() - begun
    return fired
