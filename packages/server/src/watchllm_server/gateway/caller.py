"""The other side of one request: read its body, answer it, and know when it has gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from watchllm_server.gateway.headers import RawPairs


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
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None

    async def body(self, limit: int, seconds: float) -> bytes:
        """Return the body.

        Raises the Problem that answers 408 or 413, and ClientGoneError.
        """
        message = await self._next()
        if not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            if len(body) > limit:
                raise _too_large(limit)
            return body
        pieces = [message.get("body", b"")]
        size = len(pieces[0])
        try:
            async with asyncio.timeout(seconds):
                while message.get("more_body", False):
                    message = await self._next()
                    piece = message.get("body", b"")
                    pieces.append(piece)
                    size += len(piece)
                    if size > limit:
                        raise _too_large(limit)
        except TimeoutError:
            message = f"The body did not arrive within {seconds:g} seconds."
            raise Problem(408, "body_too_slow", message) from None
        return b"".join(pieces)

    async def _next(self) -> dict[str, object]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            raise ClientGoneError
        return message

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


def _too_large(limit: int) -> Problem:
    message = f"The body of a request to the gateway may have {limit // 1_000_000} MB."
    return Problem(413, "body_too_large", message)
