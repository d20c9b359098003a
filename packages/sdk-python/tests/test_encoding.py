"""Events become JSON within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchllm._encoding import (
    LARGEST_EVENT_BYTES,
    Encoder,
    body,
    encode,
    quoted,
    shortened,
    unpack,
)
from watchllm._late import optional
from watchllm._redaction import Walk

ENCODERS = [Encoder()]
if optional("orjson"):  # as of Python 3.12 among the packages for the tests
    ENCODERS.append(Encoder(optional("orjson")))
each_encoder = pytest.mark.parametrize(
    "encoder", ENCODERS, ids=["standard", "orjson"][: len(ENCODERS)]
)
HEAD = '{"event_id":"e",'

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


@each_encoder
@given(
    fields=st.dictionaries(st.text(), json_values, min_size=1),
    texts=st.dictionaries(st.sampled_from(["prompt", "response", "error"]), st.text()),
)
def test_a_record_is_the_event(
    encoder: Encoder, fields: dict[str, Any], texts: dict[str, str]
) -> None:
    """Whatever the fields and long texts hold, the record's JSON reads back as the event."""
    fields = Walk().value({name: fields[name] for name in fields if name not in texts}) or {"x": 1}
    texts = {name: Walk().text(text) for name, text in texts.items()}
    found = json.loads(unpack(encoder.record(HEAD, fields, texts)))

    assert found == {"event_id": "e", **fields, **texts}


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_a_quoted_text_is_its_json(text: str) -> None:
    """Any text, quoted as bytes, reads back as itself."""
    assert json.loads(quoted(text.encode())) == text


@each_encoder
def test_a_record_of_an_event_that_is_too_large_describes_what_is(encoder: Encoder) -> None:
    """The largest field gives way to a description of its size."""
    texts = {"prompt": "p" * (LARGEST_EVENT_BYTES + 1), "response": "r" * 500}
    found = json.loads(unpack(encoder.record(HEAD, {"model": "m"}, texts)))

    assert found["prompt"].startswith("[TRUNCATED: 8000003 bytes")
    assert (found["model"], found["response"]) == ("m", "r" * 500)


@pytest.mark.parametrize("record", [b"x", b"T", b"T5 prompt 3", b"X\n"])
def test_what_is_no_record_is_refused(record: bytes) -> None:
    """Bytes of another kind are not taken for an event."""
    with pytest.raises(ValueError):  # noqa: PT011 - any that says so
        unpack(record)


def test_an_event_is_shortened_by_half_of_its_largest_field() -> None:
    """A text keeps its beginning and says that it was cut, once however often it is."""
    event = json.dumps({"event_id": "e", "prompt": "é" * 5_000, "response": "r" * 1_000}).encode()
    once = shortened(event)
    assert once is not None
    twice = shortened(once)
    assert twice is not None
    found = json.loads(twice)

    assert 2_000 < len(found["prompt"].encode()) < 2_600
    assert found["prompt"].startswith("ééé")
    assert found["prompt"].endswith("é [TRUNCATED: larger than the collector takes]")
    assert found["response"] == "r" * 1_000


def test_shortening_ends_with_nothing_left_to_cut() -> None:
    """Objects give way to descriptions, and an event of small fields is not cut any further."""
    event: bytes | None = json.dumps({"context": {"a": "c" * 4_000}, "prompt": "p" * 900}).encode()
    steps = []
    while event is not None:
        steps.append(json.loads(event))
        event = shortened(event)

    assert steps[1]["context"] == {
        "message": "[TRUNCATED: 4008 bytes, larger than the collector takes]"
    }
    assert 2 < len(steps) < 9
    assert all(len(json.dumps(value)) <= 400 for value in steps[-1].values())
