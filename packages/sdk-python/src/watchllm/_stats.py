"""Counters that add up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Mapping


class Stats:
    """Count what became of every event logged, from any thread.

    logged = sampled_out + sent + refused + all dropped + queued, at any moment when no call is
    under way.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        # Reentrant: a finaliser may log while this thread counts.
        self._lock = threading.RLock()
        self._counts = {
            "logged": 0, "accepted": 0, "sampled_out": 0, "sent": 0, "retried": 0, "refused": 0
        }  # fmt: skip
        self._dropped: dict[str, int] = {}
        self._redacted: dict[str, int] = {}
        self._unreported: dict[str, int] = {}

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += number

    def drop(self, reason: str, number: int = 1) -> None:
        """Count events that will never be sent; the next batch reports them to the server."""
        if number:
            with self._lock:
                self._dropped[reason] = self._dropped.get(reason, 0) + number
                self._unreported[reason] = self._unreported.get(reason, 0) + number

    def redact(self, counts: Mapping[str, int]) -> None:
        """Add what was redacted in one event, by kind."""
        with self._lock:
            for kind, number in counts.items():
                self._redacted[kind] = self._redacted.get(kind, 0) + number

    def losses(self) -> dict[str, int]:
        """Return the dropped events that the server has not been told of, by reason."""
        with self._lock:
            return dict(self._unreported)

    def reported(self, losses: Mapping[str, int]) -> None:
        """Note that the server has been told of these."""
        with self._lock:
            for reason, number in losses.items():
                self._unreported[reason] -= number
                if not self._unreported[reason]:
                    del self._unreported[reason]

    def snapshot(self, queued: int) -> dict[str, Any]:
        """Return all counters, with how many events wait."""
        with self._lock:
            return {
                **self._counts,
                "dropped": dict(self._dropped),
                "redacted": dict(self._redacted),
                "queued": queued,
            }

    def after_fork(self) -> None:
        """Start from zero: the parent answers for what was logged before."""
        self._reset()
