"""The short way for a prompt call gives what the long way gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from conftest import CONTRACT, prompt_call
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from row_contents import contents
from watchllm_server.calls import read_call
from watchllm_server.events import FaultyEventError, read_event

if TYPE_CHECKING:
    from watchllm_server.rows import Row

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNTS = st.integers(0, 2**63 - 1)
OBJECTS = st.dictionaries(TEXTS, TEXTS | st.integers() | st.none(), max_size=3)
TIMES = st.datetimes().map(lambda time: f"{time.isoformat()}Z")
CALLS = st.fixed_dictionaries(
    {
        "event_id": TEXTS,
        "event_type": st.just("prompt_call"),
        "run_id": TEXTS,
        "timestamp": TIMES | TEXTS,
        "prompt": TEXTS,
        "response": TEXTS,
        "model": TEXTS,
        "tokens_input": COUNTS,
        "tokens_output": COUNTS,
        "latency_ms": st.floats(-1, 1e9) | st.integers(0, 10**6),
        "status": st.sampled_from(["success", "error", "timeout", "?"]),
    },
    optional={
        "project_id": st.just("p") | TEXTS,
        "env": TEXTS,
        "tags": st.lists(TEXTS),
        "user_id": TEXTS,
        "release": TEXTS,
        "client": OBJECTS,
        "sample_rate": st.floats(0, 1),
        "redactions": st.just({"email": 2}),
        "model_version": TEXTS,
        "cost_estimate_usd": st.floats(0, 10),
        "prompt_template_id": TEXTS,
        "response_metadata": OBJECTS,
        "tool_calls": st.just([{"tool_name": "t", "input": 1, "output": [], "latency_ms": 2,
                                "status": "success"}]),
        "error": OBJECTS | st.just({"message": "m"}),
        "invalid_fields": st.just({"status": "?"}),
        "x_own": TEXTS,
    },
)  # fmt: skip


def encoded(event: Any, *, ascii_only: bool = True) -> Raw:
    """Return an event as JSON."""
    return Raw(json.dumps(event, ensure_ascii=ascii_only).encode())


def long_way(raw: Raw) -> Row | None:
    """Return the row that the long way gives, or None when it refuses the event."""
    try:
        return read_event(raw, "p")
    except FaultyEventError:
        return None


@given(CALLS, st.booleans())
def test_both_ways_give_the_same_row(event: dict[str, Any], ascii_only: bool) -> None:
    """What the short way reads, the long way reads alike; it never reads what is refused."""
    raw = encoded(event, ascii_only=ascii_only)
    row = read_call(raw, "p")
    expected = long_way(raw)

    if row is not None:
        assert expected is not None
        assert contents(row) == contents(expected)


@pytest.mark.parametrize(
    "path", sorted((CONTRACT / "accepted").glob("*.json")), ids=lambda path: path.stem
)
def test_both_ways_agree_on_the_contract(path: Any) -> None:
    """For every event of the contract the short way gives the long way's row, or none."""
    for event in json.loads(path.read_text()).get("body", {}).get("events", []):
        event["project_id"] = "p"
        row, expected = read_call(encoded(event), "p"), long_way(encoded(event))

        assert expected is not None
        assert row is None or contents(row) == contents(expected)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"timestamp": "2026-11-24T09:30:00Z", "tags": ["a"], "env": "production"},
        {"response_metadata": {"usage": {"cached_tokens": 3}}, "client": {"sdk_version": "1"}},
        {"sample_rate": 0.5, "error": {"message": "m"}, "cost_estimate_usd": 0.01},
    ],
)
def test_an_ordinary_call_takes_the_short_way(fields: dict[str, Any]) -> None:
    """A call as the SDK sends it is read in one go."""
    assert read_call(encoded(prompt_call(**fields)), "p") is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"x_own": 1},
        {"prompt": ["a"]},
        {"timestamp": "2026-11-24T09:30:00+02:00"},
        {"timestamp": "1969-12-31T23:59:59Z"},
        {"timestamp": "2026-02-30T00:00:00Z"},
        {"latency_ms": -1},
        {"user_id": ""},
        {"project_id": "another"},
        {"event_type": "error"},
        {"response_metadata": {"deep": json.loads("[" * 199 + "]" * 199)}},
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_long_way(fields: dict[str, Any]) -> None:
    """An event with a peculiarity or a fault is not judged by the short way."""
    assert read_call(encoded(prompt_call(**fields)), "p") is None
