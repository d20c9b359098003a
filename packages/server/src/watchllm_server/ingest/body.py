"""From the bytes of a request to the text of its body, in bounded memory."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping

    from watchllm_server.budget import Share

MAX_BODY = 10_000_000
ACCEPTED_ENCODING = "gzip"
_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1_000_000
_DRAIN_SECONDS = 5


async def read_body(
    headers: Mapping[str, str], stream: AsyncIterable[bytes], share: Share, *, seconds: float = 60
) -> bytes:
    """Read a body of at most 10 MB, also after decompression, that arrives in so many seconds.

    Raises the Problem that answers a larger, slower, broken or unknown one, or a server without
    room.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower() or "identity"
    if encoding not in {"identity", ACCEPTED_ENCODING}:
        message = f"Content-Encoding {encoding[:40]!r} is not supported: send gzip or none."
        raise Problem(415, "unsupported_encoding", message)
    length = headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and int(length[:20]) > MAX_BODY:
        raise _too_large()
    inflate = _Inflate() if encoding == ACCEPTED_ENCODING else None
    try:
        # What a slow sender has sent so far is memory that others cannot have.
        async with asyncio.timeout(seconds):
            body = await _gather(stream, inflate, share)
    except TimeoutError:
        message = f"The body did not arrive within {seconds:g} seconds: send smaller batches."
        raise Problem(408, "body_too_slow", message) from None
    if inflate:
        inflate.finish()
    return bytes(body)


async def _gather(
    stream: AsyncIterable[bytes], inflate: _Inflate | None, share: Share
) -> bytearray:
    body = bytearray()
    received = 0
    async for chunk in stream:
        received += len(chunk)
        if received > MAX_BODY:
            raise _too_large()
        for piece in inflate.feed(chunk) if inflate else [chunk]:
            share.grow(len(piece))
            body += piece
            if len(body) > MAX_BODY:
                raise _too_large()
    return body


async def drain(stream: AsyncIterable[bytes]) -> bool:
    """Read on a little: many clients read an answer only when they have sent all.

    Returns whether that was all. What takes longer than a few seconds is left.
    """
    read = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in stream:
                read += len(chunk)
                if read > 2 * MAX_BODY:
                    return False
    except TimeoutError:
        return False
    return True


def _too_large() -> Problem:
    return Problem(413, "body_too_large", "A body may have 10 MB: send smaller batches.")


def _broken() -> Problem:
    message = "The body is not valid gzip, although Content-Encoding says so."
    return Problem(400, "invalid_encoding", message)


class _Inflate:
    """Decompress gzip in pieces of bounded size, as many members as there are."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return what a chunk decompresses to, at most a little more than a body may have."""
        pieces: list[bytes] = []
        total = 0
        while chunk and total <= MAX_BODY:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            self._started = True
            try:
                piece = self._member.decompress(chunk, _PIECE)
            except zlib.error:
                raise _broken() from None
            chunk = self._member.unused_data or self._member.unconsumed_tail
            if piece:
                pieces.append(piece)
                total += len(piece)
        return pieces

    def finish(self) -> None:
        """Raise the Problem that answers a body that ended too early."""
        if not self._started or not self._member.eof:
            raise _broken()
