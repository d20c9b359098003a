"""Where encoded events wait until the server has answered for them."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Sequence

OVERHEAD_BYTES = 200  # of the objects that hold one record, on 64-bit CPython


class Record:
    """One encoded event, numbered in the order of logging from 1."""

    __slots__ = ("data", "number")

    def __init__(self, number: int, data: bytes) -> None:
        self.number = number
        self.data = data


class MemorySpool:
    """Hold events in memory, at most `max_bytes`, dropping the oldest beyond.

    An event is waiting, or taken (being sent), or gone (acknowledged or dropped). Taken events are
    never dropped. Safe to use from any thread.
    """

    def __init__(self, max_bytes: int = 64_000_000) -> None:
        self._max_bytes = max_bytes
        self._clear()

    def _clear(self) -> None:
        # Reentrant: a finaliser may log while this thread is in here.
        self._lock = threading.RLock()
        self._waiting: deque[Record] = deque()
        self._taken: dict[int, Record] = {}
        self._bytes = 0
        self._last = 0

    def append(self, data: bytes) -> tuple[int, int]:
        """Add an event; return how many now wait and how many were dropped to make room."""
        size = len(data) + OVERHEAD_BYTES
        dropped = 0
        with self._lock:
            self._last += 1
            while self._waiting and self._bytes + size > self._max_bytes:
                self._bytes -= len(self._waiting.popleft().data) + OVERHEAD_BYTES
                dropped += 1
            if self._bytes + size > self._max_bytes:
                return 0, dropped + 1
            self._waiting.append(Record(self._last, data))
            self._bytes += size
            return len(self._waiting), dropped

    def take(self, max_events: int, max_bytes: int) -> list[Record]:
        """Take the oldest events, up to both limits, but always one if any waits."""
        taken: list[Record] = []
        size = 0
        with self._lock:
            while self._waiting and len(taken) < max_events:
                record = self._waiting[0]
                size += len(record.data) + 1
                if taken and size > max_bytes:
                    break
                taken.append(self._waiting.popleft())
                self._taken[record.number] = record
        return taken

    def acknowledge(self, records: Sequence[Record]) -> None:
        """Forget taken events: the server has answered for them, or they were counted as lost."""
        with self._lock:
            for record in records:
                if self._taken.pop(record.number, None):
                    self._bytes -= len(record.data) + OVERHEAD_BYTES

    def give_back(self, records: Sequence[Record]) -> None:
        """Let taken events wait again, before all others."""
        with self._lock:
            for record in reversed(records):
                if self._taken.pop(record.number, None):
                    self._waiting.appendleft(record)

    def discard(self) -> int:
        """Forget everything, taken events too; return how many that were."""
        with self._lock:
            number = len(self._waiting) + len(self._taken)
            self._waiting.clear()
            self._taken.clear()
            self._bytes = 0
            return number

    def waiting(self) -> int:
        """Return how many events wait to be taken."""
        return len(self._waiting)

    def queued(self) -> int:
        """Return how many events are waiting or taken."""
        with self._lock:
            return len(self._waiting) + len(self._taken)

    def last(self) -> int:
        """Return the number of the event appended last, 0 if there was none."""
        return self._last

    def settled(self, number: int) -> bool:
        """Say whether all events up to `number` are gone."""
        with self._lock:
            first = min(self._taken, default=number + 1)
            if self._waiting:
                first = min(first, self._waiting[0].number)
            return first > number

    def after_fork(self) -> None:
        """Start empty: what was logged before belongs to the parent."""
        self._clear()
