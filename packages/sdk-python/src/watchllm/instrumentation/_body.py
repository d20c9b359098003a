"""The body of a response that the app reads itself: a copy of what it reads goes to the call."""

from __future__ import annotations

from contextlib import contextmanager

from watchllm.instrumentation._answer import MOST_CHARACTERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncIterator, Iterator

    from watchllm.instrumentation._call import Call


class ObservedBody:
    """Observe the decoded bytes of a response of httpx, through which all ways to read it go.

    A whole body is the call's answer. What is closed or dropped before is a call without one.
    """

    def __init__(self, response: Any, call: Call) -> None:
        self._call = call
        self._parts: list[bytes] = []
        self._left = MOST_CHARACTERS
        self._asking = False
        if hasattr(response.stream, "__aiter__") and not hasattr(response.stream, "__iter__"):
            self._iter, self._close = response.aiter_bytes, response.aclose
            response.aiter_bytes, response.aclose = self.aiter_bytes, self.aclose
        else:
            self._iter, self._close = response.iter_bytes, response.close
            response.iter_bytes, response.close = self.iter_bytes, self.close

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yield what the response yields."""
        with self._reading():
            for part in self._iter(chunk_size):
                self._keep(part)
                yield part
                self._asking = True

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Yield what the response yields."""
        with self._reading():
            async for part in self._iter(chunk_size):
                self._keep(part)
                yield part
                self._asking = True

    def close(self) -> None:
        """Close the response."""
        self._close()
        self._closed()

    async def aclose(self) -> None:
        """Close the response."""
        await self._close()
        self._closed()

    def __del__(self) -> None:
        self._call.end(ended="dropped")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """End the call as the reading inside ends."""
        self._asking = True
        try:
            yield
        except BaseException as error:
            self._call.end(error)
            raise
        self._whole()

    def _keep(self, part: bytes) -> None:
        self._asking = False
        self._left -= len(part)
        if self._left >= 0:
            self._parts.append(part)

    def _whole(self) -> None:
        if self._left < 0:
            self._call.note("body", "too large to be read")
        else:
            import json

            try:
                self._call.answered(json.loads(b"".join(self._parts)))
            except ValueError as failure:
                self._call.fault(failure)
        self._call.end()

    def _closed(self) -> None:
        # When its last byte has come the response closes itself, before that is known here.
        if not self._asking:
            self._call.end(ended="closed early")
