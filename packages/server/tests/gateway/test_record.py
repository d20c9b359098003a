"""From one request through the gateway to its event."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from watchllm_server.calls import read_call
from watchllm_server.clock import SystemClock
from watchllm_server.events import read_event
from watchllm_server.gateway.record import (
    MAX_TEXT,
    Call,
    Fault,
    Ledger,
    Near,
    event_of,
    new_id,
    priced,
    tokens,
)
from watchllm_server.gateway.shapes.base import Answer, Asked
from watchllm_server.limits import Limiter, new_limit
from watchllm_server.metadata import Metadata

if TYPE_CHECKING:
    from pathlib import Path

    from watchllm_server.pricing import Prices

_AT = datetime(2026, 11, 25, 9, 30, 0, 120_000, UTC)


def asked(**fields: Any) -> Asked:
    """Return what a small request asks for."""
    values: dict[str, Any] = {
        "model": "gpt-4o",
        "stream": False,
        "prompt": "What is 2+2?",
        "usage_in_stream": True,
    }
    return Asked(**(values | fields))


def answer(**fields: Any) -> Answer:
    """Return a small answer with its usage."""
    values: dict[str, Any] = {
        "text": "Four.",
        "tool_calls": [],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        "finish_reason": "stop",
        "model": "gpt-4o-2024-08-06",
    }
    return Answer(**(values | fields))


def call(**fields: Any) -> Call:
    """Return a call of 1,250 ms that went well."""
    values: dict[str, Any] = {
        "project": "proj-1",
        "shape": "openai.chat",
        "provider": "openai",
        "model": "gpt-4o",
        "at": _AT,
        "started": 100.0,
        "first_byte": 100.3,
        "ended": 101.25,
        "asked": asked(),
        "answer": answer(),
        "cache": "MISS",
    }
    return Call(**(values | fields))


class Kept:
    """Lines that were recorded."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def append(self, line: bytes) -> bool:
        self.lines.append(line)
        return True


def recorded(made: Call) -> dict[str, Any]:
    """Return the event that a call is recorded as, after its way through JSON."""
    kept = Kept()
    ledger = Ledger(kept)
    ledger.record(made)
    assert ledger.failures == 0
    found: dict[str, Any] = json.loads(kept.lines[0])
    return found


def test_a_call_becomes_one_prompt_call() -> None:
    """The event says what was asked, answered and used, when, by whom, and how long it took."""
    made = call(run_id="run-7", user_id="u1", tags=("a", "b"), release="1.2", env="production")

    event = recorded(made)

    assert event.pop("event_id") == made.event_id
    assert event == {
        "event_type": "prompt_call",
        "project_id": "proj-1",
        "run_id": "run-7",
        "timestamp": "2026-11-25T09:30:00.120000Z",
        "client": {"sdk_version": "watchllm-gateway", "platform": "gateway"},
        "prompt": "What is 2+2?",
        "response": "Four.",
        "model": "gpt-4o",
        "model_version": "gpt-4o-2024-08-06",
        "tokens_input": 12,
        "tokens_output": 3,
        "latency_ms": 1_250.0,
        "status": "success",
        "response_metadata": {
            "provider": "openai",
            "api": "openai.chat",
            "http_status": 200,
            "finish_reason": "stop",
            "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
            "first_byte_ms": 300.0,
            "cache": "MISS",
        },
        "user_id": "u1",
        "release": "1.2",
        "env": "production",
        "tags": ["a", "b"],
    }


def test_a_call_without_a_run_is_a_run_of_its_own() -> None:
    """Calls that nobody put together are not shown as one run."""
    first, second = recorded(call()), recorded(call())

    assert first["run_id"] == f"run-{first['event_id']}" != second["run_id"]


def test_a_hit_costs_nothing_and_says_what_it_saved(prices: Prices) -> None:
    """An answer from the cache has the cost 0, however many tokens it once took."""
    hit = call(cache="HIT", saved_usd=0.00006)

    event = recorded(hit)

    assert event["cost_estimate_usd"] == 0
    assert event["tokens_output"] == 3
    assert event["response_metadata"]["saved_usd"] == 0.00006
    assert prices.cost(priced(hit)) == 0


def test_the_header_and_the_event_say_the_same_cost(prices: Prices) -> None:
    """What the flow prices is what the store's writer prices when it reads the event."""
    usage = {
        "prompt_tokens": 2_000,
        "completion_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 1_000},
    }
    made = call(answer=answer(usage=usage))
    kept = Kept()
    Ledger(kept).record(made)

    row = read_call(Raw(kept.lines[0]), "proj-1")

    assert row is not None
    assert row.call is not None
    cost = prices.cost(row.call)
    assert cost == prices.cost(priced(made))
    assert cost is not None
    # 1,000 at 2.50, 1,000 cached at 1.25 and 100 at 10 dollars a million.
    assert float(cost) == pytest.approx(0.004_75)


@pytest.mark.parametrize(
    ("usage", "shape", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, "openai.chat", (5, 2, False)),
        ({"input_tokens": 5, "output_tokens": 2}, "anthropic.messages", (5, 2, False)),
        ({"prompt_tokens": 8, "total_tokens": 8}, "openai.embeddings", (8, 0, False)),
        (None, "openai.chat", (3, 2, True)),
        ({}, "openai.chat", (3, 2, True)),
        ({"prompt_tokens": "5", "completion_tokens": -1}, "openai.chat", (3, 2, True)),
        ({"prompt_tokens": True, "completion_tokens": 2**70}, "openai.chat", (3, 2, True)),
    ],
)
def test_tokens_are_the_provider_s_or_marked_as_an_estimate(
    usage: dict[str, Any] | None, shape: str, expected: tuple[int, int, bool]
) -> None:
    """Counts come under the names of each API; a call without counts has estimated ones."""
    found = tokens(call(shape=shape, answer=answer(usage=usage)))

    assert (found.given, found.made, found.estimated) == expected


def test_a_stream_that_broke_off_has_what_was_seen() -> None:
    """The count that a provider sends ahead of a stream is not taken for its whole."""
    ahead = {"input_tokens": 25, "output_tokens": 1}
    made = call(
        shape="anthropic.messages",
        answer=answer(text="x" * 400, usage=ahead, finish_reason=""),
        complete=False,
        disconnected=True,
        status="warning",
    )

    event = recorded(made)

    assert (event["tokens_input"], event["tokens_output"]) == (25, 100)
    assert event["response_metadata"]["usage_estimated"] is True
    assert event["response_metadata"]["incomplete"] is True
    assert event["response_metadata"]["disconnected"] is True


def test_a_failed_call_says_why_and_used_nothing() -> None:
    """A call that got no answer is an event with the error, no tokens and no response."""
    fault = Fault("Rate limit reached", "rate_limit_error", "rate_limit_exceeded")

    event = recorded(call(answer=None, status="error", http_status=429, error=fault))

    assert event["error"] == {
        "message": "Rate limit reached",
        "type": "rate_limit_error",
        "code": "rate_limit_exceeded",
    }
    assert (event["response"], event["tokens_input"], event["tokens_output"]) == ("", 0, 0)
    assert event["response_metadata"]["http_status"] == 429


def test_a_key_that_a_provider_quotes_is_not_recorded() -> None:
    """The key that a request was sent with stands nowhere in its event, nor in its repr."""
    key = "sk-planted-0123456789"
    fault = Fault(f"Incorrect API key provided: {key}", "invalid_request_error", "invalid_api_key")
    made = call(
        answer=answer(text=f"Your key is {key}."), error=fault, keys=("none", key), status="error"
    )
    kept = Kept()

    Ledger(kept).record(made)

    assert key not in kept.lines[0].decode() + repr(made)
    assert json.loads(kept.lines[0])["response"] == "Your key is [provider key]."


def test_an_error_of_few_words_is_an_error() -> None:
    """An error without a message still has the field that the wire requires."""
    event = recorded(call(answer=None, status="error", error=Fault("")))

    assert event["error"] == {"message": ""}


def test_tools_that_the_model_asked_for_are_told() -> None:
    """Arguments are told as JSON where they are JSON, and as the model's text where they are not.

    The text of arguments with line breaks does not break the line of the event.
    """
    asked_for = [
        {"id": "c1", "name": "weather", "arguments": '{\n  "city": "Köln"\n}'},
        {"id": "c2", "name": "broken", "arguments": '{"city": '},
        {"id": "c3", "name": "deep", "arguments": "[" * 300 + "]" * 300},
        {"id": "", "name": "bare", "arguments": ""},
    ]
    kept = Kept()
    Ledger(kept).record(call(answer=answer(tool_calls=asked_for)))

    told = json.loads(kept.lines[0])["tool_calls"]
    assert b"\n" not in kept.lines[0]
    assert [(tool["tool_name"], tool["input"]) for tool in told] == [
        ("weather", {"city": "Köln"}),
        ("broken", '{"city": '),
        ("deep", "[" * 300 + "]" * 300),
        ("bare", ""),
    ]
    assert "tool_id" not in told[3]


def test_a_usage_that_no_store_would_take_is_left_out() -> None:
    """A provider cannot lose the event by nesting its usage."""
    nested: dict[str, Any] = {"prompt_tokens": 1, "completion_tokens": 1}
    nested["x"] = json.loads("[" * 150 + "]" * 150)

    event = recorded(call(answer=answer(usage=nested)))

    assert "usage" not in event["response_metadata"]
    assert event["tokens_input"] == 1


def test_long_texts_are_cut_and_say_so() -> None:
    """A prompt beyond a million characters keeps its beginning and a mark."""
    event = recorded(call(asked=asked(prompt="p" * (MAX_TEXT + 5))))

    assert event["prompt"].startswith("p" * MAX_TEXT + " [TRUNCATED")
    assert len(event["prompt"]) < MAX_TEXT + 100


texts = st.text(st.characters(exclude_categories=()), max_size=40)


@given(texts, texts, texts, st.lists(texts, max_size=3))
def test_whatever_the_texts_the_event_is_one_that_the_store_takes(
    prompt: str, response: str, user: str, tags: list[str]
) -> None:
    """Any text, also with half a character in it, becomes one line that reads back as an event."""
    kept = Kept()
    ledger = Ledger(kept)
    tools = [{"id": user, "name": prompt, "arguments": response}]
    ledger.record(
        call(
            asked=asked(prompt=prompt),
            answer=answer(text=response, tool_calls=tools),
            user_id=user,
            tags=tuple(tags),
        )
    )

    assert ledger.failures == 0
    assert b"\n" not in kept.lines[0]
    assert read_call(Raw(kept.lines[0]), "proj-1") is not None
    told = json.loads(kept.lines[0])
    whole = prompt.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert told["prompt"] == whole


def test_a_fault_while_recording_is_the_ledger_s_own(caplog: pytest.LogCaptureFixture) -> None:
    """A call that cannot be told is counted and logged by its kind, without what it holds."""

    class Full:
        def append(self, line: bytes) -> bool:
            raise RuntimeError("planted text")

    ledger = Ledger(Full())
    ledger.record(call())

    assert ledger.failures == 1
    assert "RuntimeError" in caplog.text
    assert "planted text" not in caplog.text


def test_ids_are_uuids_that_sort_by_time() -> None:
    """Ids are of version 7 and unlike each other."""
    ids = [new_id() for _ in range(1_000)]

    assert len(set(ids)) == 1_000
    assert {uuid.UUID(each).version for each in ids} == {7}
    assert {uuid.UUID(each).variant for each in ids} == {uuid.RFC_4122}
    assert [each[:13] for each in ids] == sorted(each[:13] for each in ids)


def test_events_of_zero_values_keep_them() -> None:
    """A saving of 0 and a similarity of 0 are told, unlike what is unknown."""
    near = Near("event-1", 0.0, 0.0, serves=False, saved_usd=0.0)
    event = event_of(call(cache="HIT-SEMANTIC", saved_usd=0.0, near=near))

    assert event["response_metadata"]["saved_usd"] == 0
    assert event["response_metadata"]["similarity"] == 0


class Counting:
    """What counts use, and has one limit that warns."""

    def __init__(self, tmp: Path) -> None:
        self.metadata = Metadata(tmp / "metadata.db", SystemClock())
        self.metadata.create_project("p", project_id="proj-1")
        self.metadata.limits.put(
            new_limit(
                "proj-1",
                scope="user",
                subject="*",
                unit="tokens",
                per="month",
                amount="20",
                action="warn",
            )
        )
        self.limiter = Limiter(self.metadata, SystemClock())
        self.limiter.refresh()


def test_what_calls_use_is_counted_and_a_limit_that_warns_is_told(tmp_path: Path) -> None:
    """Hits count nothing; the call that reaches the limit is followed by one alert in its run."""
    counting = Counting(tmp_path)
    kept = Kept()
    ledger = Ledger(kept, counting.limiter)

    ledger.record(call(user_id="u1", cache="HIT"))
    ledger.record(call(user_id="u1"))
    ledger.record(call(user_id="u2"))
    assert len(kept.lines) == 3
    ledger.record(call(user_id="u1", run_id="run-3"))
    ledger.record(call(user_id="u1"))
    counting.metadata.close()

    events = [json.loads(line) for line in kept.lines]
    (alert,) = [event for event in events if event["event_type"] == "performance_alert"]
    assert (alert["alert_type"], alert["run_id"]) == ("token_limit", "run-3")
    assert (alert["threshold"], alert["actual_value"]) == (20, 30)
    assert alert["affected_models"] == ["gpt-4o"]
    assert alert["limit"] == "tokens of user u1 per month"
    assert read_event(Raw(kept.lines[3]), "proj-1").columns.event_type is not None
    assert len(events) == 6
