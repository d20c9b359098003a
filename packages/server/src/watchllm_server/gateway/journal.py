"""Events on their way to the store: appended to small files, handed over, and then removed.

A line that was written outlives the process (not a power cut), and a store that is away costs no
request anything: the files wait for it, up to a bound. A file is handed over again when the process
ends between the store's answer and its removal; the store keeps an event of one id once. Nothing
lies in the files in clear: events wait there as they were, before anything in them is replaced.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from watchllm_server.errors import MetadataUnavailableError, Problem
from watchllm_server.gateway.erased import without_erased
from watchllm_server.gateway.lines import Lines, row_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from watchllm_server.metadata import Erasure
    from watchllm_server.redaction import Redaction
    from watchllm_server.rows import Row
    from watchllm_server.secrets import Seal

_log = logging.getLogger(__name__)

_SUFFIX = ".sealed"
# Of the files of a server that did not encrypt them yet: what is in them counts as damaged.
_SUFFIXES = (_SUFFIX, ".jsonl")
_SEGMENT_BYTES = 256_000
_HANDOVER_BYTES = 2_000_000
# Bytes on disk whose events are in memory too; those of a longer outage are read back from there.
_AT_HAND_BYTES = 2 * _HANDOVER_BYTES
_HANDOVER_SECONDS = 0.25
_LONGEST_WAIT = 15.0
_CLOSING_SECONDS = 2.0
_WHY = {
    "full": "the event store takes nothing, and WATCHLLM_JOURNAL_MB is full",
    "disk": "the disk of the data directory refuses to be written",
    "damaged": "they are torn or changed, or were written under another secret key or in clear",
}
# Lines read before the event loop sees to other work: some 0.2 ms.
_SLICE = 16


class Commit(Protocol):
    """What stores rows."""

    async def add(self, rows: Sequence[Row], size: int, redaction: Redaction | None = None) -> None:
        """Return once the rows are on disk, redacted; raise Problem when they are not stored."""
        ...


@dataclass(slots=True, eq=False)
class _Segment:
    path: Path
    size: int = 0
    events: list[bytes] | None = None
    """What was written, so that it need not be read back and decrypted; None beyond a bound."""


class Journal:
    """Append lines, and hand them to a store. Used by the event loop's thread alone.

    `capacity` bounds the bytes on disk: what comes beyond it is dropped and counted. The events of
    `at_hand_bytes` of them, and of a file more, are in memory as well, and need not be read back.
    `pause` waits for so many seconds between two looks at what has been written. The directory
    belongs to one journal at a time; what an earlier one left there is handed over first, if `seal`
    opens it.

    `redactions` is asked on a thread for what is replaced in the events of each project there is;
    what is recorded of a project that is no more goes no further. `erasures` is asked likewise for
    what was erased since a moment: no call that began before an erasure is stored after it.
    """

    def __init__(
        self,
        directory: Path,
        commit: Commit,
        *,
        capacity: int,
        seal: Seal,
        redactions: Callable[[], Mapping[str, Redaction | None]],
        erasures: Callable[[datetime], Iterable[Erasure]],
        segment_bytes: int = _SEGMENT_BYTES,
        at_hand_bytes: int = _AT_HAND_BYTES,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        self._commit = commit
        self._capacity = capacity
        self._lines = Lines(seal)
        self._redactions = redactions
        self._erasures = erasures
        self._segment_bytes = segment_bytes
        self._at_hand_bytes = at_hand_bytes
        self._pause = pause
        left = sorted(
            path
            for path in directory.iterdir()
            if path.suffix in _SUFFIXES and path.stem.isdecimal()
        )
        self._waiting = deque(_Segment(path, path.stat().st_size) for path in left)
        self._bytes = sum(segment.size for segment in self._waiting)
        self._at_hand = 0
        self._number = int(self._waiting[-1].path.stem) if self._waiting else 0
        self._open: tuple[int, _Segment] | None = None
        self._cautious = False
        self._task: asyncio.Task[None] | None = None
        # Held while files go to the store, from the moment at which erasures are looked up.
        self._storing = asyncio.Lock()
        self._lost: Counter[str] = Counter()

    @property
    def waiting_bytes(self) -> int:
        """Return the bytes on disk that the store has not taken yet."""
        return self._bytes

    @property
    def lost(self) -> dict[str, int]:
        """Return how many events were lost, by reason: `full`, `disk` or `damaged`."""
        return dict(self._lost)

    def append(self, event: bytes) -> bool:
        """Write one event's JSON, encrypted; it outlives the process from then on.

        Returns False when it was dropped and counted: for want of room, or because the disk failed.
        """
        line = self._lines.close(event)
        if self._bytes + len(line) > self._capacity:
            self._lose("full")
            return False
        try:
            descriptor, segment = self._open or self._begin()
            _write(descriptor, segment.size, line)
        except OSError:
            self._lose("disk")
            return False
        segment.size += len(line)
        self._bytes += len(line)
        if segment.events is not None:
            segment.events.append(event)
            self._at_hand += len(line)
        if segment.size >= self._segment_bytes:
            self._end()
        return True

    def start(self) -> None:
        """Start to hand over, on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Hand over what is there, for two seconds at most; the rest waits for the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await self.hand_over()
        self._end()

    async def hand_over(self) -> bool:
        """Hand over what has been written by now, the oldest first; return whether all was taken.

        It ends at the first refusal. What was refused then comes last, and files go one by one: a
        file that the store never takes keeps no other from it.
        """
        self._end()
        last = self._waiting[-1] if self._waiting else None
        while self._waiting and last is not None:
            group = self._group()
            async with self._storing:
                is_stored = await self._store(group)
            if not is_stored:
                self._cautious = True
                self._waiting.rotate(-len(group))
                return False
            self._cautious = False
            if last in group:
                break
        return True

    async def settle(self) -> None:
        """Return when what is on its way to the store now is there, or has come back.

        What goes there later is without what has been erased by now.
        """
        async with self._storing:
            return

    async def _run(self) -> None:
        wait = _HANDOVER_SECONDS
        while True:
            await self._pause(wait)
            try:
                took_all = await self.hand_over()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next round may do better
                _log.error("Recorded calls could not be handed over: %s", type(error).__name__)
                took_all = False
            wait = _HANDOVER_SECONDS if took_all else min(2 * wait, _LONGEST_WAIT)

    def _group(self) -> list[_Segment]:
        if self._cautious:
            return [self._waiting[0]]
        group: list[_Segment] = []
        size = 0
        for segment in self._waiting:
            size += segment.size
            if group and size > _HANDOVER_BYTES:
                break
            group.append(segment)
        return group

    async def _store(self, group: list[_Segment]) -> bool:
        """Hand over the first files, and remove them when the store has taken them."""
        rows, damaged = await self._rows_of(group)
        try:
            parts = await asyncio.to_thread(self._parted, rows) if rows else {}
        except MetadataUnavailableError:
            return False
        size = sum(segment.size for segment in group)
        try:
            for redaction, some in parts.items():
                await self._commit.add(some, size // len(parts), redaction)
        except Problem:
            return False
        for segment in group:
            segment.path.unlink(missing_ok=True)
            self._waiting.popleft()
            self._bytes -= segment.size
            if segment.events is not None:
                self._at_hand -= segment.size
        if damaged:
            self._lose("damaged", damaged)
        return True

    def _parted(self, rows: Sequence[Row]) -> dict[Redaction | None, list[Row]]:
        """Return the rows that may be stored, by how they are redacted."""
        redactions = self._redactions()
        parts: dict[Redaction | None, list[Row]] = {}
        for row in without_erased(rows, self._erasures(min(row.ts for row in rows))):
            if row.project_id in redactions:
                parts.setdefault(redactions[row.project_id], []).append(row)
        return parts

    async def _rows_of(self, group: Sequence[_Segment]) -> tuple[list[Row], int]:
        """Return the rows of files, and the number of damaged lines."""
        rows: list[Row] = []
        damaged = 0
        for segment in group:
            events = await self._events_of(segment)
            while part := list(islice(events, _SLICE)):
                for event in part:
                    row = None if event is None else row_of(event)
                    if row is None:
                        damaged += 1
                    else:
                        rows.append(row)
                await asyncio.sleep(0)
        return rows, damaged

    async def _events_of(self, segment: _Segment) -> Iterator[bytes | None]:
        """Return the events of a file, None in place of a damaged line."""
        if segment.events is not None:
            return iter(segment.events)
        text = await asyncio.to_thread(_text_of, segment.path)
        return map(self._lines.open, text.splitlines(keepends=True))

    def _begin(self) -> tuple[int, _Segment]:
        path = self._directory / f"{self._number + 1:016d}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        events: list[bytes] | None = [] if self._at_hand < self._at_hand_bytes else None
        self._open = os.open(path, flags, 0o600), _Segment(path, events=events)
        self._number += 1
        return self._open

    def _end(self) -> None:
        """Close the file that is being written, which then waits to be handed over."""
        if self._open is None:
            return
        descriptor, segment = self._open
        self._open = None
        os.close(descriptor)
        if segment.size:
            self._waiting.append(segment)
        else:
            segment.path.unlink(missing_ok=True)

    def _lose(self, reason: str, count: int = 1) -> None:
        before = self._lost[reason]
        self._lost[reason] += count
        # At 1, 10, 100, ...: an outage must not fill the log as well.
        if len(str(before)) < len(str(self._lost[reason])) or not before:
            lost = self._lost[reason]
            _log.warning("Recorded calls lost, %d so far (%s): %s.", lost, reason, _WHY[reason])


def _write(descriptor: int, size: int, data: bytes) -> None:
    """Append all of the data, or leave the file of that size as it was and raise OSError."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _text_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
