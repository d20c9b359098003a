"""What spans of each dialect become: names as their instrumentations write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otlp_spans import START, TRACE, call, events, pairs, span, step

ASKED = [{"role": "user", "parts": [{"type": "text", "content": "Why?"}]}]
ANSWERED = [{"role": "assistant", "parts": [{"type": "text", "content": "So."}]}]


SAME = {
    "current names of OpenTelemetry": {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": json.dumps(ASKED),
        "gen_ai.output.messages": json.dumps(ANSWERED),
    },
    "messages as values, not as JSON text": {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.details.cache_read_tokens": 3,
        "gen_ai.usage.details.reasoning_tokens": 2,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": ASKED,
        "gen_ai.output.messages": ANSWERED,
    },
    "old names of OpenTelemetry and OpenLLMetry": {
        "gen_ai.system": "OpenAI",
        "llm.request.type": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.prompt_tokens": 9,
        "gen_ai.usage.completion_tokens": 4,
        "gen_ai.usage.cache_read_input_tokens": 3,
        "gen_ai.usage.reasoning_tokens": 2,
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Why?",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "So.",
        "gen_ai.completion.0.finish_reason": "stop",
    },
    "oldest names, the messages of OpenAI in one text": {
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.prompt_tokens": "9",
        "gen_ai.usage.total_tokens": 13.0,
        "llm.token_count.prompt_details.cache_read": 3,
        "llm.usage.reasoning_tokens": 2,
        "gen_ai.prompt": json.dumps([{"role": "user", "content": "Why?"}]),
        "gen_ai.completion": json.dumps(
            [{"role": "assistant", "content": "So.", "finish_reason": "stop"}]
        ),
    },
    "OpenInference": {
        "openinference.span.kind": "LLM",
        "llm.provider": "openai",
        "llm.system": "openai",
        "llm.model_name": "gpt-4o",
        "llm.token_count.prompt": 9,
        "llm.token_count.completion": 4,
        "llm.token_count.prompt_details.cache_read": 3,
        "llm.token_count.completion_details.reasoning": 2,
        "llm.finish_reason": "stop",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.contents.0.message_content.type": "text",
        "llm.input_messages.0.message.contents.0.message_content.text": "Why?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "So.",
        "input.value": '{"messages": [{"role": "user", "content": "Why?"}]}',
        "input.mime_type": "application/json",
        "output.value": '{"choices": []}',
    },
    "OpenInference without messages": {
        "openinference.span.kind": "LLM",
        "llm.provider": "openai",
        "llm.invocation_parameters": '{"model": "gpt-4o"}',
        "llm.token_count.prompt": 9,
        "llm.token_count.completion": 4,
        "llm.token_count.prompt_details.cache_read": 3,
        "llm.token_count.completion_details.reasoning": 2,
        "llm.finish_reason": "stop",
        "input.value": '{"messages": [{"role": "user", "content": "Why?"}]}',
        "output.value": "So.",
    },
}


@pytest.mark.parametrize("dialect", SAME)
def test_one_call_reads_alike_in_every_dialect(dialect: str) -> None:
    """Prompt, response, model, provider and usage do not depend on who tells of the call."""
    event = call(SAME[dialect])

    metadata = event["response_metadata"]
    assert (event["prompt"], event["response"], event["model"]) == ("Why?", "So.", "gpt-4o")
    assert (event["tokens_input"], event["tokens_output"]) == (9, 4)
    assert metadata["usage"]["input_tokens_details"] == {"cached_tokens": 3}
    assert metadata["usage"]["output_tokens_details"] == {"reasoning_tokens": 2}
    assert (metadata["provider"], metadata["finish_reason"]) == ("openai", "stop")
    assert "attributes" not in metadata
    assert "invalid_fields" not in event


@pytest.mark.parametrize(
    "told",
    [
        [
            ("gen_ai.system.message", {"content": "Be brief."}),
            ("gen_ai.user.message", {"content": "Why?"}),
            ("gen_ai.choice", {"index": 0, "message": '{"role": "assistant", "content": "So."}'}),
        ],
        [
            (
                "gen_ai.content.prompt",
                {
                    "gen_ai.prompt": '[{"role": "system", "content": "Be brief."},'
                    ' {"role": "user", "content": "Why?"}]'
                },
            ),
            ("gen_ai.content.completion", {"gen_ai.completion": '[{"content": "So."}]'}),
        ],
        [
            (
                "gen_ai.client.inference.operation.details",
                {
                    "gen_ai.input.messages": [{"role": "system", "content": "Be brief."}, *ASKED],
                    "gen_ai.output.messages": ANSWERED,
                },
            )
        ],
    ],
    ids=["an event a message", "an event a side", "one event"],
)
def test_messages_that_are_told_as_events_are_found(told: list[tuple[str, Any]]) -> None:
    """Content in span events becomes prompt and response, and is not kept a second time."""
    given = [Span.Event(name=name, attributes=pairs(each)) for name, each in told]

    (event,) = events(span(events=given))

    assert event["prompt"] == "system: Be brief.\n\nuser: Why?"
    assert event["response"] == "So."
    assert "events" not in event["response_metadata"]


def test_the_model_that_answered_is_the_model() -> None:
    """An alias or a deployment that was asked for is kept beside the model that has a price."""
    event = call({"gen_ai.request.model": "my-router", "gen_ai.response.model": "gpt-4o",
                  "gen_ai.operation.name": "chat"})  # fmt: skip

    assert event["model"] == "gpt-4o"
    assert event["response_metadata"]["requested_model"] == "my-router"


@pytest.mark.parametrize(
    ("whole", "read", "write", "expected"),
    [(100, 40, 0, 100), (100, 40, 60, 100), (10, 40, 0, 50), (10, 40, 50, 100), (0, 0, 0, 0)],
)
def test_cached_tokens_are_part_of_the_input(
    whole: int, read: int, write: int, expected: int
) -> None:
    """Cached tokens are within the input; where a sender counts them beside it they are added."""
    event = call(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5",
            "gen_ai.usage.input_tokens": whole,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read_input_tokens": read,
            "gen_ai.usage.cache_creation_input_tokens": write,
        }
    )

    assert event["tokens_input"] == expected
    assert event["response_metadata"]["usage"]["input_tokens"] == expected
    details = event["response_metadata"]["usage"].get("input_tokens_details", {})
    assert details.get("cached_tokens", 0) == read
    assert details.get("cache_write_tokens", 0) == write


@pytest.mark.parametrize("count", [-1, True, 1.5, "many", 2**60, None])
def test_a_count_that_is_none_is_unknown(count: Any) -> None:
    """What cannot be a number of tokens is unknown, and so is the call's cost: never zero."""
    event = call(
        {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": count,
         "gen_ai.usage.output_tokens": 4}
    )  # fmt: skip

    assert set(event["invalid_fields"]) == {"tokens_input"}
    assert event["tokens_output"] == 4


@pytest.mark.parametrize(
    ("named", "provider"),
    [
        ("azure.ai.inference", "azure"),
        ("x_ai", "x-ai"),
        ("gcp.gen_ai", "google"),
        ("AWS", "aws"),
        ("of-my-own", "of-my-own"),
    ],
)
def test_a_provider_has_the_name_of_the_price_lists(named: str, provider: str) -> None:
    """Providers are named as prices are looked up; an unknown one keeps its name."""
    event = call({"gen_ai.operation.name": "chat", "gen_ai.provider.name": named})

    assert event["response_metadata"]["provider"] == provider


@pytest.mark.parametrize(
    ("cost", "kept"), [(0.25, 0.25), (0, 0), (-1.0, None), (True, None), ("0.25", None)]
)
def test_a_cost_that_the_sender_reckoned_is_kept(cost: Any, kept: float | None) -> None:
    """OpenInference's total in dollars wins over the list price; what is no amount is not."""
    event = call({"openinference.span.kind": "LLM", "llm.cost.total": cost})

    assert event.get("cost_estimate_usd") == kept


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ({"gen_ai.operation.name": "execute_tool"}, 1, "tool_call"),
        ({"gen_ai.operation.name": "retrieval"}, 3, "tool_call"),
        ({"gen_ai.operation.name": "invoke_agent", "llm.model_name": "m"}, 1, "reasoning"),
        ({"openinference.span.kind": "TOOL"}, 1, "tool_call"),
        ({"openinference.span.kind": "RETRIEVER"}, 1, "tool_call"),
        ({"openinference.span.kind": "GUARDRAIL"}, 1, "validation"),
        ({"openinference.span.kind": "EVALUATOR"}, 1, "validation"),
        ({"openinference.span.kind": "CHAIN", "llm.model_name": "gpt-4o"}, 1, "reasoning"),
        ({"traceloop.span.kind": "tool"}, 1, "tool_call"),
        ({"traceloop.span.kind": "workflow"}, 1, "reasoning"),
        ({"http.request.method": "GET"}, 3, "tool_call"),
        ({}, 2, "reasoning"),
    ],
)  # fmt: skip
def test_other_work_is_a_step_of_its_kind(given: dict[str, Any], kind: int, expected: str) -> None:
    """Tools, retrieval and requests are tool calls, checks are validation, the rest reasoning."""
    assert step(given, kind=kind)["step_type"] == expected


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result"),
        ("traceloop.entity.input", "traceloop.entity.output"),
        ("input.value", "output.value"),
    ],
)
def test_what_goes_in_and_out_of_a_step_is_found(asked: str, answered: str) -> None:
    """JSON objects are the step's data, and anything else is their `value`."""
    event = step({"gen_ai.operation.name": "execute_tool", asked: '{"at": "it"}', answered: "cat"})

    assert (event["input_data"], event["output_data"]) == ({"at": "it"}, {"value": "cat"})
    assert "attributes" not in event["context"]


def test_user_session_and_tags_are_found_under_their_names() -> None:
    """Each dialect's names of the user and the session lead to the same fields."""
    first = call({"gen_ai.operation.name": "chat", "user.id": "u", "session.id": "s",
                  "tag.tags": ["a", "b"]})  # fmt: skip
    second = call({"gen_ai.operation.name": "chat", "enduser.id": "u",
                   "gen_ai.conversation.id": "s", "tag.tags": '["a", "b"]'})  # fmt: skip
    third = call({"gen_ai.operation.name": "chat", "tag.tags": ["a", "b"],
                  "traceloop.association.properties.user_id": "u",
                  "traceloop.association.properties.session_id": "s"})  # fmt: skip

    for event in (first, second, third):
        assert (event["user_id"], event["session_id"]) == ("u", "s")
        assert event["tags"] == ["a", "b"]
        assert event["run_id"] == TRACE.hex()


def test_the_first_token_is_timed() -> None:
    """Seconds to the first chunk, or OpenInference's event of it, become milliseconds."""
    named = call({"gen_ai.operation.name": "chat", "gen_ai.response.time_to_first_chunk": 0.25})
    event = Span.Event(name="First Token Stream Event", time_unix_nano=START + 250_000_000)
    (told,) = events(span(events=[event]))

    assert named["response_metadata"]["time_to_first_token_ms"] == 250
    assert told["response_metadata"]["time_to_first_token_ms"] == 250
    assert "events" not in told["response_metadata"]


def test_embeddings_keep_their_text_and_no_vector() -> None:
    """Texts are the prompt, vectors are dropped, and nothing was put out."""
    event = call(
        {
            "openinference.span.kind": "EMBEDDING",
            "embedding.model_name": "text-embedding-3-small",
            "embedding.embeddings.0.embedding.text": "one",
            "embedding.embeddings.0.embedding.vector": [0.5, 0.25],
            "embedding.embeddings.1.embedding.text": "two",
            "llm.token_count.prompt": 2,
        }
    )

    assert (event["prompt"], event["response"]) == ("one\ntwo", "")
    assert (event["tokens_input"], event["tokens_output"]) == (2, 0)
    assert "vector" not in json.dumps(event)


def test_what_is_not_understood_is_kept() -> None:
    """Attributes of no dialect come back as they were sent."""
    own = {"shop.order": 17, "shop.note": "rush", "flags": [True, 0.5], "nested": {"a": ["b"]}}

    assert call({"gen_ai.operation.name": "chat", **own})["response_metadata"]["attributes"] == own
    assert step(own)["context"]["attributes"] == own
