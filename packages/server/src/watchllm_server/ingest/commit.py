"""Group commit: many batches, one insert, and an answer once it is on disk.

One thread writes. A batch that comes alone is stored at once. Under load a group grows while the
insert before it runs and for a moment more: an insert costs as much as several hundred events in
it, and each part that it makes is merged again. The moment is over early when as many batches wait
as made the largest of the last groups: their senders, who wait for answers, are then all back.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from watchllm_server.errors import Problem, StoreError, StoreUnavailableError, store_unavailable
from watchllm_server.ingest.dedup import Deduplicator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from watchllm_server.clock import Clock
    from watchllm_server.redaction import Redaction
    from watchllm_server.rows import Call, Row
    from watchllm_server.store.base import EventStore

_log = logging.getLogger(__name__)
_REMEMBERED_GROUPS = 8
_SETTLING_SECONDS = 60


class Pricing(Protocol):
    """What knows the cost of a call."""

    def cost(self, call: Call, project_id: str) -> Decimal | None:
        """Return the cost of a project's call in US dollars, or None when it is not known."""
        ...


@dataclass(slots=True)
class _Batch:
    """The rows of one request, and the promise that it waits for."""

    rows: Sequence[Row]
    size: int
    redaction: Redaction | None
    done: Future[None] = field(default_factory=Future)

    def redacted(self) -> Sequence[Row]:
        """Return the rows as they may be stored."""
        if self.redaction:
            self.rows = [self.redaction.row(row) for row in self.rows]
            self.redaction = None
        return self.rows


class GroupCommit:
    """Store the rows of many requests together. `start` it, and `close` it to finish its work.

    `group_events` and `group_bytes` bound one insert; a single larger batch goes alone. While
    several batches make a group, inserts start `group_seconds` apart, or as soon as a group is full
    or has as many batches as the largest of the last ones.
    """

    def __init__(
        self,
        store: EventStore,
        prices: Pricing,
        *,
        group_events: int,
        group_bytes: int,
        group_seconds: float,
        clock: Clock,
    ) -> None:
        self._store = store
        self._prices = prices
        self._group_events = group_events
        self._group_bytes = group_bytes
        self._group_seconds = group_seconds
        self._clock = clock
        self._not_before = 0.0
        self._last_sizes: deque[int] = deque([1], _REMEMBERED_GROUPS)
        self._dedup = Deduplicator(store)
        self._waiting: deque[_Batch] = deque()
        self._waiting_events = 0
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="group-commit")

    def start(self) -> None:
        """Start the writer's thread."""
        self._thread.start()

    async def add(self, rows: Sequence[Row], size: int, redaction: Redaction | None = None) -> None:
        """Return once the rows are synced to disk, redacted on the writer's thread if asked.

        Raises the Problem that answers 503 when they could not be stored, or the writer has closed.
        """
        batch = _Batch(rows, size, redaction)
        with self._changed:
            if self._closing:
                message = "The server is shutting down. Send this batch again in a few seconds."
                raise Problem(503, "shutting_down", message, retry_after=2)
            self._waiting.append(batch)
            self._waiting_events += len(rows)
            self._waiting_bytes += size
            self._changed.notify()
        await asyncio.wrap_future(batch.done)

    def settle(self) -> None:
        """Wait on another thread than the event loop's until what was added so far is answered.

        Raises StoreError when it takes a minute.
        """
        mark = _Batch((), 0, None)
        with self._changed:
            if self._closing or not self._thread.is_alive():
                return
            self._waiting.append(mark)
            self._changed.notify()
        try:
            mark.done.exception(_SETTLING_SECONDS)  # it fails with those that it waited with
        except TimeoutError:
            raise StoreError("The event store does not answer.") from None

    def close(self) -> None:
        """Take no more, store what was taken, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[_Batch]:
        """Wait for work and return it; nothing when there is none and none will come."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            self._let_it_grow()
            group: list[_Batch] = []
            events = size = 0
            while self._waiting:
                batch = self._waiting[0]
                events += len(batch.rows)
                size += batch.size
                if group and (events > self._group_events or size > self._group_bytes):
                    break
                group.append(self._waiting.popleft())
                self._waiting_events -= len(batch.rows)
                self._waiting_bytes -= batch.size
            self._last_sizes.append(len(group))
            # A single batch tells of a single sender, who would wait for nobody.
            wait = self._group_seconds if len(group) > 1 else 0
            self._not_before = self._clock.monotonic() + wait
            return group

    def _let_it_grow(self) -> None:
        while not self._closing:
            left = self._not_before - self._clock.monotonic()
            full = (
                self._waiting_events >= self._group_events
                or self._waiting_bytes >= self._group_bytes
                or len(self._waiting) >= max(self._last_sizes)
            )
            if left <= 0 or full:
                return
            self._changed.wait(left)

    def _commit(self, group: list[_Batch]) -> None:
        # From here on a request that goes away no longer takes its rows back.
        group = [batch for batch in group if batch.done.set_running_or_notify_cancel()]
        try:
            self._store_rows([row for batch in group for row in batch.redacted()])
        except Exception as error:  # noqa: BLE001 - whatever fails, the senders must hear of it
            if len(group) > 1 and not isinstance(error, StoreUnavailableError):
                # A batch that the store cannot take must not fail the others beside it.
                for batch in group:
                    self._commit_alone(batch)
            else:
                self._fail(group, error)
        else:
            for batch in group:
                batch.done.set_result(None)

    def _commit_alone(self, batch: _Batch) -> None:
        try:
            self._store_rows(batch.redacted())
        except Exception as error:  # noqa: BLE001 - whatever fails, the senders must hear of it
            self._fail([batch], error)
        else:
            batch.done.set_result(None)

    def _store_rows(self, rows: Sequence[Row]) -> None:
        new = self._dedup.new(rows)
        priced = [
            (row, self._cost(row.call, row.project_id) if row.call else None)
            for row in new.values()
        ]
        if priced:
            self._store.insert_group(priced)
        self._dedup.remember(new)

    def _cost(self, call: Call, project_id: str) -> Decimal | None:
        try:
            return self._prices.cost(call, project_id)
        except Exception:  # noqa: BLE001 - an event without a price is worth more than none
            _log.warning("A call of model %r could not be priced", call.model[:100])
            return None

    def _fail(self, group: list[_Batch], error: Exception) -> None:
        # The engine's text may quote the rows, which belong into no log.
        why = error.reason if isinstance(error, StoreError) else type(error).__name__
        _log.error("A group of %d batches could not be stored: %s", len(group), why)
        for batch in group:
            batch.done.set_exception(store_unavailable())
