"""Counts of events by the values that a list can be narrowed by."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from conftest import prompt_call
from storing import put
from watchllm_server.query.facets import facets_of_events
from watchllm_server.query.filter import Filter

if TYPE_CHECKING:
    from watchllm_server.store.base import EventStore


@pytest.fixture(scope="module")
def where(any_store: EventStore) -> Filter:
    """Store calls of two models and an error; return the filter of their project."""
    project = str(uuid.uuid4())
    put(
        any_store, project,
        prompt_call(model="a", tags=["x", "it's"], env="production", release="1"),
        prompt_call(model="a", tags=["x"], status="error", user_id="u"),
        prompt_call(model="b", prompt="A giraffe.", env="production"),
        {
            "event_id": "e", "event_type": "error", "run_id": "r",
            "timestamp": "2026-11-24T09:00:00Z", "error": {"message": "Boom"},
        },
    )  # fmt: skip
    return Filter(project_id=project)


def test_each_value_is_counted(any_store: EventStore, where: Filter) -> None:
    """Without conditions every value is there with its number, the most frequent first."""
    found = facets_of_events(any_store, where, limit=10)

    assert found.events == 4
    assert found.counts["event_types"] == [("prompt_call", 3), ("error", 1)]
    assert found.counts["statuses"] == [("success", 2), ("error", 1)]
    assert found.counts["models"] == [("a", 2), ("b", 1)]
    assert found.counts["tags"] == [("x", 2), ("it's", 1)]
    assert found.counts["release"] == [("1", 1)]


def test_a_chosen_value_leaves_the_others_of_its_field_to_choose(
    any_store: EventStore, where: Filter
) -> None:
    """A field is counted as if nothing were chosen in it, all others as what was chosen has it."""
    found = facets_of_events(any_store, replace(where, models=("a",)), limit=10)

    assert found.events == 2
    assert found.counts["models"] == [("a", 2), ("b", 1)]
    assert found.counts["event_types"] == [("prompt_call", 2)]


def test_other_conditions_narrow_every_count(any_store: EventStore, where: Filter) -> None:
    """A text, a user or a stretch of time counts for every field."""
    texts = facets_of_events(any_store, replace(where, text="giraffe"), limit=10)
    user = facets_of_events(any_store, replace(where, user_id="u", tags=("x",)), limit=10)

    assert (texts.events, texts.counts["models"]) == (1, [("b", 1)])
    assert (user.events, user.counts["tags"]) == (1, [("x", 1)])


def test_only_the_most_frequent_are_answered(any_store: EventStore, where: Filter) -> None:
    """A field answers with as many values as were asked for."""
    found = facets_of_events(any_store, where, limit=1)

    assert found.counts["models"] == [("a", 2)]
    assert found.counts["tags"] == [("x", 2)]


def test_nothing_counts_nothing(any_store: EventStore) -> None:
    """A project without events has no values."""
    found = facets_of_events(any_store, Filter(project_id=str(uuid.uuid4())), limit=10)

    assert found.events == 0
    assert not any(found.counts.values())
