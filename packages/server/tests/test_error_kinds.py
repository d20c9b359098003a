"""Kinds of errors, failed assertions and hallucinations: their trend, and whom they hit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from stored_events import Stored, call, failed_check, stored_in
from watchllm_server.query.errors import (
    Affected,
    error_affected,
    error_events,
    error_groups,
    error_trends,
)

if TYPE_CHECKING:
    from watchllm_server.store.base import EventStore


@pytest.fixture
def stored(any_store: EventStore) -> Stored:
    """Return a new project in each store."""
    return stored_in(any_store)


def boom(message: str, **fields: Any) -> dict[str, Any]:
    """Return an error event."""
    return failed_check("error", error={"type": "ValueError", "message": message}, **fields)


def test_a_trend_counts_errors_by_stretches_of_time(stored: Stored) -> None:
    """Each kind has its count in each stretch from the beginning on, sampled errors weighed."""
    stored.put(
        boom("Order 1", timestamp="2026-11-24T00:00:00Z"),
        boom("Order 2", timestamp="2026-11-24T05:59:59Z", sample_rate=0.5),
        boom("Order 3", timestamp="2026-11-24T23:00:00Z"),
        boom("Other", timestamp="2026-11-24T12:00:00Z"),
        boom("Order 4", timestamp="2026-11-25T00:00:00Z"),
    )

    found = error_trends(stored.store, stored.where(), limit=10, width=timedelta(hours=6))

    trends = {group.pattern: trend for group, trend in found}
    assert trends == {"Order #": [3, 0, 0, 1], "Other": [0, 0, 1, 0]}


def test_one_kind_is_found_by_its_fingerprint(stored: Stored) -> None:
    """A fingerprint narrows groups, affected names and events to the errors of one kind."""
    stored.put(
        boom("Order 1", user_id="ann", release="2", event_id="a"),
        boom("Order 2", user_id="bob", event_id="b", timestamp="2026-11-24T10:00:00Z"),
        boom("Order 3", user_id="bob", event_id="c", timestamp="2026-11-24T11:00:00Z"),
        call(status="timeout", model="gpt-4o", user_id="eve"),
    )
    orders = next(
        each.fingerprint
        for each in error_groups(stored.store, stored.where(), limit=10)
        if each.pattern == "Order #"
    )

    [group] = error_groups(stored.store, stored.where(), limit=10, fingerprint=orders)
    affected = error_affected(stored.store, stored.where(), orders)
    newest = error_events(stored.store, stored.where(), orders, limit=2)

    assert (group.occurrences, group.event_id, group.users) == (3, "c", 2)
    assert affected == {
        "model": [],
        "release": [Affected("2", 1)],
        "user": [Affected("bob", 2), Affected("ann", 1)],
        "env": [Affected("development", 3)],
    }
    assert [(each.event_id, each.user_id) for each in newest] == [("c", "bob"), ("b", "bob")]


def test_an_unknown_fingerprint_finds_nothing(stored: Stored) -> None:
    """Where no error has a fingerprint there is no group, nobody affected and no event."""
    stored.put(boom("Order 1"))

    found = error_groups(stored.store, stored.where(), limit=10, fingerprint="0" * 16)

    assert found == []
    assert error_events(stored.store, stored.where(), "0" * 16, limit=10) == []


def test_failed_assertions_are_grouped_by_name(stored: Stored) -> None:
    """Assertions of one name and type are one kind, whatever was expected and found."""
    fields = {"assertion_type": "response_format", "severity": "high", "expected": {"type": "{}"}}
    stored.put(
        failed_check("assertion_failed", assertion_name="is JSON", actual="one", **fields),
        failed_check(
            "assertion_failed", assertion_name="is JSON", actual=2, **fields,
            timestamp="2026-11-24T10:00:00Z",
        ),
        failed_check("assertion_failed", assertion_name="is short", actual=9_000, **fields),
        boom("Not an assertion"),
    )  # fmt: skip

    found = error_groups(stored.store, stored.where(), limit=10, trouble="assertion")

    assert [(each.type, each.pattern, each.occurrences) for each in found] == [
        ("is JSON", "response_format", 2),
        ("is short", "response_format", 1),
    ]
    assert found[0].message == 'expected {"type":"{}"}, got 2'


def test_hallucinations_are_grouped_by_how_they_were_detected(stored: Stored) -> None:
    """Hallucinations that one method detected are one kind; its message is what was flagged."""
    fields = {"confidence_score": 0.9, "recommendations": []}
    stored.put(
        failed_check(
            "hallucination_detected", detection_method="heuristic",
            flagged_content="The Eiffel Tower is in Rome.", **fields,
        ),
    )  # fmt: skip

    [found] = error_groups(stored.store, stored.where(), limit=10, trouble="hallucination")

    assert (found.type, found.message) == ("heuristic", "The Eiffel Tower is in Rome.")
