"""The events of a run as a tree."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from conftest import Account, prompt_call
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from watchllm_server.query.events import Event
from watchllm_server.query.tree import parents_of, tree_of

NAMES = st.sampled_from("abcdefg")


def event(name: str, parent: object = None) -> Event:
    """Return an event that names its parent."""
    attributes = {} if parent is None else {"parent_event_id": Raw(msgspec.json.encode(parent))}
    return Event(
        project_id="p", event_id=name, run_id="r", event_type="agent_step",
        ts=datetime(2026, 11, 24, tzinfo=UTC), env="", tags=[], user_id="", release="", model="",
        status="", latency_ms=None, tokens_input=None, tokens_output=None, cost_usd=None, prompt="",
        response="", attributes=attributes,
    )  # fmt: skip


def shape(*events: Event) -> list[tuple[str, str | None, int]]:
    """Return the tree as tuples."""
    found = tree_of(parents_of(events))
    return [(each.event_id, each.parent_event_id, each.depth) for each in found]


def test_an_event_comes_right_before_what_it_caused() -> None:
    """Children follow their parent in the order in which they came, each one deeper."""
    events = [event("a"), event("b"), event("c", "a"), event("d", "b"), event("e", "c")]

    assert shape(*events) == [
        ("a", None, 0), ("c", "a", 1), ("e", "c", 2), ("b", None, 0), ("d", "b", 1),
    ]  # fmt: skip


def test_a_parent_may_come_later_be_elsewhere_or_be_no_text() -> None:
    """The order of parent and child does not matter, and an unknown parent makes a top."""
    events = [event("a", "b"), event("b"), event("c", "elsewhere"), event("d", 5)]

    assert shape(*events) == [("b", None, 0), ("a", "b", 1), ("c", None, 0), ("d", None, 0)]


@given(st.dictionaries(NAMES, st.none() | NAMES))
def test_every_event_has_one_place(parents: dict[str, str | None]) -> None:
    """Whatever names what as its parent, in circles too, each event is there once."""
    events = [event(name, parent) for name, parent in parents.items()]

    found = tree_of(parents_of(events))

    assert sorted(each.event_id for each in found) == sorted(parents)
    depths = {each.event_id: each.depth for each in found}
    for each in found:
        above = -1 if each.parent_event_id is None else depths[each.parent_event_id]
        assert each.depth == above + 1


def test_a_run_is_answered_with_its_tree(account: Account) -> None:
    """The tree of a run names the events that the answer holds."""
    account.send(
        prompt_call(event_id="top", timestamp="2026-11-24T09:30:00Z"),
        prompt_call(event_id="z", timestamp="2026-11-24T09:30:01Z"),
        prompt_call(
            event_id="below", timestamp="2026-11-24T09:30:02Z", parent_event_id="top"
        ),
    )  # fmt: skip

    _, answer = account.get("/v1/runs/run-1")

    assert [each["event_id"] for each in answer["events"]] == ["top", "z", "below"]
    assert answer["tree"] == [
        {"event_id": "top", "parent_event_id": None, "depth": 0},
        {"event_id": "below", "parent_event_id": "top", "depth": 1},
        {"event_id": "z", "parent_event_id": None, "depth": 0},
    ]
