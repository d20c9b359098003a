"""Counters that add up."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


class Stats:
    """Count what became of every event logged, from any thread.

    logged = sampled_out + sent + refused + all dropped + queued, at any moment when no call is
    under way. Those accepted are counted by the spool, which has a lock for it anyway.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        # Reentrant: a finaliser may log while this thread counts.
        self._lock = threading.RLock()
        self._counts = {"sampled_out": 0, "sent": 0, "refused": 0, "retried": 0, "adopted": 0}
        self._rejected = 0
        self._dropped: dict[str, int] = {}
        self._redacted: dict[str, int] = {}
        self._unreported: dict[str, int] = {}

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += number

    def reject(self, reason: str) -> None:
        """Count an event that was never accepted; the next batch reports it to the server."""
        with self._lock:
            self._rejected += 1
            self.drop(reason)

    def drop(self, reason: str, number: int = 1) -> None:
        """Count events that will never be sent; the next batch reports them to the server."""
        if number:
            with self._lock:
                self._dropped[reason] = self._dropped.get(reason, 0) + number
                self._unreported[reason] = self._unreported.get(reason, 0) + number

    def lose(self, reason: str, number: int = 1) -> None:
        """Note the loss of events that another process logged, to report it to the server."""
        if number:
            with self._lock:
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

    def snapshot(self, accepted: int, queued: int) -> dict[str, Any]:
        """Return all counters, with how many events were accepted and how many of them wait."""
        with self._lock:
            return {
                "logged": accepted + self._counts["sampled_out"] + self._rejected,
                "accepted": accepted,
                **self._counts,
                "dropped": dict(self._dropped),
                "redacted": dict(self._redacted),
                "queued": queued,
            }

    def after_fork(self) -> None:
        """Start from zero: the parent answers for what was logged before."""
        self._reset()
