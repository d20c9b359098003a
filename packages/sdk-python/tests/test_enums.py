"""The enums are the strings of the wire."""

from __future__ import annotations

import pytest

from watchllm import (
    AlertType,
    AssertionType,
    DetectionMethod,
    EventType,
    Severity,
    Status,
    StepType,
)


@pytest.mark.parametrize(
    ("enum", "values"),
    [
        (
            EventType,
            (
                "prompt_call agent_step error assertion_failed hallucination_detected"
                " performance_alert"
            ),
        ),
        (Status, "success error timeout assertion_failed warning"),
        (StepType, "reasoning tool_call validation output"),
        (Severity, "low medium high critical"),
        (AssertionType, "response_format content_filter safety_check custom"),
        (DetectionMethod, "heuristic model_ensemble ground_truth_verification"),
        (AlertType, "cost_spike latency_spike error_rate_spike token_limit"),
    ],
)
def test_members_are_their_wire_values(enum: type[Status], values: str) -> None:
    """Each member equals its value, prints as it, and is named after it."""
    assert [str(member) for member in enum] == values.split()
    assert [f"{member}" for member in enum] == values.split()
    assert all(member == member.value for member in enum)
    assert [member.name.lower() for member in enum] == values.split()
