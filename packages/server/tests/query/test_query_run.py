"""What a run consists of, whether it goes on, and which runs are beside it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from conftest import prompt_call
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storing import put
from watchllm_server.query.neighbours import neighbours_of_run
from watchllm_server.query.outline import outline_of_run
from watchllm_server.query.pulse import pulse_of_run
from watchllm_server.query.runs import Run, run_by_id

if TYPE_CHECKING:
    from watchllm_server.store.base import EventStore

BASE = datetime(2026, 11, 1, tzinfo=UTC)


def run_of(store: EventStore, project: str, run_id: str) -> Run:
    """Return a run that must be there."""
    run = run_by_id(store, project, run_id)
    assert run is not None
    return run


def at(seconds: int, run_id: str) -> dict[str, object]:
    """Return a call of a run at a time."""
    moment = BASE + timedelta(seconds=seconds)
    return prompt_call(run_id=run_id, timestamp=moment.isoformat().replace("+00:00", "Z"))


def test_an_outline_has_what_a_list_shows(any_store: EventStore) -> None:
    """Of each event it tells the place in the tree, the name and the numbers, in order of time."""
    project = str(uuid.uuid4())
    put(
        any_store, project,
        prompt_call(event_id="b", timestamp="2026-11-24T09:30:01Z", parent_event_id="a"),
        {
            "event_id": "a", "event_type": "agent_step", "run_id": "run-1", "step_number": 3,
            "step_name": "plan", "step_type": "reasoning", "input_data": {}, "output_data": {},
            "timestamp": "2026-11-24T09:30:00Z", "latency_ms": 500, "status": "success",
        },
        {
            "event_id": "c", "event_type": "error", "run_id": "run-1",
            "timestamp": "2026-11-24T09:30:02Z",
            "error": {"message": "Boom", "type": "ValueError"}, "parent_event_id": 7,
        },
        cost=Decimal("0.25"),
    )  # fmt: skip

    found = outline_of_run(any_store, project, run_of(any_store, project, "run-1"), limit=10)

    step, call, failure = found
    assert [each.event_id for each in found] == ["a", "b", "c"]
    assert (step.name, step.step_number, step.step_type) == ("plan", "3", "reasoning")
    assert step.began == step.ts - timedelta(milliseconds=500)
    assert (call.parent_event_id, call.tokens_output, call.cost_usd) == ("a", 45, Decimal("0.25"))
    assert (failure.error_type, failure.parent_event_id, failure.name) == ("ValueError", "", "")
    run = run_of(any_store, project, "run-1")
    assert outline_of_run(any_store, project, run, limit=2) == found[:2]


def test_an_impossible_latency_begins_at_the_event(any_store: EventStore) -> None:
    """A latency that leads before all calendars leaves the event where it is, in the run too."""
    project = str(uuid.uuid4())
    put(any_store, project, prompt_call(latency_ms=1e300))

    run = run_of(any_store, project, "run-1")
    [only] = outline_of_run(any_store, project, run, limit=10)

    assert only.began == only.ts
    assert run.duration_ms > 0


def test_a_pulse_tells_when_the_last_event_came(any_store: EventStore) -> None:
    """The number of events grows with each, and the time is that of the server's clock."""
    project = str(uuid.uuid4())
    put(any_store, project, at(0, "r"))
    run = run_of(any_store, project, "r")
    first = pulse_of_run(any_store, project, run)
    put(any_store, project, at(1, "r"))

    second = pulse_of_run(any_store, project, run)

    assert (first.events, second.events) == (1, 2)
    assert timedelta() <= second.received_at - first.received_at < timedelta(hours=1)
    assert abs(datetime.now(UTC) - second.received_at) < timedelta(hours=1)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=2),
        st.lists(st.sampled_from([0, 1, 5_000, 90_000, 2_000_000]), min_size=1, max_size=3),
        min_size=1,
    )
)
def test_neighbours_are_those_of_the_order_of_beginnings(
    any_store: EventStore, moments: dict[str, list[int]]
) -> None:
    """However runs overlap, each has the one before and the one after it beside it."""
    project = str(uuid.uuid4())
    put(
        any_store, project,
        *(at(second, run_id) for run_id, seconds in moments.items() for second in seconds),
    )  # fmt: skip
    order = sorted(moments, key=lambda run_id: (min(moments[run_id]), run_id))

    found = [
        neighbours_of_run(any_store, project, run_of(any_store, project, name)) for name in order
    ]

    assert [each.older for each in found] == [None, *order[:-1]]
    assert [each.newer for each in found] == [*order[1:], None]


@pytest.mark.parametrize("many", [49, 120])
def test_neighbours_are_found_past_many_that_go_on(any_store: EventStore, many: int) -> None:
    """Runs that began long before and are still at work do not hide the neighbour behind them."""
    project = str(uuid.uuid4())
    long = [at(when, f"long-{number:03}") for number in range(many) for when in (0, 90_000)]
    put(any_store, project, *long, at(90_001, "this"), at(89_000, "before"), at(90_002, "after"))

    found = neighbours_of_run(any_store, project, run_of(any_store, project, "this"))

    assert (found.older, found.newer) == ("before", "after")
