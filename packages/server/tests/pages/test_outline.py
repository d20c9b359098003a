"""The rows of a run's outline: places, bars and what each comes to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.pages.outline import DEEPEST, rows_of_run
from watchllm_server.query.outline import OutlineEvent

START = datetime(2026, 11, 24, 9, tzinfo=UTC)


def event(
    event_id: str,
    second: float = 0,
    *,
    parent: str = "",
    kind: str = "prompt_call",
    latency_ms: float | None = 0,
    cost: str | None = "0.5",
    **fields: str,
) -> OutlineEvent:
    """Return an event of an outline that happened so many seconds after its run's beginning."""
    texts = {"model": "m", "status": "success", "step_number": "0", "error_type": "", "name": ""}
    return OutlineEvent(
        event_id=event_id, event_type=kind, ts=START + timedelta(seconds=second),
        latency_ms=latency_ms, tokens_input=1, tokens_output=2, prompt_head="", step_type="",
        cost_usd=None if cost is None else Decimal(cost), parent_event_id=parent,
        **(texts | fields),
    )  # fmt: skip


def test_a_run_without_events_has_no_rows() -> None:
    """What was erased a moment ago is nothing."""
    assert rows_of_run([], as_tree=True) == []


def test_bars_lie_where_the_work_was() -> None:
    """A bar begins when the work did and ends when the event was logged, in percent."""
    rows = rows_of_run(
        [event("a", 1, latency_ms=1_000), event("b", 4, latency_ms=2_000)], as_tree=False
    )

    assert [(row.bar_start, row.bar_width) for row in rows] == [(0, 25), (50, 50)]
    assert [row.after for row in rows] == ["+1.00 s", "+4.00 s"]


def test_a_tree_says_what_each_branch_comes_to() -> None:
    """An event with others below it has their sum; unknown costs are not taken for 0."""
    rows = rows_of_run(
        [
            event("a"),
            event("b", 1, parent="a", cost=None),
            event("c", 2, parent="b"),
            event("d", 3),
        ],
        as_tree=True,
    )

    assert [(row.event_id, row.depth, row.below) for row in rows] == [
        ("a", 0, "3 events, 9 tokens, $1.00"), ("b", 1, "2 events, 6 tokens, $0.5000"),
        ("c", 2, ""), ("d", 0, ""),
    ]  # fmt: skip
    assert rows[1].cost == "unknown"


def test_the_order_of_time_has_no_branches() -> None:
    """The same events in the order of their times stand side by side."""
    rows = rows_of_run([event("a"), event("b", 1, parent="a")], as_tree=False)

    assert [(row.event_id, row.depth, row.below) for row in rows] == [("a", 0, ""), ("b", 0, "")]


@pytest.mark.parametrize("as_tree", [True, False])
def test_only_the_rows_that_are_shown_are_made(as_tree: bool) -> None:
    """A stretch of the outline is the same rows as in the whole, with the same sums."""
    events = [event("a"), event("b", 1, parent="a"), event("c", 2, parent="b"), event("d", 3)]

    rows = rows_of_run(events, as_tree=as_tree, shown=slice(1, 3))

    assert rows == rows_of_run(events, as_tree=as_tree)[1:3]


def test_a_deep_tree_is_indented_only_so_far() -> None:
    """Thousands of levels do not lead out of the page."""
    chain = [event("0")] + [event(str(n), n, parent=str(n - 1)) for n in range(1, 3_000)]

    rows = rows_of_run(chain, as_tree=True)

    assert max(row.depth for row in rows) == DEEPEST
    assert [row.event_id for row in rows] == [each.event_id for each in chain]


@pytest.mark.parametrize(
    ("fields", "title", "tone"),
    [
        ({"kind": "prompt_call", "model": ""}, "unknown model", "success"),
        ({"kind": "agent_step", "step_number": "3", "name": "plan"}, "3. plan", "success"),
        ({"kind": "agent_step", "name": "pl\x1ban"}, "pl␛an", "success"),
        ({"kind": "error", "error_type": "KeyError", "status": ""}, "KeyError", "error"),
        ({"kind": "error", "status": ""}, "error", "error"),
        ({"kind": "assertion_failed", "name": "short"}, "short", "warning"),
        ({"kind": "own_type", "status": "timeout"}, "own type", "error"),
    ],
)
def test_an_event_is_called_by_what_it_is(fields: dict[str, str], title: str, tone: str) -> None:
    """A call has its model, a step its number and name, others what they name."""
    [row] = rows_of_run([event("a", **fields)], as_tree=True)  # type: ignore[arg-type]  # some of the names

    assert (row.title, row.tone) == (title, tone)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.none() | st.floats(0, 1e308)), min_size=1))
def test_every_bar_is_inside_its_track(moments: list[tuple[float, float | None]]) -> None:
    """However long work took, its bar begins and ends within the row."""
    events = [
        event(str(number), second, latency_ms=latency)
        for number, (second, latency) in enumerate(sorted(moments, key=lambda each: each[0]))
    ]

    for row in rows_of_run(events, as_tree=False):
        assert 0 <= row.bar_start <= 100
        assert 0 < row.bar_width <= 100.01 - row.bar_start
