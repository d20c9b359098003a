"""Group commit: what is answered when, and what happens to a group that fails."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from conftest import prompt_call
from msgspec import Raw
from watchllm_server.clock import SystemClock
from watchllm_server.errors import Problem, StoreError
from watchllm_server.events import read_event
from watchllm_server.ingest.commit import GroupCommit
from watchllm_server.query.events import page_of_events
from watchllm_server.query.filter import Filter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from watchllm_server.rows import Call, Row
    from watchllm_server.store.embedded import EmbeddedStore


class MemoryStore:
    """A store in memory that can be held up and made to fail."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.failing: set[str] = set()
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def insert_group(self, rows: Sequence[tuple[Row, Decimal | None]]) -> None:
        """Store rows once the gate is open, unless one of them is to fail."""
        self.entered.release()
        self.gate.wait(10)
        ids = [row.event_id for row, _ in rows]
        if self.failing.intersection(ids):
            raise StoreError("Code: 243. DB::Exception: no space: 'secret' (NOT_ENOUGH_SPACE)")
        self.groups.append(ids)

    def query(
        self,
        name: str,
        parameters: Mapping[str, Any],
        fragments: Mapping[str, str] | None = None,
    ) -> list[Any]:
        """Answer which of the ids are stored."""
        assert (name, fragments) == ("stored_ids", None)
        return [[i] for group in self.groups for i in group if i in parameters["event_ids"]]

    def run(self, *_: Any, **__: Any) -> None:
        """Know no statement."""
        raise NotImplementedError

    def ping(self) -> None:
        """Answer always."""

    def close(self) -> None:
        """Let go of nothing."""


class NoPrices:
    """Price lists without a price."""

    def cost(self, call: Call, project_id: str) -> Decimal | None:
        """Fail for a model of that name, and know no price for the others."""
        if call.model == "fail":
            raise ZeroDivisionError
        return None


def row(event_id: str, project: str = "p", **fields: Any) -> Row:
    """Return the row of a prompt call."""
    event = prompt_call(event_id=event_id, **fields)
    return read_event(Raw(json.dumps(event).encode()), project)


@contextmanager
def committing(store: Any, **limits: int) -> Iterator[GroupCommit]:
    """Run a writer over a store for the length of a block."""
    bounds = {"group_events": 2_000, "group_bytes": 8_000_000, "group_seconds": 0} | limits
    commit = GroupCommit(store, NoPrices(), clock=SystemClock(), **bounds)
    commit.start()
    try:
        yield commit
    finally:
        commit.close()


async def begin(commit: GroupCommit, batch: list[Row]) -> asyncio.Task[None]:
    """Add a batch; return once it waits for the writer."""
    begun = asyncio.Event()

    async def add() -> None:
        begun.set()
        await commit.add(batch, 10)

    task = asyncio.create_task(add())
    await begun.wait()  # resumed only after add() has come to its own wait
    return task


async def add_while_busy(
    commit: GroupCommit, store: MemoryStore, batches: list[list[Row]]
) -> list[BaseException | None]:
    """Add a batch, and the others while it is being stored; return what each was answered."""
    store.gate.clear()
    first = asyncio.create_task(commit.add([row("first")], 10))
    await asyncio.to_thread(store.entered.acquire)
    others = [await begin(commit, batch) for batch in batches]
    store.gate.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_a_group_grows_while_the_insert_before_it_runs() -> None:
    """What arrives during an insert is stored by one insert after it."""
    store = MemoryStore()

    with committing(store) as commit:
        asyncio.run(add_while_busy(commit, store, [[row("a")], [row("b"), row("c")], [row("d")]]))

    assert store.groups == [["first"], ["a", "b", "c", "d"]]


def test_under_load_a_group_grows_until_it_is_full() -> None:
    """After a group of several batches the next one waits for others, until it is full."""
    store = MemoryStore()

    async def story(commit: GroupCommit) -> None:
        await add_while_busy(commit, store, [[row("x")], [row("y")], [row("z")]])
        await asyncio.gather(commit.add([row("a")], 10), commit.add([row("b"), row("c")], 10))

    with committing(store, group_events=3, group_seconds=10_000) as commit:
        asyncio.run(story(commit))

    assert store.groups == [["first"], ["x", "y", "z"], ["a", "b", "c"]]


def test_a_group_waits_no_longer_than_for_the_senders_of_the_last() -> None:
    """When as many batches wait as made the largest of the last groups they are stored at once."""
    store = MemoryStore()

    async def story(commit: GroupCommit) -> None:
        await add_while_busy(commit, store, [[row("x")], [row("y")]])
        await asyncio.gather(commit.add([row("a")], 10), commit.add([row("b")], 10))

    with committing(store, group_seconds=10_000) as commit:
        asyncio.run(story(commit))

    assert store.groups == [["first"], ["x", "y"], ["a", "b"]]


def test_a_single_sender_waits_for_nobody() -> None:
    """Batches that come one after the other are stored one by one, without a pause."""
    store = MemoryStore()

    async def story(commit: GroupCommit) -> None:
        for name in "abc":
            await commit.add([row(name)], 10)

    with committing(store, group_seconds=10_000) as commit:
        asyncio.run(story(commit))

    assert store.groups == [["a"], ["b"], ["c"]]


def test_a_group_that_is_still_growing_is_stored_at_the_end() -> None:
    """To close the writer stores what was waiting for company."""
    store = MemoryStore()

    async def story(commit: GroupCommit) -> None:
        await add_while_busy(commit, store, [[row("x")], [row("y")]])
        waiting = await begin(commit, [row("a")])
        await asyncio.to_thread(commit.close)
        await waiting

    with committing(store, group_seconds=10_000) as commit:
        asyncio.run(story(commit))

    assert store.groups == [["first"], ["x", "y"], ["a"]]


def test_a_group_is_bounded() -> None:
    """No insert carries more than the limit, except a single batch that is larger itself."""
    store = MemoryStore()
    batches = [[row("a"), row("b")], [row("c")], [row("d"), row("e"), row("f")]]

    with committing(store, group_events=2) as commit:
        asyncio.run(add_while_busy(commit, store, batches))

    assert store.groups == [["first"], ["a", "b"], ["c"], ["d", "e", "f"]]


def test_a_batch_that_the_store_refuses_fails_alone() -> None:
    """The neighbours of a refused batch are stored, and its sender is told to come back."""
    store = MemoryStore()
    store.failing = {"b"}

    with committing(store) as commit:
        answers = asyncio.run(add_while_busy(commit, store, [[row("a")], [row("b")], [row("c")]]))

    first, one, two, three = answers
    assert (first, one, three) == (None, None, None)
    assert isinstance(two, Problem)
    assert (two.status, two.code, two.headers) == (503, "store_unavailable", {"Retry-After": "5"})
    assert store.groups == [["first"], ["a"], ["c"]]


def test_a_failed_batch_is_stored_when_it_comes_again() -> None:
    """Nothing of a failed batch is remembered as stored."""
    store = MemoryStore()
    store.failing = {"a"}

    async def twice(commit: GroupCommit) -> None:
        with pytest.raises(Problem):
            await commit.add([row("a")], 10)
        store.failing = set()
        await commit.add([row("a")], 10)

    with committing(store) as commit:
        asyncio.run(twice(commit))

    assert store.groups == [["a"]]


def test_the_log_of_a_failure_holds_no_data(caplog: pytest.LogCaptureFixture) -> None:
    """A failed insert is logged with the engine's error name and without its text."""
    store = MemoryStore()
    store.failing = {"a"}

    async def once(commit: GroupCommit) -> None:
        with pytest.raises(Problem):
            await commit.add([row("a")], 10)

    with committing(store) as commit:
        asyncio.run(once(commit))

    assert "NOT_ENOUGH_SPACE" in caplog.text
    assert "secret" not in caplog.text


def test_a_call_that_cannot_be_priced_is_stored_all_the_same() -> None:
    """A failure of the price lists costs no event."""
    store = MemoryStore()

    with committing(store) as commit:
        asyncio.run(commit.add([row("a", model="fail")], 10))

    assert store.groups == [["a"]]


def test_close_stores_what_was_taken_and_takes_no_more() -> None:
    """What waits when the writer closes is stored; what comes later is told to come back."""
    store = MemoryStore()
    commit = GroupCommit(
        store,
        NoPrices(),
        group_events=1,
        group_bytes=8_000_000,
        group_seconds=0,
        clock=SystemClock(),
    )
    commit.start()

    async def story() -> list[BaseException | None]:
        store.gate.clear()
        taken = [asyncio.ensure_future(commit.add([row(name)], 10)) for name in "abc"]
        await asyncio.to_thread(store.entered.acquire)
        closing = asyncio.create_task(asyncio.to_thread(commit.close))
        store.gate.set()
        await closing
        late = asyncio.ensure_future(commit.add([row("late")], 10))
        return await asyncio.gather(*taken, late, return_exceptions=True)

    *taken, late = asyncio.run(story())

    assert taken == [None, None, None]
    assert isinstance(late, Problem)
    assert (late.status, late.code) == (503, "shutting_down")
    assert store.groups == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("failing", [set(), {"b"}])
def test_settling_waits_for_what_was_added_before(failing: set[str]) -> None:
    """Once it returns nothing that was added before is on its way, be it stored or refused."""
    store = MemoryStore()

    async def story(commit: GroupCommit) -> None:
        store.gate.clear()
        added = [asyncio.create_task(commit.add([row("a")], 10))]
        await asyncio.to_thread(store.entered.acquire)
        added.append(await begin(commit, [row("b")]))
        begun = threading.Event()

        def stored_once_settled() -> list[str]:
            begun.set()
            commit.settle()
            return [name for group in store.groups for name in group]

        settling = asyncio.create_task(asyncio.to_thread(stored_once_settled))
        await asyncio.to_thread(begun.wait)
        store.failing = failing
        store.gate.set()
        assert await settling == ["a", *({"b"} - failing)]
        await asyncio.gather(*added, return_exceptions=True)

    with committing(store) as commit:
        asyncio.run(story(commit))


def test_settling_without_a_writer_waits_for_nobody() -> None:
    """Before its start and after its end nothing is on its way."""
    with committing(MemoryStore()) as commit:
        pass
    commit.settle()


def test_a_store_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settling does not wait for ever."""
    monkeypatch.setattr("watchllm_server.ingest.commit._SETTLING_SECONDS", 0.01)
    store = MemoryStore()

    async def story(commit: GroupCommit) -> None:
        store.gate.clear()
        adding = asyncio.create_task(commit.add([row("a")], 10))
        await asyncio.to_thread(store.entered.acquire)
        with pytest.raises(StoreError, match="does not answer"):
            await asyncio.to_thread(commit.settle)
        store.gate.set()
        await adding

    with committing(store) as commit:
        asyncio.run(story(commit))


def test_a_sender_that_goes_away_does_not_stop_the_writer() -> None:
    """Cancelled requests, waiting or being stored, leave the writer at work for the others."""
    store = MemoryStore()

    async def story(commit: GroupCommit) -> None:
        store.gate.clear()
        running = asyncio.create_task(commit.add([row("a")], 10))
        await asyncio.to_thread(store.entered.acquire)
        waiting = await begin(commit, [row("b")])
        running.cancel()
        waiting.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        store.gate.set()
        await commit.add([row("c")], 10)

    with committing(store) as commit:
        asyncio.run(story(commit))

    assert [name for group in store.groups for name in group] == ["a", "c"]


def test_an_id_is_stored_once_also_after_a_restart(store: EmbeddedStore) -> None:
    """The same event twice in a batch, in another batch, and to a new writer is one event."""
    project = f"dedup-{uuid.uuid4()}"
    events = [row(f"event-{number}", project) for number in range(3)]

    with committing(store) as commit:
        asyncio.run(commit.add([*events, events[0]], 10))
        asyncio.run(commit.add(events, 10))
    with committing(store) as restarted:
        asyncio.run(restarted.add([*events, row("event-3", project)], 10))

    found = page_of_events(store, Filter(project), limit=100)
    assert sorted(event.event_id for event in found.events) == [f"event-{n}" for n in range(4)]


def test_the_same_id_in_two_projects_is_two_events(store: EmbeddedStore) -> None:
    """An id counts within its project."""
    one, two = f"one-{uuid.uuid4()}", f"two-{uuid.uuid4()}"

    with committing(store) as commit:
        asyncio.run(commit.add([row("x", one), row("x", two)], 10))

    assert [len(page_of_events(store, Filter(p), limit=9).events) for p in (one, two)] == [1, 1]


def test_a_half_stored_group_is_completed(store: EmbeddedStore) -> None:
    """Of a group of which a crash left one month, a redelivery adds the other month alone."""
    project = f"half-{uuid.uuid4()}"
    october = row("october", project, timestamp="2026-10-31T23:59:59Z")
    november = row("november", project, timestamp="2026-11-01T00:00:00Z")
    store.insert_group([(october, None)])

    with committing(store) as commit:
        asyncio.run(commit.add([october, november], 10))

    found = page_of_events(store, Filter(project), limit=9)
    assert [event.event_id for event in found.events] == ["november", "october"]
