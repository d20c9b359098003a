"""What is required of one event, and what a wrong value is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from conftest import prompt_call, utc
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from watchllm_server.events import FaultyEventError, parse_timestamp, read_event

if TYPE_CHECKING:
    from watchllm_server.rows import Row


def read(event: Any) -> Row:
    """Read an event of project p."""
    return read_event(Raw(json.dumps(event).encode()), "p")


def columns(row: Row) -> Any:
    """Return a row's columns, as the store is sent them."""
    return json.loads(msgspec.json.encode(row.columns))


def fault(event: Any) -> FaultyEventError:
    """Return why an event is refused."""
    with pytest.raises(FaultyEventError) as caught:
        read(event)
    return caught.value


def test_a_message_names_the_field_the_type_and_what_is_allowed() -> None:
    """A wrong value is answered with a sentence from which its sender can mend it."""
    expected = "`tokens_input` must be an integer from 0 to 9223372036854775807, but it is a string"

    assert fault(prompt_call(tokens_input="12")).message == f'{expected}, "12".'


def test_free_text_is_not_quoted_back() -> None:
    """The answer for a prompt of the wrong type holds nothing of the prompt."""
    assert "secret" not in fault(prompt_call(prompt=["secret"])).message


@pytest.mark.parametrize(
    ("path", "value"),
    [("error", {"message": 1}), ("tool_calls", [{"tool_name": "t"}]), ("tags", ["a", 1])],
)
def test_a_fault_inside_a_field_names_the_field(path: str, value: Any) -> None:
    """A wrong value deep in a field is answered with the field's name."""
    assert f"`{path}`" in fault(prompt_call(**{path: value})).message


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T09:30:00Z", "2026-11-24 09:30:00"),
        ("2026-11-24t09:30:00.5z", "2026-11-24 09:30:00.5"),
        ("2026-11-24T11:30:00.123456+02:00", "2026-11-24 09:30:00.123456"),
        ("2026-11-24T09:30:00.123456789Z", "2026-11-24 09:30:00.123456"),
        ("1970-01-01T00:00:00Z", "1970-01-01 00:00:00"),
        ("2261-12-31T23:59:59Z", "2261-12-31 23:59:59"),
    ],
)
def test_a_time_with_an_offset_is_read_as_utc(text: str, moment: str) -> None:
    """Any RFC 3339 time from 1970 to 2261 is read, with microseconds."""
    assert parse_timestamp(text) == utc(moment)


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-11-24", "2026-11-24T09:30:00", "2026-02-30T00:00:00Z", "2026-11-24T24:30:00Z",
        "1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59", "2026-W48-2T09:30:00Z", "2026-11-24T09:30:00+99:00",
        "٢٠٢٦-11-24T09:30:00Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    """A text that is no RFC 3339 time, or one out of range, is an invalid_timestamp."""
    assert fault(prompt_call(timestamp=text)).code == "invalid_timestamp"


def test_a_value_that_the_sender_could_not_take_is_unknown() -> None:
    """A number or status named in invalid_fields is not stored, and its check is spared."""
    named = {"tokens_input": "expected an integer", "status": "?", "latency_ms": "NaN"}
    event = prompt_call(tokens_input=0, status="success", latency_ms=0, invalid_fields=named)

    row = read(event)

    assert {"tokens_input", "status", "latency_ms"}.isdisjoint(columns(row))
    assert row.call is not None
    assert row.call.tokens_input is None


def test_columns_and_attributes_share_the_fields_out() -> None:
    """A field with a column is in no second place; all others are kept as they were sent."""
    row = read(prompt_call(x_custom=[1, {"a": None}], user_id="u"))
    found = columns(row)

    assert json.loads(found["attributes"]) == {"x_custom": [1, {"a": None}]}
    assert found["user_id"] == "u"


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
))  # fmt: skip
def test_any_json_value_is_judged_and_never_a_surprise(value: Any) -> None:
    """Any JSON value as an event, or as any field of one, is read or refused with a code."""
    codes = {"invalid_event", "missing_field", "invalid_field", "invalid_timestamp"}

    for event in (value, *({**prompt_call(), name: value} for name in prompt_call())):
        assert judged(event) in {None, *codes}


def judged(event: Any) -> str | None:
    """Return the code with which an event is refused, or None when it is read."""
    try:
        read(event)
    except FaultyEventError as refused:
        return refused.code
    return None
