"""Events become JSON within bounds."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watchllm._encoding import body, encode
from watchllm._redaction import Walk

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), json_values))
def test_what_a_walk_returns_can_be_encoded_and_read_back(value: dict[str, Any]) -> None:
    """Every walked value becomes JSON that reads back as the same value."""
    walked = Walk().value(value)

    assert json.loads(encode(walked)) == walked


def test_text_is_written_as_utf_8() -> None:
    """Letters of every script are themselves on the wire, not escapes."""
    assert encode({"prompt": "机器 🧠"}) == '{"prompt":"机器 🧠"}'.encode()


def test_an_event_that_is_too_large_has_its_largest_fields_described() -> None:
    """The largest fields give way, each to a description of its own type; small ones stay."""
    event: dict[str, Any] = {
        "event_id": "e",
        "prompt": "p" * 5_000,
        "context": {"a": "c" * 4_000},
        "tool_calls": [{"input": "t" * 3_000}],
        "response": "kept",
        "invalid_fields": {"model": "note"},
    }
    found = json.loads(encode(event, 1_000))

    assert len(encode(event, 1_000)) <= 1_000
    assert found["prompt"] == "[TRUNCATED: 5002 bytes, more than an event may hold]"
    assert found["context"] == {"message": "[TRUNCATED: 4008 bytes, more than an event may hold]"}
    assert found["tool_calls"] == []
    assert found["invalid_fields"] == {
        "model": "note",
        "tool_calls": "[TRUNCATED: 3014 bytes, more than an event may hold]",
    }
    assert found["response"] == "kept"


def test_only_as_many_fields_give_way_as_must() -> None:
    """Once the event fits, the next largest field stays as it is."""
    event: dict[str, Any] = {"prompt": "p" * 5_000, "response": "r" * 500}

    assert json.loads(encode(event, 1_000))["response"] == "r" * 500


def test_an_event_of_small_fields_alone_is_described_down_to_the_last() -> None:
    """When even all descriptions do not fit, every field has one, and encoding ends."""
    found = json.loads(encode({f"f{n}": "x" * 100 for n in range(20)}, 500))

    assert all(value.startswith("[TRUNCATED: ") for value in found.values())


def test_a_body_joins_encoded_events_and_tells_losses() -> None:
    """The body is what the wire wants, with `losses` only when there are some."""
    assert body([b'{"a":1}', b'{"b":2}'], {}) == b'{"events":[{"a":1},{"b":2}]}'
    assert json.loads(body([b"{}"], {"spool_full": 2})) == {
        "events": [{}],
        "losses": {"spool_full": 2},
    }
