"""Each field takes any value and gives one that the contract allows."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest

from watchllm._enums import Status
from watchllm._fields import BY_TYPE, Field, Fields, OneOf, convert
from watchllm._redaction import FAILED, RedactionConfig, Rules, Walk

NAN = float("nan")


def converted(event_type: str, **values: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what becomes of fields, and what is said of those that do not fit."""
    invalid: dict[str, str] = {}
    return convert(values, BY_TYPE[event_type], Walk(), "", invalid), invalid


@pytest.mark.parametrize(
    ("event_type", "name", "value", "taken"),
    [
        ("prompt_call", "prompt", "text", "text"),
        ("prompt_call", "prompt", [{"role": "user"}], '[{"role":"user"}]'),
        ("prompt_call", "prompt", 12, "12"),
        ("prompt_call", "response", b"bytes", "bytes"),
        ("prompt_call", "user_id", 42, "42"),
        ("prompt_call", "model", 4, "4"),
        ("prompt_call", "tokens_input", 12.0, 12),
        ("prompt_call", "latency_ms", Decimal("1.5"), 1.5),
        ("prompt_call", "latency_ms", 10**30, 1e30),
        ("prompt_call", "status", Status.TIMEOUT, "timeout"),
        ("prompt_call", "status", "warning", "warning"),
        ("prompt_call", "tags", "one", ["one"]),
        ("prompt_call", "tags", ("a", 1, None, ["x"]), ["a", "1", "None", '["x"]']),
        ("prompt_call", "error", ValueError("no").with_traceback(None), None),
        ("prompt_call", "error", "no", {"message": "no"}),
        ("prompt_call", "error", {"message": "no", "hint": 1}, {"message": "no", "hint": 1}),
        ("prompt_call", "tool_calls", [], []),
        ("agent_step", "input_data", {"a": None}, {"a": None}),
        ("assertion_failed", "expected", [1, {"a": 2}], [1, {"a": 2}]),
        ("hallucination_detected", "confidence_score", 1, 1),
        ("performance_alert", "threshold", -3.5, -3.5),
    ],
)
def test_what_fits_or_can_be_written_so_is_taken(
    event_type: str, name: str, value: Any, taken: Any
) -> None:
    """A value of the field's kind, or one that is easily written as it, is not complained of."""
    out, invalid = converted(event_type, **{name: value})

    assert name not in invalid
    if taken is None:
        assert (out[name]["type"], out[name]["message"]) == ("ValueError", "no")
    else:
        assert out[name] == taken


@pytest.mark.parametrize(
    ("event_type", "name", "value", "neutral", "said"),
    [
        ("prompt_call", "prompt", None, "", "expected a value, got None"),
        ("prompt_call", "tokens_input", "abc", 0, "expected an integer >= 0, got str 'abc'"),
        ("prompt_call", "tokens_input", -1, 0, "expected an integer >= 0, got int -1"),
        ("prompt_call", "tokens_input", True, 0, "expected an integer >= 0, got bool True"),
        ("prompt_call", "tokens_input", 1.5, 0, "expected an integer >= 0, got float 1.5"),
        ("prompt_call", "tokens_input", 2**63, 0, "below 2**63, got int 9223372036854775808"),
        ("prompt_call", "latency_ms", NAN, 0, "expected a number >= 0, got float nan"),
        ("prompt_call", "latency_ms", -1, 0, "expected a number >= 0, got int -1"),
        ("prompt_call", "latency_ms", "5", 0, "expected a number >= 0, got str '5'"),
        ("prompt_call", "latency_ms", 10**400, 0, "expected a number >= 0, got int 1000"),
        ("prompt_call", "latency_ms", datetime.timedelta(1), 0, "got timedelta"),
        ("prompt_call", "status", "fine", "success", "expected one of success, error, timeout"),
        ("prompt_call", "status", 3, "success", "got int 3"),
        ("agent_step", "input_data", "query", {}, "expected a dict, got str 'query'"),
        ("agent_step", "step_type", "dance", "reasoning", "expected one of reasoning, tool_call"),
        ("error", "error", 5, {"message": ""}, "expected an exception, or a dict with a message"),
        ("assertion_failed", "expected", None, "", "expected a value, got None"),
        ("hallucination_detected", "confidence_score", 1.01, 0, "expected a number from 0 to 1"),
        ("hallucination_detected", "recommendations", 7, [], "expected a list of texts, got int 7"),
        ("performance_alert", "threshold", "high", 0, "expected a number, got str 'high'"),
    ],
)
def test_what_does_not_fit_is_neutral_and_described(
    event_type: str, name: str, value: Any, neutral: Any, said: str
) -> None:
    """A required field of the wrong kind gets its neutral value and a sentence."""
    out, invalid = converted(event_type, **{name: value})

    assert out[name] == neutral
    assert said in invalid[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [("cost_estimate_usd", NAN), ("response_metadata", "x"), ("tags", 7), ("tool_calls", {})],
)
def test_an_optional_field_that_does_not_fit_is_left_out(name: str, value: Any) -> None:
    """An optional field of the wrong kind is absent, and described."""
    out, invalid = converted("prompt_call", **{name: value})

    assert name not in out
    assert name in invalid


def test_descriptions_are_redacted() -> None:
    """A value of the wrong kind does not get out through its description."""
    _, invalid = converted("prompt_call", tokens_input="zoe@example.com")

    assert invalid["tokens_input"].endswith("got str '[REDACTED_EMAIL]'")


def test_parts_of_tool_calls_and_errors_are_described_by_their_path() -> None:
    """What does not fit inside an object is named by where it is."""
    out, invalid = converted(
        "prompt_call",
        tool_calls=[
            {"tool_name": "t", "input": 1, "output": 2, "latency_ms": "x", "status": "success"},
            "call",
            {"tool_name": "t", "input": 1, "output": 2, "latency_ms": 1, "error": {"code": 7}},
        ],
        error={"type": "E", "context": "c"},
    )

    assert [call["latency_ms"] for call in out["tool_calls"]] == [0, 0, 1]
    assert out["tool_calls"][2]["error"] == {"message": "", "code": "7"}
    assert out["error"] == {"message": "", "type": "E"}
    assert set(invalid) >= {
        "tool_calls[0].latency_ms",
        "tool_calls[1]",
        "tool_calls[2].status",
        "tool_calls[2].error.message",
        "error.message",
        "error.context",
    }


def test_more_tool_calls_than_a_call_can_have_are_cut() -> None:
    """A list without end is cut at a thousand, and that is said."""
    call = {"tool_name": "t", "input": 1, "output": 1, "latency_ms": 1, "status": "success"}
    out, invalid = converted("prompt_call", tool_calls=[call] * 1_200)

    assert len(out["tool_calls"]) == 1_000
    assert invalid["tool_calls"] == "expected at most 1000, got 1200"


def test_unknown_fields_are_kept_and_redacted() -> None:
    """A field that the contract does not name goes with the event; None is left out."""
    out, _ = converted("error", error="x", extra={"mail": "a@b.co"}, nothing=None)

    assert out["extra"] == {"mail": "[REDACTED_EMAIL]"}
    assert "nothing" not in out


def test_a_key_that_becomes_that_of_a_field_takes_nothing_from_it() -> None:
    """Bytes that read like the name of a field are another key, and both values are kept."""
    values: dict[Any, Any] = {"model": "m", b"model": "other"}
    wire = convert(values, BY_TYPE["prompt_call"], Walk(), "", {})

    assert (wire["model"], wire["model#2"]) == ("m", "other")


def test_an_unknown_field_can_be_left_as_it_is() -> None:
    """A path of a RedactionConfig leads into fields that nobody knows, too."""
    walk = Walk(Rules(RedactionConfig(skip_fields=["extra.mail"])))
    values = {"error": "x", "extra": {"mail": "a@b.co", "other": "a@b.co"}}
    out = convert(values, BY_TYPE["error"], walk, "", {})

    assert out["extra"] == {"mail": "a@b.co", "other": "[REDACTED_EMAIL]"}


def test_a_converter_that_fails_loses_the_field_and_nothing_else() -> None:
    """A field whose conversion raises is sent neutral, and its value never."""

    def fail(*_: object) -> object:
        raise RuntimeError("zoe@example.com")

    invalid: dict[str, str] = {}
    fields = Fields(Field("a", fail, ""), Field("b", OneOf(Status), "success"))

    assert convert({"a": 1, "b": "error"}, fields, Walk(), "", invalid) == {"a": "", "b": "error"}
    assert invalid == {"a": f"{FAILED} RuntimeError"}
