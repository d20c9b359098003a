"""The other side of one request: read its body, answer it, and know when it has gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from watchllm_server.gateway.headers import RawPairs


_DRAIN_SECONDS: Final = 5


class ClientGoneError(Exception):
    """Say that the client went away before it had sent its body."""


class Caller:
    """Speak ASGI with the client of one request. Used by the task that serves it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.gone = False
        """Whether it went away before its answer had been sent."""
        self.answered = False
        """Whether the head of an answer was sent."""
        self._more = True
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None

    async def body(self, limit: int, seconds: float, grow: Callable[[int], object]) -> bytes:
        """Return the body, of at most `limit` bytes, that arrives in so many seconds.

        `grow` is told of each piece's bytes and may refuse them. Raises the Problem that answers
        408 or 413, and ClientGoneError.
        """
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while self._more:
                    pieces.append(await self._next())
                    size += len(pieces[-1])
                    _check(size, limit)
                    grow(len(pieces[-1]))
        except TimeoutError:
            message = f"The body did not arrive within {seconds:g} seconds."
            raise Problem(408, "body_too_slow", message) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def drain(self, limit: int) -> bool:
        """Read on a little and return whether that was all: many clients read only when they sent.

        What takes longer than a few seconds is left.
        """
        read = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._more:
                    read += len(await self._next())
                    if read > limit:
                        return False
        except (TimeoutError, ClientGoneError):
            return False
        return True

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            self._more = False
            raise ClientGoneError
        self._more = message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    def watch(self, when_gone: Callable[[], object]) -> None:
        """Have something called when the client goes away; call this once the body was read."""
        self._watcher = asyncio.create_task(self._wait(when_gone))

    async def _wait(self, when_gone: Callable[[], object]) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            when_gone()

    def unwatch(self) -> None:
        """Watch no longer: what ends after the answer is no disconnection."""
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def begin(self, status: int, headers: RawPairs) -> None:
        """Send the head of an answer whose body follows in pieces."""
        self.answered = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, body: bytes) -> None:
        """Send a piece of the body; this waits while the client reads more slowly than it comes."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self) -> None:
        """End the body."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, headers: RawPairs, body: bytes) -> None:
        """Send an answer at once, with its length."""
        headers.append((b"content-length", b"%d" % len(body)))
        await self.begin(status, headers)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _check(size: int, limit: int) -> None:
    if size > limit:
        message = f"The body of a request to the gateway may have {limit / 1e6:g} MB."
        raise Problem(413, "body_too_large", message)
