"""Sampling keeps or drops whole runs, alike everywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchllm._sampling import position, weight


def test_the_position_of_a_run_never_changes() -> None:
    """A run's place is the same in every process and version: these are fixed points."""
    assert [round(position(run), 6) for run in ("run-1", "run-2")] == [0.556476, 0.34723]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_kept_is_the_rate(rate: float) -> None:
    """Of 20,000 runs with similar names the share kept is within a percent of the rate."""
    kept = sum(weight(rate, f"run-{n}", "prompt_call", "success") > 0 for n in range(20_000))

    assert abs(kept / 20_000 - rate) < 0.01


@given(st.text(), st.floats(0.01, 0.99))
def test_all_ordinary_events_of_a_run_share_its_fate(run: str, rate: float) -> None:
    """Whatever its type and status, an event that is no failure goes as its run goes."""
    weights = {
        weight(rate, run, kind, status)
        for kind in ("prompt_call", "agent_step", "performance_alert")
        for status in ("success", "warning", None)
    }

    assert weights in ({0.0}, {rate})


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("error", None),
        ("assertion_failed", None),
        ("hallucination_detected", None),
        ("prompt_call", "error"),
        ("prompt_call", "timeout"),
        ("agent_step", "assertion_failed"),
    ],
)
def test_failures_are_kept_with_weight_one_unless_the_rate_is_zero(kind: str, status: str) -> None:
    """A failure of any run is kept at the smallest rate, and dropped at 0."""
    runs = [f"run-{n}" for n in range(100)]

    assert {weight(0.0001, run, kind, status) for run in runs} == {1.0}
    assert {weight(0.0, run, kind, status) for run in runs} == {0.0}


def test_rate_one_keeps_everything() -> None:
    """At rate 1 every event is kept with weight 1."""
    assert {weight(1.0, f"run-{n}", "prompt_call", None) for n in range(100)} == {1.0}
