"""Requests in all their forms become one text, and whatever they hold, nothing is raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchllm.instrumentation._anthropic import LIBRARY as ANTHROPIC
from watchllm.instrumentation._call import Call, problems
from watchllm.instrumentation._messages import as_text, content_text, conversation
from watchllm.instrumentation._openai import LIBRARY as OPENAI

if TYPE_CHECKING:
    from watchllm.testing import CapturedEvents

APIS = {**OPENAI.apis, **ANTHROPIC.apis}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
LINK = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([{"role": "user", "content": "Hi"}], "Hi"),
        (["Hi"], "Hi"),
        ([], ""),
        ([{"role": "system", "content": "Be brief."}], "system: Be brief."),
        (
            [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}],
            "user: Hi\n\nassistant: ",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "See"}, IMAGE, LINK, "this"]}],
            "See\n[image_url]\n[image_url https://example.com/a.png]\nthis",
        ),
        (
            [
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "content": "42"},
            ],
            "assistant: f({})\n\ntool: 42",
        ),
        (
            [
                {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
                {"type": "function_call_output", "output": "42", "call_id": "c"},
                {"type": "item_reference", "id": "i"},
            ],
            "assistant: f({})\n\ntool: 42\n\nassistant: [item_reference]",
        ),
        (
            [
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "name": "f", "input": {"a": 1}, "id": "t"}],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "content": [{"type": "text", "text": "42"}]},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "AA"},
                        },
                        {"type": "refusal", "refusal": "No."},
                        {"type": "input_file", "file_id": "file-1"},
                        {"type": "input_image", "image_url": "https://example.com/b.png"},
                    ],
                },
            ],
            (
                'assistant: f({"a":1})\n\nuser: 42\n[image image/png]\nNo.\n[input_file file-1]'
                "\n[input_image https://example.com/b.png]"
            ),
        ),
    ],
)
def test_messages_as_one_text(messages: list[Any], text: str) -> None:
    """A single message of the user is its text; others stand in paragraphs after their role."""
    assert conversation(messages) == text


def test_a_system_text_comes_first() -> None:
    """Instructions beside the messages are told as a message of the system."""
    parts = [{"type": "text", "text": "Be brief."}]
    assert conversation([{"role": "user", "content": "Hi"}], parts) == (
        "system: Be brief.\n\nuser: Hi"
    )


def test_a_value_of_no_known_kind_is_json_or_its_type() -> None:
    """An object of the app inside of a message does not stop its call from being logged."""
    assert content_text({"a": 1}) == '{"a":1}'
    assert content_text([1.5]) == "1.5"
    assert "set" in as_text({1})


json = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.text(max_size=6),
        st.sampled_from(["text", "tool_use", "tool_result", "message", "function_call", "user"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "role",
                    "content",
                    "text",
                    "name",
                    "arguments",
                    "input",
                    "output",
                    "messages",
                    "system",
                    "prompt",
                    "tools",
                    "tool_calls",
                    "function",
                    "choices",
                    "message",
                    "delta",
                    "usage",
                    "index",
                    "id",
                    "model",
                    "source",
                    "instructions",
                    "response",
                    "item",
                    "content_block",
                    "image_url",
                ]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=25,
)
objects = json.filter(lambda value: isinstance(value, dict))


@pytest.mark.parametrize("api", APIS.values(), ids=list(APIS))
@given(body=objects, answer=json, chunks=st.lists(json, max_size=3))
def test_any_request_and_any_answer_is_one_event(
    api: Any, body: Any, answer: Any, chunks: list[Any]
) -> None:
    """Whatever JSON is asked and answered, the call is logged once and nothing is raised."""
    from watchllm.testing import capture

    with capture() as events:
        call = Call(api, body)
        for chunk in chunks:
            call.chunk(chunk)
        call.answered(answer)
        call.end()
        call.end(ValueError("too late"))

        (event,) = events.all()
    assert event["status"] in ("success", "error")
    assert event["response_metadata"]["provider"] in ("openai", "anthropic")


def test_a_failure_to_read_is_in_the_event(watchllm_events: CapturedEvents) -> None:
    """What of a call could not be read is said in its metadata."""
    problems.solved("instrumentation AttributeError", "for this test")
    call = Call(APIS["/chat/completions"], {"model": "m", "messages": []})
    call.answered({"choices": [{"message": {"tool_calls": 7}}]})
    call.chunk("no chunk")
    call.end()

    assert "AttributeError" in watchllm_events[0]["response_metadata"]["unreadable"]
