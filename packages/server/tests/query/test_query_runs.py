"""The list of runs in other orders, and narrowed by what a run is as a whole."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from conftest import prompt_call, utc
from storing import put
from watchllm_server.query.cursor import CursorError, encode_cursor
from watchllm_server.query.filter import Filter
from watchllm_server.query.runs import Whole, page_of_runs, run_by_id

if TYPE_CHECKING:
    from watchllm_server.query.events import SortOrder
    from watchllm_server.query.runs import RunSort
    from watchllm_server.store.base import EventStore


@dataclass
class Filled:
    """A store and the project in it that has runs."""

    store: EventStore
    where: Filter

    def ids(self, whole: Whole | None = None, sort_by: RunSort = "started") -> list[str]:
        """Return the ids of the runs on a page that holds all."""
        found = page_of_runs(self.store, self.where, whole or Whole(), limit=9, sort_by=sort_by)
        return [run.run_id for run in found.runs]


@pytest.fixture(scope="module")
def filled(any_store: EventStore) -> Filled:
    """Store four runs: a long one, a dear one, one that failed twice, one of unknown cost."""
    project = str(uuid.uuid4())
    put(
        any_store, project,
        prompt_call(run_id="long", timestamp="2026-11-24T09:00:09Z", latency_ms=9_000),
        prompt_call(run_id="failed", timestamp="2026-11-24T09:02:00Z", status="error"),
        prompt_call(run_id="failed", timestamp="2026-11-24T09:02:01Z", status="timeout"),
        prompt_call(run_id="failed", timestamp="2026-11-24T09:02:02Z", latency_ms=0),
        cost=Decimal("0.01"),
    )  # fmt: skip
    dear = prompt_call(run_id="dear", timestamp="2026-11-24T09:01:00Z", latency_ms=100)
    put(any_store, project, dear, cost=Decimal("0.5"))
    put(any_store, project, prompt_call(run_id="odd", timestamp="2026-11-24T09:03:00Z"))
    return Filled(any_store, Filter(project_id=project))


@pytest.mark.parametrize(
    ("sort_by", "expected"),
    [
        ("started", ["odd", "failed", "dear", "long"]),
        ("duration", ["long", "failed", "odd", "dear"]),
        ("events", ["failed", "odd", "dear", "long"]),
        ("errors", ["failed", "odd", "dear", "long"]),
        ("cost", ["dear", "failed", "long", "odd"]),
    ],
)
@pytest.mark.parametrize("sort_order", ["asc", "desc"])
def test_runs_come_in_each_order_page_by_page(
    filled: Filled, sort_by: RunSort, sort_order: SortOrder, expected: list[str]
) -> None:
    """Pages of one run each hold all runs in the order, and what is equal the newest first."""
    found, cursor = [], None
    for _ in expected:
        page = page_of_runs(
            filled.store, filled.where,
            limit=1, cursor=cursor, sort_by=sort_by, sort_order=sort_order,
        )  # fmt: skip
        found += [run.run_id for run in page.runs]
        cursor = page.next_cursor

    assert cursor is None
    assert found == (expected if sort_order == "desc" else expected[::-1])


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        (Whole(statuses=("error",)), ["failed"]),
        (Whole(least_cost=Decimal("0.02")), ["failed", "dear"]),
        (Whole(least_ms=2_000), ["failed", "long"]),
        (Whole(least_ms=2_000, least_cost=Decimal("0.02")), ["failed"]),
        (Whole(least_cost=Decimal(3)), []),
    ],
)
def test_runs_are_narrowed_as_wholes(filled: Filled, whole: Whole, expected: list[str]) -> None:
    """A condition on cost or time is one on the run and not on a single call of it."""
    assert filled.ids(whole) == expected


def test_a_run_takes_from_its_first_beginning_to_its_newest_event(filled: Filled) -> None:
    """A call is logged when it ends, so that a run of one call takes as long as the call."""
    durations = {
        name: run.duration_ms
        for name in ("long", "failed", "dear")
        if (run := run_by_id(filled.store, filled.where.project_id, name))
    }

    assert durations == {"long": 9_000, "failed": 3_250, "dear": 100}


@pytest.mark.parametrize("key", ["nan", "1e400", "9" * 30, "", "words"])
@pytest.mark.parametrize("sort_by", ["cost", "errors"])
def test_a_made_up_place_in_an_order_is_refused(filled: Filled, sort_by: RunSort, key: str) -> None:
    """A cursor whose key is no number of the order is none that was given out."""
    cursor = encode_cursor(f"runs/{sort_by}/desc", key, 1, "run")

    with pytest.raises(CursorError):
        page_of_runs(filled.store, filled.where, limit=1, cursor=cursor, sort_by=sort_by)


def test_events_are_narrowed_by_cost_and_latency(filled: Filled) -> None:
    """A filter of events may ask for a least cost and a least latency; runs have such an event."""
    where = Filter(project_id=filled.where.project_id, least_cost=Decimal("0.1"))
    slow = Filter(project_id=filled.where.project_id, least_ms=2_000)

    assert Filled(filled.store, where).ids() == ["dear"]
    assert Filled(filled.store, slow).ids() == ["long"]


def test_a_run_that_began_before_the_time_is_not_of_it(any_store: EventStore) -> None:
    """A run belongs to the stretch of time that it began in, however long it goes on."""
    project = str(uuid.uuid4())
    put(
        any_store, project,
        prompt_call(run_id="early", timestamp="2026-11-24T08:59:59Z"),
        prompt_call(run_id="early", timestamp="2026-11-24T09:30:00Z", model="m"),
        prompt_call(run_id="inside", timestamp="2026-11-24T09:00:00Z", model="m"),
    )  # fmt: skip
    where = Filter(project_id=project, date_from=utc("2026-11-24T09:00:00"), models=("m",))

    assert Filled(any_store, where).ids() == ["inside"]
    assert Filled(any_store, where).ids(Whole(least_ms=1), "events") == ["inside"]


def called(run: str, second: int) -> dict[str, Any]:
    """Return a call of a run in that second of a day."""
    moment = utc("2026-11-24T09:00:00") + timedelta(seconds=second)
    return prompt_call(run_id=run, timestamp=moment.isoformat().replace("+00:00", "Z"))


@pytest.mark.parametrize("going_on", [0, 3, 30])
def test_the_newest_of_many_runs_come_in_order(any_store: EventStore, going_on: int) -> None:
    """Pages of the newest runs are the same, however many runs that began long before go on."""
    project = str(uuid.uuid4())
    put(
        any_store, project,
        *(called(f"run-{number}", number) for number in range(1_000)),
        *(called(f"old-{number}", -1 - number) for number in range(going_on)),
        *(called(f"old-{number}", 2_000 + number) for number in range(going_on)),
    )  # fmt: skip
    where = Filter(project_id=project)

    newest = page_of_runs(any_store, where, limit=2)
    next_page = page_of_runs(any_store, where, limit=2, cursor=newest.next_cursor)

    assert [run.run_id for run in newest.runs] == ["run-999", "run-998"]
    assert [run.run_id for run in next_page.runs] == ["run-997", "run-996"]


def test_the_last_of_many_runs_are_reached(any_store: EventStore) -> None:
    """Page after page shows every run once, also those that fewer events are left of."""
    project = str(uuid.uuid4())
    put(any_store, project, *(called(f"run-{number // 100}", number) for number in range(1_000)))
    found: list[tuple[str, int]] = []
    cursor = None

    while not found or cursor:
        page = page_of_runs(any_store, Filter(project_id=project), limit=3, cursor=cursor)
        found += [(run.run_id, run.events) for run in page.runs]
        cursor = page.next_cursor

    assert found == [(f"run-{number}", 100) for number in range(9, -1, -1)]
