"""The spool in memory, and what every spool does."""

from __future__ import annotations

import threading
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence, Tuple

    Mark = Tuple[int, int]
else:
    Mark = tuple

OVERHEAD_BYTES = 200  # of the objects that hold one record, on 64-bit CPython
MEMORY_BYTES = 64_000_000


class Record:
    """One encoded event, numbered in the order of logging from 1, and where it lies.

    `end` is where it ends in its segment; in memory, where there is none, its size.
    """

    __slots__ = ("data", "end", "number", "segment")

    def __init__(self, number: int, data: bytes, segment: Any = None, end: int = 0) -> None:
        self.number = number
        self.data = data
        self.segment = segment
        self.end = end


class Spool:
    """Hold events in the order of logging.

    An event is waiting, or taken (being sent), or gone (acknowledged or dropped). Taken events are
    never dropped. Events may be appended from any thread; one thread at a time takes them.
    """

    trouble: str | None = None
    """Why events do not go where they should, until the client has said it."""
    crowded = False
    """Whether more than half of the allowed size is used."""

    def append(self, data: bytes) -> tuple[int, int]:
        """Add an event; return how many now wait and how many were dropped to make room."""
        raise NotImplementedError

    def take(self, max_events: int, max_bytes: int) -> list[Record]:
        """Take the oldest events, up to both limits, but always one if any waits."""
        raise NotImplementedError

    def acknowledge(self, records: Sequence[Record]) -> None:
        """Forget taken events: the server has answered for them, or they were counted as lost."""
        raise NotImplementedError

    def give_back(self, records: Sequence[Record]) -> None:
        """Let taken events wait again, before all others."""
        raise NotImplementedError

    def waiting(self) -> int:
        """Return how many events wait to be taken."""
        raise NotImplementedError

    def queued(self) -> int:
        """Return how many events are waiting or taken."""
        raise NotImplementedError

    def accepted(self) -> int:
        """Return how many events were appended."""
        raise NotImplementedError

    def fullness(self) -> float:
        """Return the share of the allowed size that is used, from 0 to 1."""
        raise NotImplementedError

    def mark(self) -> Mark:
        """Return a mark of what was appended so far, for `settled`."""
        raise NotImplementedError

    def settled(self, mark: Mark) -> bool:
        """Say whether all events up to a mark are gone."""
        raise NotImplementedError

    def tidy(self) -> int:
        """Do what would keep an app waiting; return how many events turned out to be unreadable."""
        return 0

    def end(self) -> int:
        """Let go of everything; return how many events are lost with it."""
        raise NotImplementedError

    def after_fork(self) -> None:
        """Start empty in a child: what was logged before belongs to the parent."""
        raise NotImplementedError


class MemorySpool(Spool):
    """Hold events in memory, at most `max_bytes`, dropping the oldest beyond."""

    def __init__(self, max_bytes: int = MEMORY_BYTES) -> None:
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
        with self._lock:
            self._last += 1
            if self._bytes + size > self._max_bytes:
                dropped = self._make_room(size)
                if self._bytes + size > self._max_bytes:
                    return 0, dropped + 1
            else:
                dropped = 0
            self._waiting.append(Record(self._last, data, None, size))
            self._bytes += size
            self.crowded = self._bytes * 2 > self._max_bytes
            return len(self._waiting), dropped

    def _make_room(self, size: int) -> int:
        dropped = 0
        while self._waiting and self._bytes + size > self._max_bytes:
            self._bytes -= self._waiting.popleft().end
            dropped += 1
        return dropped

    def take(self, max_events: int, max_bytes: int) -> list[Record]:
        """Take the oldest events, up to both limits, but always one if any waits."""
        with self._lock:
            taken = take_from(self._waiting, max_events, max_bytes)
            for record in taken:
                self._taken[record.number] = record
        return taken

    def acknowledge(self, records: Sequence[Record]) -> None:
        """Forget taken events: the server has answered for them, or they were counted as lost."""
        with self._lock:
            for record in records:
                if self._taken.pop(record.number, None):
                    self._bytes -= record.end
            self.crowded = self._bytes * 2 > self._max_bytes

    def give_back(self, records: Sequence[Record]) -> None:
        """Let taken events wait again, before all others."""
        with self._lock:
            for record in reversed(records):
                if self._taken.pop(record.number, None):
                    self._waiting.appendleft(record)

    def waiting(self) -> int:
        """Return how many events wait to be taken."""
        return len(self._waiting)

    def queued(self) -> int:
        """Return how many events are waiting or taken."""
        with self._lock:
            return len(self._waiting) + len(self._taken)

    def accepted(self) -> int:
        """Return how many events were appended."""
        return self._last

    def fullness(self) -> float:
        """Return the share of the allowed size that is used, from 0 to 1."""
        return self._bytes / self._max_bytes

    def mark(self) -> Mark:
        """Return a mark of what was appended so far, for `settled`."""
        return 0, self._last

    def settled(self, mark: Mark) -> bool:
        """Say whether all events up to a mark are gone."""
        with self._lock:
            first = min(self._taken, default=mark[1] + 1)
            if self._waiting:
                first = min(first, self._waiting[0].number)
            return first > mark[1]

    def end(self) -> int:
        """Forget everything, taken events too; return how many that were."""
        with self._lock:
            number = len(self._waiting) + len(self._taken)
            self._waiting.clear()
            self._taken.clear()
            self._bytes = 0
            return number

    def after_fork(self) -> None:
        """Start empty in a child: what was logged before belongs to the parent."""
        self._clear()


def take_from(records: deque[Record], max_events: int, max_bytes: int) -> list[Record]:
    """Remove and return the first records, up to both limits, but always one if there is any."""
    taken: list[Record] = []
    size = 0
    while records and len(taken) < max_events:
        size += len(records[0].data) + 1
        if taken and size > max_bytes:
            break
        taken.append(records.popleft())
    return taken
