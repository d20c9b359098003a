"""What requests ask for and answers say, and that odd ones are read as saying nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bodies import BODIES, PLAIN
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.gateway.shapes import SHAPES
from watchllm_server.gateway.shapes.base import Answer

SHAPE = {shape.name: shape for shape in SHAPES}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
EMBEDDINGS = {
    "object": "list", "model": "embed-1", "usage": {"prompt_tokens": 2, "total_tokens": 2},
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
}  # fmt: skip


def test_every_api_has_one_shape() -> None:
    """Names and paths are those of the contract, each once."""
    assert {shape.name: shape.path for shape in SHAPES} == {
        "openai.chat": "/v1/chat/completions",
        "openai.completions": "/v1/completions",
        "openai.responses": "/v1/responses",
        "openai.embeddings": "/v1/embeddings",
        "anthropic.messages": "/v1/messages",
    }


@pytest.mark.parametrize(
    ("name", "request_", "prompt"),
    [
        ("openai.chat", {"messages": [{"role": "user", "content": "Hi"}]}, "Hi"),
        (
            "openai.chat",
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "text", "text": "What is it?"}, IMAGE]},
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
                    },
                    {"role": "tool", "tool_call_id": "1", "content": "42"},
                ]
            },
            "system: Be brief.\n\nuser: What is it?\n[image_url]\n\nassistant: f({})\n\ntool: 42",
        ),
        ("openai.completions", {"prompt": "Once"}, "Once"),
        ("openai.completions", {"prompt": ["One", "Two"]}, "One\n\nTwo"),
        ("openai.completions", {"prompt": [1, 2]}, "[1,2]"),
        ("openai.responses", {"input": "Hi"}, "Hi"),
        (
            "openai.responses",
            {
                "instructions": "Be brief.",
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                    {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a":1}'},
                    {"type": "function_call_output", "call_id": "1", "output": "42"},
                ],
            },
            'system: Be brief.\n\nuser: Hi\n\nassistant: f({"a":1})\n\ntool: 42',
        ),
        ("openai.embeddings", {"input": ["a", "b"]}, "a\n\nb"),
        (
            "anthropic.messages",
            {
                "system": [{"type": "text", "text": "Be brief."}],
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "thinking", "thinking": "Hm."},
                            {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
                        ],
                    },
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "content": [
                                    {"type": "text", "text": "42"},
                                    {"type": "image", "source": {"data": "AAAA"}},
                                ],
                            }
                        ],
                    },
                ],
            },
            'system: Be brief.\n\nuser: Hi\n\nassistant: f({"a":1})\n\nuser: 42\n[image]',
        ),
    ],
)
def test_the_prompt_is_all_that_the_model_is_told(
    name: str, request_: dict[str, Any], prompt: str
) -> None:
    """Every message is there in its order; of an image, that there is one."""
    assert SHAPE[name].read_request(request_).prompt == prompt


@pytest.mark.parametrize("name", SHAPE)
@pytest.mark.parametrize("stream", [True, False, None, "true", 1])
def test_a_stream_is_asked_for_by_true_alone(name: str, stream: object) -> None:
    """Embeddings have none; elsewhere all but true is no wish for one."""
    asked = SHAPE[name].read_request({"model": "m", "stream": stream})

    assert asked.model == "m"
    assert asked.stream == (stream is True and name != "openai.embeddings")


@pytest.mark.parametrize("name", ["openai.chat", "openai.completions"])
def test_usage_in_a_stream_is_an_option_of_the_older_apis(name: str) -> None:
    """Responses and messages always end with it."""
    options: list[dict[str, Any]] = [
        {},
        {"stream_options": None},
        {"stream_options": {"include_usage": True}},
    ]

    assert [SHAPE[name].read_request(each).usage_in_stream for each in options] == [
        False, False, True,
    ]  # fmt: skip
    for other in ("openai.responses", "anthropic.messages"):
        assert SHAPE[other].read_request({}).usage_in_stream


READ = (
    *("type", "role", "content", "text", "refusal", "tool_calls", "function", "custom", "name"),
    *("arguments", "input", "output", "id", "call_id", "index", "delta", "summary", "message"),
    *("finish_reason", "logprobs", "annotations", "citations", "embedding", "thinking"),
)


def surrounded(value: Any) -> list[Any]:
    """Return an odd value, and objects within lists that have it in every place that is read."""
    inner = dict.fromkeys(READ, value)
    lists = [[{**inner, "type": kind}] for kind in ("text", "tool_use", "message", "function_call")]
    deep = [[{"message": inner, "content": [inner], "tool_calls": [inner]}], {"content": [inner]}]
    return [value, [value], [inner], *lists, *deep]


@given(st.sampled_from(sorted(SHAPE)), st.dictionaries(st.text(max_size=4), PLAIN, max_size=3))
def test_odd_requests_and_bodies_are_read_without_an_error(name: str, odd: dict[str, Any]) -> None:
    """Whatever a client or a provider sends, reading it raises nothing."""
    shape = SHAPE[name]
    fields = ("messages", "model", "input", "prompt", "system", "instructions", "stream_options")
    answers = ("choices", "output", "content", "data", "usage", "status", "error", "type")

    values = [each for value in odd.values() for each in surrounded(value)]
    for field in fields:
        for value in values:
            shape.read_request({field: value})
    for field in answers:
        for value in values:
            body = json.dumps({field: value}).encode()
            shape.answer(body)
            shape.successful(200, body)
            shape.chunks(body, include_usage=True)


@pytest.mark.parametrize("name", SHAPE)
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"a":' * 100_000])
def test_a_body_that_is_no_object_says_nothing(name: str, body: bytes) -> None:
    """Nor is it kept."""
    shape = SHAPE[name]

    assert shape.answer(body) == Answer("", [], None, "", "")
    assert not shape.successful(200, body)


@given(st.sampled_from(sorted(BODIES)).flatmap(lambda name: st.tuples(st.just(name), BODIES[name])))
def test_only_an_ok_without_an_error_is_successful(named: tuple[str, dict[str, Any]]) -> None:
    """Another status, an error beside the answer, or no answer at all: none is kept."""
    name, body = named
    shape = SHAPE[name]
    whole = json.dumps(body).encode()

    assert shape.successful(200, whole)
    assert not shape.successful(206, whole)
    assert not shape.successful(429, whole)
    if name != "anthropic.messages":
        error = {"error": {"message": "overloaded"}}
        assert not shape.successful(200, json.dumps(body | error).encode())


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("openai.chat", {"choices": [{"message": {"content": "Good "}, "finish_reason": None}]}),
        ("openai.chat", {"choices": []}),
        ("openai.chat", {"choices": [{"finish_reason": "stop"}]}),
        ("openai.completions", {"choices": [{"text": None, "finish_reason": "stop"}]}),
        ("openai.completions", {"choices": [{"text": "Good ", "finish_reason": "error"}]}),
        ("openai.responses", {"status": "failed", "error": {"message": "no"}, "output": []}),
        ("openai.responses", {"status": "queued", "error": None, "output": []}),
        ("anthropic.messages", {"type": "message", "content": [], "stop_reason": None}),
        ("anthropic.messages", {"type": "error", "error": {"type": "overloaded_error"}}),
        ("openai.embeddings", {"data": []}),
        ("openai.embeddings", {"data": [{"index": 0}]}),
    ],
)
def test_an_answer_without_an_end_is_not_successful(name: str, body: dict[str, Any]) -> None:
    """A 200 alone does not make an answer that is served again."""
    assert not SHAPE[name].successful(200, json.dumps(body).encode())


def test_the_answer_of_embeddings_is_their_usage() -> None:
    """They say no text; they are kept when each has a vector, and have no stream."""
    shape = SHAPE["openai.embeddings"]
    body = json.dumps(EMBEDDINGS).encode()
    assembly = shape.assembly()
    assembly.feed(body)

    assert shape.answer(body) == Answer("", [], EMBEDDINGS["usage"], "", "embed-1")  # type: ignore[arg-type]  # of a dict
    assert shape.successful(200, body)
    assert shape.chunks(body, include_usage=True) == [body]
    assert not assembly.complete
    assert (assembly.body(), assembly.answer()) == (b"{}", Answer("", [], None, "", ""))


def test_several_choices_are_paragraphs_and_a_refusal_is_what_was_said() -> None:
    """The event of a call has all that the model said."""
    choices = [
        {"message": {"content": "One."}, "finish_reason": "stop"},
        {"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"},
        {"message": {"content": [{"type": "text", "text": "Three."}]}, "finish_reason": "stop"},
    ]

    answer = SHAPE["openai.chat"].answer(json.dumps({"choices": choices, "model": "m"}).encode())

    assert answer == Answer("One.\n\nI cannot.\n\nThree.", [], None, "stop", "m")


def test_the_calls_of_custom_tools_are_calls() -> None:
    """Their input is a text of any kind."""
    chat = {"id": "1", "type": "custom", "custom": {"name": "f", "input": "x = 1"}}
    response = {"type": "custom_tool_call", "call_id": "1", "name": "f", "input": "x = 1"}
    bodies = {
        "openai.chat": {"choices": [{"message": {"tool_calls": [chat]}}]},
        "openai.responses": {"output": [response]},
    }

    for name, body in bodies.items():
        calls = SHAPE[name].answer(json.dumps(body).encode()).tool_calls
        assert calls == [{"id": "1", "name": "f", "arguments": "x = 1"}]


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("openai.chat", 400, "invalid_request_error"),
        ("openai.responses", 401, "authentication_error"),
        ("openai.embeddings", 429, "rate_limit_error"),
        ("openai.completions", 502, "api_error"),
        ("anthropic.messages", 400, "invalid_request_error"),
        ("anthropic.messages", 413, "request_too_large"),
        ("anthropic.messages", 502, "api_error"),
        ("anthropic.messages", 504, "timeout_error"),
    ],
)
def test_an_error_has_the_form_of_its_api(name: str, status: int, kind: str) -> None:
    """Clients tell errors by their type; our code and sentence are in each."""
    body = json.loads(SHAPE[name].error(status, "It went wrong.", "some_code"))

    assert body["error"]["type"] == kind
    assert body["error"]["message"] == "It went wrong."
    assert body["error"]["code"] == "some_code"
    assert body.get("type") == ("error" if name == "anthropic.messages" else None)


RESPONSE_EVENTS = [
    {"type": "response.created", "response": {"id": "r", "model": "m", "status": "in_progress"}},
    {
        "type": "response.output_item.added", "output_index": 0,
        "item": {"type": "message", "role": "assistant", "status": "in_progress", "content": []},
    },
    {
        "type": "response.output_text.delta", "output_index": 0, "content_index": 0,
        "delta": "Good ",
    },
    {
        "type": "response.output_item.added", "output_index": 1,
        "item": {"type": "function_call", "call_id": "1", "name": "f", "arguments": ""},
    },
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a'},
]  # fmt: skip


@pytest.mark.parametrize(
    "end",
    [
        {"type": "response.failed", "response": {"status": "failed", "model": "m"}},
        {"type": "error", "message": "overloaded"},
        {"type": "response.completed", "response": {"status": "failed", "model": "m"}},
        None,
    ],
)
def test_a_response_that_breaks_off_says_what_it_had_said(end: dict[str, Any] | None) -> None:
    """What came before the end is in the event of the call, and nothing of it is kept."""
    assembly = SHAPE["openai.responses"].assembly()
    for event in [*RESPONSE_EVENTS, *([end] if end else [])]:
        assembly.feed(b"data: " + json.dumps(event).encode() + b"\n\n")

    assert not assembly.complete
    if end is None or end["type"] != "response.completed":
        answer = assembly.answer()
        assert (answer.text, answer.model) == ("Good ", "m")
        assert answer.tool_calls == [{"id": "1", "name": "f", "arguments": '{"a'}]


def test_a_message_that_breaks_off_says_what_it_had_said() -> None:
    """The same of Anthropic's stream, the usage so far included."""
    shape = SHAPE["anthropic.messages"]
    body = {
        "id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hello."}], "usage": {"input_tokens": 3},
    }  # fmt: skip
    chunks = shape.chunks(json.dumps(body).encode(), include_usage=True)
    assembly = shape.assembly()
    for chunk in chunks[:3]:
        assembly.feed(chunk)

    assert not assembly.complete
    assert assembly.answer() == Answer(
        "Hello.", [], {"input_tokens": 3, "output_tokens": 0}, "", "c"
    )
