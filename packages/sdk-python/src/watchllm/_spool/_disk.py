"""The spool on disk: what is appended survives the death of the process."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from contextlib import suppress
from itertools import count

from watchllm._spool._folder import SUFFIX, Claim, SpoolUnusable
from watchllm._spool._memory import MemorySpool, Record, Spool, take_from
from watchllm._spool._segment import Segment, needed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from watchllm._runtime import Clock
    from watchllm._spool._folder import Folder
    from watchllm._spool._memory import Mark

FIRST_BYTES = 1 << 20  # of the first segment: most processes need no other
SEGMENT_BYTES = 8 << 20
FEWEST_IN_ALL = 8  # segments that the allowed size holds: with too few it is soon crowded
MOST_SPARES = 3
EARLY = 4  # the first spare is made when a fourth of a segment is used
MOST_UNSEALED = 2  # segments that wait for the worker to unmap them
FEWEST_SEGMENTS = 2  # that a process may have, however full the disk's share is
CROWDED_SHARE = 0.5
RETRY_SECONDS = 10.0  # between two attempts to write to a disk that failed


class DiskSpool(Spool):
    """Append events to memory-mapped segments in a directory of this process.

    At most `max_bytes` of disk are used for a destination, by all processes together; beyond, the
    process that needs room drops the oldest segment of its own. Where the disk cannot be written,
    events wait in memory, and `trouble` says why. Nothing is made on the disk before the first
    event.
    """

    def __init__(self, folder: Folder, max_bytes: int, clock: Clock) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max(FIRST_BYTES, max_bytes // FEWEST_IN_ALL))
        self._clock = clock
        self._clear()

    def _clear(self) -> None:
        # Reentrant, and `_busy` tells: a finaliser or a signal handler may log in here.
        self._lock = threading.RLock()
        self._busy = False
        self._nested: list[bytes] = []
        self._claim: Claim | None = None
        self._active: Segment | None = None
        self._segments: deque[Segment] = deque()  # with records that are not acknowledged
        self._spares: deque[Segment] = deque()
        self._unsealed: deque[Segment] = deque()
        # The one that the worker reads or marks without the lock: whoever else is done with it must
        # not close its file, whose number the app's next file would get.
        self._held: Segment | None = None
        self._numbers = count(1)
        self._made = 0
        self._wanted = 0  # spares
        self._others_bytes = 0  # of other processes
        self._appended = 0
        self._gone = 0  # events read, or dropped unread
        self._returned: deque[Record] = deque()
        self._taken: dict[int, Record] = {}
        self._damaged = 0
        self._memory = MemorySpool()
        self._retry_at = 0.0
        self._said = ""
        self.trouble = None
        self.crowded = False

    @classmethod
    def adopt(cls, folder: Folder, claim: Claim, clock: Clock) -> DiskSpool:
        """Return what a dead process left, to be taken and acknowledged."""
        spool = cls(folder, sys.maxsize, clock)
        spool._claim = claim
        for path in claim.segments():
            try:
                segment = Segment.open(path)
            except (OSError, ValueError):
                # Its process died before the header was written: there is nothing in it.
                with suppress(OSError):
                    os.unlink(path)
                continue
            spool._damaged += segment.damaged
            segment.damaged = 0
            if segment.count:
                spool._segments.append(segment)
                spool._appended += segment.count
            else:
                segment.remove()
        return spool

    def append(self, data: bytes) -> tuple[int, int]:
        """Add an event; return how many now wait and how many were dropped to make room."""
        with self._lock:
            if self._busy:
                self._nested.append(data)
                return 0, 0
            self._busy = True
            try:
                active = self._active
                if active is not None and active.append(data):
                    self._appended += 1
                    dropped = 0
                else:
                    dropped = self._append_elsewhere(data)
                while self._nested:
                    dropped += self._append_elsewhere(self._nested.pop(0))
            finally:
                self._busy = False
            return self._appended - self._gone + self._memory.waiting(), dropped

    def _append_elsewhere(self, data: bytes) -> int:
        """Append where the active segment has no room; return how many events were dropped."""
        if self._active is not None and self._active.append(data):
            self._appended += 1
            return 0
        now = self._clock.monotonic()
        if now >= self._retry_at:
            try:
                dropped = self._roll_over(data)
            except (OSError, SpoolUnusable) as error:
                self._retry_at = now + RETRY_SECONDS
                self._fail(error)
            else:
                self._appended += 1
                return dropped
        dropped = self._memory.append(data)[1]
        self.crowded = self._memory.crowded
        return dropped

    def _roll_over(self, data: bytes) -> int:
        """Take a new segment into use and append to it; return how many events were dropped."""
        if self._spares and needed(data) <= self._spares[0].size:
            segment = self._spares.popleft()
        else:
            usual = self._segment_bytes if self._made else FIRST_BYTES
            # Touching a small one takes less time than the pages would one by one.
            segment = self._make(max(usual, needed(data)), touched=usual == FIRST_BYTES)
            if self._made > FEWEST_SEGMENTS:
                self._wanted = MOST_SPARES  # the worker came too late
        before, self._active = self._active, segment
        self._segments.append(segment)
        segment.append(data)
        if before is not None:
            before.sealed = True
            self._unsealed.append(before)
        while len(self._unsealed) > MOST_UNSEALED:
            self._unsealed.popleft().seal()
        return self._make_room()

    def _make(self, size: int, *, touched: bool) -> Segment:
        # The app and its worker may both be here: no two get the same number.
        number = self._made = next(self._numbers)
        name = f"{number:06d}{SUFFIX}"
        claim = self._claim = self._claim or self._folder.claim()
        try:
            return Segment.create(os.path.join(claim.path, name), size, touched=touched)
        except FileNotFoundError:
            # Somebody removed the directory. What is mapped stays readable until it is sent.
            claim.forget()
            claim = self._claim = self._folder.claim()
            return Segment.create(os.path.join(claim.path, name), size, touched=touched)

    def _make_room(self) -> int:
        """Drop the oldest segments beyond the allowed size; return how many events were lost."""
        dropped = 0
        while (
            self._used() + self._others_bytes > self._max_bytes
            and len(self._segments) > FEWEST_SEGMENTS
        ):
            segment = self._segments.popleft()
            lost = segment.count - segment.read
            self._gone += lost
            dropped += lost
            with suppress(ValueError):
                self._unsealed.remove(segment)
            self._give_up(segment, keep=False)
        self._look_round()
        return dropped

    def _give_up(self, segment: Segment, *, keep: bool) -> None:
        """Close a segment for good, or have the worker do it who holds it; delete or keep it."""
        segment.dropped = True
        if segment is not self._held:
            segment.forget()
        if not keep:
            segment.unlink()

    def _look_round(self) -> None:
        self.crowded = self.fullness() > CROWDED_SHARE

    def _used(self) -> int:
        return sum(segment.size for segment in (*self._segments, *self._spares))

    def _fail(self, error: Exception) -> None:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if said != self._said:
            self._said = said
            self.trouble = f"The spool cannot be written ({said}): events wait in memory instead."

    def take(self, max_events: int, max_bytes: int) -> list[Record]:
        """Take the oldest events, up to both limits, but always one if any waits."""
        with self._lock:
            taken = take_from(self._returned, max_events, max_bytes)
            self._note_taken(taken)
        taken = taken or self._take_from_disk(max_events, max_bytes)
        return taken or self._memory.take(max_events, max_bytes)

    def _note_taken(self, records: Sequence[Record]) -> None:
        """Note who is being sent, before the lock is let go: `settled` asks for it."""
        for record in records:
            self._taken[record.number] = record

    def _take_from_disk(self, max_events: int, max_bytes: int) -> list[Record]:
        while True:
            with self._lock:
                unread = (segment for segment in self._segments if segment.read < segment.count)
                segment = next(unread, None)
                if segment is None:
                    return []
                most = min(max_events, segment.count - segment.read)
                self._held = segment
            # Without the lock: appends go on meanwhile, and so may the dropping of this segment.
            found: list[tuple[int, bytes | None]] = []
            with suppress(OSError):
                found = segment.records(most, max_bytes)
            with self._lock:
                self._held = None
                if segment.dropped:
                    segment.forget()
                    continue
                if not found:
                    # The file can no longer be read: nothing of it ever will be.
                    found = [(segment.end, None)] * (segment.count - segment.read)
                number = self._gone
                self._gone += len(found)
                segment.advance(len(found), found[-1][0])
                taken = []
                for end, data in found:
                    number += 1
                    if data is None:
                        self._damaged += 1
                    else:
                        taken.append(Record(number, data, segment, end))
                self._note_taken(taken)
            if taken:
                return taken
            self._note(segment, found[-1][0])

    def acknowledge(self, records: Sequence[Record]) -> None:
        """Forget taken events: the server has answered for them, or they were counted as lost."""
        with self._lock:
            on_disk = [
                record
                for record in records
                if record.segment is not None and self._taken.pop(record.number, None) is not None
            ]
        ends = {record.segment: record.end for record in on_disk}
        for segment, end in ends.items():
            self._note(segment, end)
        if not on_disk:
            self._memory.acknowledge(records)

    def _note(self, segment: Segment, end: int) -> None:
        """Note how far a segment is done; delete it when nothing of it is needed any more."""
        with self._lock:
            if segment.dropped:
                return
            self._held = segment
        with suppress(OSError):
            segment.acknowledge(end)
        with self._lock:
            self._held = None
            if segment.dropped:
                segment.forget()
                return
            done = segment.sealed and segment.acknowledged >= segment.end
            if done and segment in self._segments:
                self._segments.remove(segment)
                self._look_round()
                with suppress(ValueError):
                    self._unsealed.remove(segment)
            else:
                return
        segment.remove()

    def give_back(self, records: Sequence[Record]) -> None:
        """Let taken events wait again, before all others."""
        if records and records[0].segment is None:
            self._memory.give_back(records)
            return
        with self._lock:
            for record in reversed(records):
                if self._taken.pop(record.number, None):
                    self._returned.appendleft(record)

    def waiting(self) -> int:
        """Return how many events wait to be taken."""
        with self._lock:
            on_disk = self._appended - self._gone + len(self._returned)
            return on_disk + self._memory.waiting()

    def queued(self) -> int:
        """Return how many events are waiting or taken."""
        with self._lock:
            on_disk = self._appended - self._gone + len(self._returned) + len(self._taken)
            return on_disk + self._memory.queued()

    def accepted(self) -> int:
        """Return how many events were appended."""
        with self._lock:
            return self._appended + self._memory.accepted()

    def fullness(self) -> float:
        """Return the share of the allowed size that is used, from 0 to 1."""
        with self._lock:
            on_disk = (self._used() + self._others_bytes) / self._max_bytes
            return max(on_disk, self._memory.fullness())

    def mark(self) -> Mark:
        """Return a mark of what was appended so far, for `settled`."""
        with self._lock:
            return self._appended, self._memory.mark()[1]

    def settled(self, mark: Mark) -> bool:
        """Say whether all events up to a mark are gone."""
        with self._lock:
            first = self._gone + 1
            for record in (*self._taken.values(), *self._returned):
                first = min(first, record.number)
            return first > mark[0] and self._memory.settled(mark)

    def tidy(self) -> int:
        """Unmap full segments, make spares; return how many events turned out to be unreadable."""
        while True:
            with self._lock:
                segment = self._unsealed.popleft() if self._unsealed else None
                if self._active is not None and self._active.end > self._active.size // EARLY:
                    self._wanted = max(self._wanted, 1)
                wanted = self._wanted - len(self._spares)
            if segment is None:
                break
            segment.seal()
        if wanted > 0:
            self._make_spares(wanted)
        with self._lock:
            damaged, self._damaged = self._damaged, 0
            return damaged

    def _make_spares(self, wanted: int) -> None:
        own = self._used()
        self._others_bytes = max(0, self._folder.used_bytes() - own)
        for _ in range(wanted):
            if own + self._others_bytes + self._segment_bytes > self._max_bytes:
                return
            try:
                spare = self._make(self._segment_bytes, touched=True)
            except (OSError, SpoolUnusable):
                return  # the next segment will say it
            own += self._segment_bytes
            with self._lock:
                self._spares.append(spare)

    def end(self) -> int:
        """Leave on the disk what was not acknowledged; return how many events are lost."""
        with self._lock:
            segments = [*self._segments, *self._spares]
            kept = {record.segment for record in (*self._taken.values(), *self._returned)}
            for segment in segments:
                self._give_up(segment, keep=segment.read < segment.count or segment in kept)
            self._active = None
            self._segments.clear()
            self._spares.clear()
            self._unsealed.clear()
            if self._claim is not None:
                self._claim.release()
                self._claim = None
            return self._memory.end()

    def after_fork(self) -> None:
        """Start empty in a child: what was logged before belongs to the parent."""
        for segment in (*self._segments, *self._spares, *self._unsealed):
            segment.forget()
        if self._claim is not None:
            # Closed, not unlocked: that would unlock the parent's.
            self._claim.forget()
        self._clear()


class Orphans:
    """What dead processes left for one destination."""

    def __init__(self, folder: Folder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def are_there(self) -> bool:
        """Say whether there may be any: whether other processes have a directory."""
        own = f"{os.getpid()}-"
        return any(not os.path.basename(path).startswith(own) for path in self._folder.owners())

    def next(self) -> DiskSpool | None:
        """Adopt what one dead process left; None if there is nothing. No two adopt the same."""
        for claim in self._folder.orphans():
            spool = DiskSpool.adopt(self._folder, claim, self._clock)
            if spool.waiting():
                return spool
            spool.end()
        return None
