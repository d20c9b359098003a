"""How many bytes of requests may be in memory at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


class Budget:
    """Bound the bytes of all batches that are being read, decoded or stored.

    Used by the event loop's thread alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
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
        """Take bytes, or raise the Problem that answers 429."""
        if self._used + size > self._limit:
            message = "The server has as many batches in hand as it can. Send this one again later."
            raise Problem(429, "busy", message, retry_after=1)
        self._used += size


class Share:
    """What one request has taken of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> None:
        """Take bytes, or raise the Problem that answers 429."""
        self._budget.take(size)
        self.size += size
