"""The event classes hold fields and write them as the wire names them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from conftest import breaches, cases

from watchllm import (
    AgentStepEvent,
    AssertionFailedEvent,
    ErrorEvent,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    Severity,
)

CLASSES = {
    kind.event_type.value: kind
    for kind in (
        PromptCallEvent,
        AgentStepEvent,
        ErrorEvent,
        AssertionFailedEvent,
        HallucinationDetectedEvent,
        PerformanceAlertEvent,
    )
}


@pytest.mark.parametrize("case", cases("accepted"))
def test_an_accepted_event_comes_back_as_it_was(case: dict[str, Any]) -> None:
    """An event made from an accepted body writes the same wire, nulls left out."""
    for event in case["body"]["events"]:
        kind: Any = CLASSES.get(event["event_type"])
        if kind is not None:
            fields = {name: value for name, value in event.items() if name != "event_type"}

            assert kind(**fields).to_wire() == {
                name: value for name, value in event.items() if value is not None
            }


def event() -> AssertionFailedEvent:
    """Return an event."""
    return AssertionFailedEvent(
        assertion_name="is JSON",
        assertion_type="response_format",
        expected={},
        actual="private text",
        severity=Severity.HIGH,
        run_id="run-1",
        x_custom=1,
    )


def test_fields_can_be_read_but_not_replaced() -> None:
    """Given fields and common ones are attributes; others are refused, and none can be set."""
    found = event()

    assert found.assertion_name == "is JSON"
    assert found.x_custom == 1
    assert found.user_id is None
    with pytest.raises(AttributeError, match="no field 'promt'"):
        _ = found.promt
    with pytest.raises(AttributeError):
        setattr(found, "user_id", "u")  # noqa: B010 - what the type checker refuses


def test_events_are_equal_by_content_and_can_be_copied() -> None:
    """Two events with the same fields are equal, a copy too, and other things are not."""
    assert event() == event()
    assert copy.deepcopy(event()) == event()
    assert event() != ErrorEvent(error="x")
    assert event() != "event"


def test_the_repr_names_fields_and_shows_no_value() -> None:
    """Printing an event does not show what may be personal."""
    assert "private" not in repr(event())
    assert "assertion_name" in repr(event())
    assert "user_id" not in repr(event())


def test_enums_and_exceptions_are_written_plainly() -> None:
    """A member becomes its value and an exception an ErrorInfo."""
    assert event().to_wire()["severity"] == "high"
    assert ErrorEvent(error=ValueError("x")).to_wire()["error"]["type"] == "ValueError"


def test_lists_that_the_wire_requires_are_empty_by_default() -> None:
    """Recommendations and affected models are lists even when none are given."""
    found = HallucinationDetectedEvent(
        detection_method="heuristic", confidence_score=0.5, flagged_content="x"
    )
    alert = PerformanceAlertEvent(
        alert_type="cost_spike", threshold=1, actual_value=2, window_minutes=5
    )

    assert found.to_wire()["recommendations"] == []
    assert alert.to_wire()["affected_models"] == []


def test_the_schema_names_what_is_wrong() -> None:
    """The check that all other tests rely on does find breaches."""
    assert breaches({"event_type": "prompt_call"})
