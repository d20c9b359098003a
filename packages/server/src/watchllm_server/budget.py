"""How many bytes of requests may be in memory at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def too_many_batches() -> Problem:
    """Return what answers a sender of events."""
    message = "The server has as many batches in hand as it can. Send this one again later."
    return Problem(429, "busy", message, retry_after=1)


def too_many_calls() -> Problem:
    """Return what answers a caller of the gateway.

    It is 503, which clients take for the server's state; 429 would say that a limit is used up.
    """
    message = "The gateway has as many requests in hand as its memory allows. Try again later."
    return Problem(503, "busy", message, retry_after=1)


class Budget:
    """Bound the bytes of all requests that are being read or answered.

    `refusal` makes the problem for what is beyond them. Used by the event loop's thread alone.
    """

    def __init__(self, limit: int, refusal: Callable[[], Problem] = too_many_batches) -> None:
        self._limit = limit
        self._refusal = refusal
        self._used = 0

    @property
    def used(self) -> int:
        """Return the bytes that are taken."""
        return self._used

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Lend a share that grows with a request and comes back when it is answered."""
        share = Share(self)
        try:
            yield share
        finally:
            self._used -= share.size

    def take(self, size: int) -> None:
        """Take bytes, or raise the Problem that refuses them."""
        if self._used + size > self._limit:
            raise self._refusal()
        self._used += size


class Share:
    """What one request has taken of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> None:
        """Take bytes, or raise the Problem that refuses them."""
        self._budget.take(size)
        self.size += size
