"""The streams that are written are read by the official clients, with the helpers people use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import Message
from openai.types import Completion
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from watchllm_server.gateway.shapes import SHAPES

if TYPE_CHECKING:
    from pydantic import BaseModel

SHAPE = {shape.name: shape for shape in SHAPES}
LONG = "A text that takes more than one event. " * 120
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


def provider(name: str, body: dict[str, Any], *, status: int = 200) -> httpx2.Client:
    """Return the connection to a provider that streams a kept body, or an error."""
    shape = SHAPE[name]

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == shape.path
        if status != 200:
            content = shape.error(status, "There is no such model.", "model_not_found")
            return httpx2.Response(status, content=content)
        asked = shape.read_request(json.loads(request.content))
        assert asked.stream
        chunks = shape.chunks(json.dumps(body).encode(), include_usage=asked.usage_in_stream)
        return httpx2.Response(
            200, headers={"content-type": "text/event-stream"}, stream=Pieces(chunks)
        )

    return httpx2.Client(transport=httpx2.MockTransport(answer))


class Pieces(httpx2.SyncByteStream):
    """Bytes that arrive a piece at a time."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Any:
        return iter(self._pieces)


def openai_client(name: str, body: dict[str, Any], **options: Any) -> openai.OpenAI:
    """Return OpenAI's client at such a provider."""
    return openai.OpenAI(
        api_key="k", base_url="http://gateway/v1", max_retries=0,
        http_client=provider(name, body, **options),
    )  # fmt: skip


def anthropic_client(body: dict[str, Any], **options: Any) -> anthropic.Anthropic:
    """Return Anthropic's client at such a provider."""
    return anthropic.Anthropic(
        api_key="k", base_url="http://gateway", max_retries=0,
        http_client=provider("anthropic.messages", body, **options),
    )  # fmt: skip


def said(model: BaseModel) -> dict[str, Any]:
    """Return what a client's object says, but for what its helper parses out of that itself."""
    found: dict[str, Any] = without_parsed(model.model_dump(mode="json", exclude_none=True))
    for choice_ in found.get("choices", ()):
        for call_ in choice_["message"].get("tool_calls", ()):
            # OpenAI's helper leaves in place which of the calls a piece belonged to.
            call_.pop("index", None)
    return found


def without_parsed(value: Any) -> Any:
    """Return a value without the fields that a helper adds."""
    if isinstance(value, dict):
        added = ("parsed", "parsed_arguments", "parsed_output")
        return {name: without_parsed(inner) for name, inner in value.items() if name not in added}
    return [without_parsed(inner) for inner in value] if isinstance(value, list) else value


def chat(*choices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a chat completion."""
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{"index": index, **choice} for index, choice in enumerate(choices)],
        "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21},
        "system_fingerprint": "fp_1",
        **fields,
    }  # fmt: skip


def choice(reason: str = "stop", **message: Any) -> dict[str, Any]:
    """Return a choice of a chat completion."""
    filled = {"role": "assistant", "content": None, "refusal": None, **message}
    return {"message": filled, "logprobs": None, "finish_reason": reason}


def call(number: int, arguments: str) -> dict[str, Any]:
    """Return a call of a function."""
    function = {"name": f"f{number}", "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function}


PROBABILITIES = {
    "content": [{"token": "Hi", "bytes": [72, 105], "logprob": -0.25, "top_logprobs": []}],
    "refusal": None,
}
CHATS = {
    "text": chat(choice(content="Hello.")),
    "long": chat(choice(content=LONG)),
    "empty": chat(choice(content="")),
    "refusal": chat(choice(refusal="I cannot.")),
    "choices": chat(choice(content="One."), choice(content="Two.")),
    "tools": chat(choice("tool_calls", tool_calls=[call(0, '{"a": 1}'), call(1, "{}")])),
    "long tool": chat(choice("tool_calls", tool_calls=[call(0, json.dumps({"text": LONG}))])),
    "text and tool": chat(choice("tool_calls", content="Let me see.", tool_calls=[call(0, "{}")])),
    "logprobs": chat({**choice(content="Hi"), "logprobs": PROBABILITIES}),
}


@pytest.mark.parametrize("name", CHATS)
def test_openai_chat_helper_ends_with_the_kept_answer(name: str) -> None:
    """The helper for streams makes the same completion as the body would have been."""
    body = CHATS[name]
    client = openai_client("openai.chat", body)

    with client.chat.completions.stream(
        model="gpt-4o", messages=MESSAGES, stream_options={"include_usage": True}
    ) as stream:
        kinds = [event.type for event in stream]
        found = stream.get_final_completion()

    assert said(found) == said(ChatCompletion.model_validate(body))
    assert ("content.done" in kinds) == any(each["message"]["content"] for each in body["choices"])


def test_openai_plain_stream_has_usage_only_where_asked_for() -> None:
    """Without the option, no event has a usage, and none is without choices."""
    client = openai_client("openai.chat", CHATS["long"])

    plain = list(client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))

    assert all(chunk.usage is None and chunk.choices for chunk in plain)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in plain) == LONG


def test_openai_completions_stream_ends_with_the_kept_answer() -> None:
    """The pieces of the old completions make its text, its end and its usage."""
    body = {
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "davinci",
        "choices": [{"index": 0, "text": LONG, "logprobs": None, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }  # fmt: skip
    client = openai_client("openai.completions", body)

    chunks = list(
        client.completions.create(
            model="davinci", prompt="Say hello.", stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip

    whole = Completion.model_validate(body)
    assert "".join(each.choices[0].text for each in chunks[:-1]) == whole.choices[0].text
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage == whole.usage


def response(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a response."""
    details = {"cached_tokens": 0, "cache_write_tokens": 0}, {"reasoning_tokens": 0}
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o", "error": None,
        "status": "completed", "output": list(output), "parallel_tool_calls": True,
        "tool_choice": "auto", "tools": [], "incomplete_details": None, "instructions": None,
        "metadata": {}, "temperature": 1.0, "top_p": 1.0,
        "usage": {
            "input_tokens": 3, "input_tokens_details": details[0], "output_tokens": 4,
            "output_tokens_details": details[1], "total_tokens": 7,
        },
        **fields,
    }  # fmt: skip


def spoken(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return a message of a response."""
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": list(parts),
    }  # fmt: skip


def text_part(text: str) -> dict[str, Any]:
    """Return a part of such a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def function_call(arguments: str) -> dict[str, Any]:
    """Return a call of a function, of a response."""
    return {
        "id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f",
        "arguments": arguments, "status": "completed",
    }  # fmt: skip


RESPONSES = {
    "text": response(spoken(text_part("Hello."))),
    "long": response(spoken(text_part(LONG), text_part("More."))),
    "refusal": response(spoken({"type": "refusal", "refusal": "I cannot."})),
    "tool": response(spoken(text_part("Let me see.")), function_call('{"a": 1}')),
    "reasoning": response(
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": LONG}]},
        spoken(text_part("Hello.")),
    ),
    "incomplete": response(
        spoken(text_part("Good ")), status="incomplete",
        incomplete_details={"reason": "max_output_tokens"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RESPONSES)
def test_openai_responses_helper_ends_with_the_kept_answer(name: str) -> None:
    """The helper for streams makes the same response, and its deltas the same text."""
    body = RESPONSES[name]
    client = openai_client("openai.responses", body)

    with client.responses.stream(model="gpt-4o", input="Say hello.") as stream:
        events = list(stream)

    texts = [each.delta for each in events if each.type == "response.output_text.delta"]
    whole = Response.model_validate(body)
    assert "".join(texts) == whole.output_text
    last: Any = events[-1]
    assert said(last.response) == said(whole)
    assert [each.sequence_number for each in events] == list(range(len(events)))


def message(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a message of Anthropic."""
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": list(blocks), "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {
            "input_tokens": 5, "output_tokens": 7, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 2,
        },
        **fields,
    }  # fmt: skip


CITATION = {
    "type": "char_location", "cited_text": "Hello", "document_index": 0, "document_title": "d",
    "start_char_index": 0, "end_char_index": 5,
}  # fmt: skip
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "f"}
ANTHROPIC_MESSAGES = {
    "text": message({"type": "text", "text": LONG}),
    "citations": message({"type": "text", "text": "Hello", "citations": [CITATION, CITATION]}),
    "tools": message(
        {"type": "text", "text": "Let me see."},
        {**TOOL_USE, "input": {"text": LONG, "n": [1, 2.5, None]}},
        {**TOOL_USE, "input": {}},
        stop_reason="tool_use",
    ),
    "thinking": message(
        {"type": "thinking", "thinking": LONG, "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "text", "text": "Hello."},
    ),
    "stop sequence": message(
        {"type": "text", "text": "Good "}, stop_reason="stop_sequence", stop_sequence="day"
    ),
}


@pytest.mark.parametrize("name", ANTHROPIC_MESSAGES)
def test_anthropic_helper_ends_with_the_kept_answer(name: str) -> None:
    """The helper for streams makes the same message, with its usage."""
    body = ANTHROPIC_MESSAGES[name]

    with anthropic_client(body).messages.stream(
        model="claude", max_tokens=100, messages=MESSAGES
    ) as stream:
        texts = "".join(stream.text_stream)
        found = stream.get_final_message()

    assert said(found) == said(Message.model_validate(body))
    assert texts == "".join(each.get("text", "") for each in body["content"])


def test_errors_are_raised_as_the_clients_raise_them() -> None:
    """An error in each API's shape is the client's own exception, with our message in it."""
    with pytest.raises(openai.NotFoundError, match="no such model") as openai_error:
        openai_client("openai.chat", {}, status=404).chat.completions.create(
            model="m", messages=MESSAGES
        )
    with pytest.raises(anthropic.NotFoundError, match="no such model") as anthropic_error:
        anthropic_client({}, status=404).messages.create(model="m", max_tokens=1, messages=MESSAGES)

    assert openai_error.value.code == "model_not_found"
    assert openai_error.value.type == "not_found_error"
    assert anthropic_error.value.type == "not_found_error"
