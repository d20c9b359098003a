"""The conversations that instrumentations tell, in their many forms."""

from __future__ import annotations

import json

import pytest
from otlp_spans import attributes, call, events, span


def test_parts_of_every_kind_become_text() -> None:
    """Tool calls and answers are written out, reasoning is kept apart, an image is only named."""
    asked = [
        {"role": "user", "parts": [{"type": "blob", "mime_type": "image/png", "content": "iVBO"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "1", "name": "look", "arguments": {"at": "it"}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "a cat"}]},
    ]
    answered = [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "It has whiskers."},
                {"type": "text", "content": "A cat."},
                {"type": "text", "content": "Sure."},
            ],
            "finish_reason": "stop",
        }
    ]

    event = call(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system_instructions": '[{"type": "text", "content": "Be brief."}]',
            "gen_ai.input.messages": json.dumps(asked),
            "gen_ai.output.messages": json.dumps(answered),
        }
    )

    assert event["prompt"] == (
        'system: Be brief.\n\nuser: [blob image/png]\n\nassistant: look({"at":"it"})\n\ntool: a cat'
    )
    assert event["response"] == "A cat.\nSure."
    assert event["response_metadata"]["reasoning"] == "It has whiskers."


def test_tool_calls_of_old_names_are_found() -> None:
    """The numbered attributes of OpenLLMetry and OpenInference give the same tool calls."""
    old = call(
        {
            "llm.request.type": "chat",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.completion.0.tool_calls.0.id": "1",
            "gen_ai.completion.0.tool_calls.0.name": "look",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"at": "it"}',
        }
    )
    other = call(
        {
            "openinference.span.kind": "LLM",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "look",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": (
                '{"at": "it"}'
            ),
        }
    )

    calls = [{"id": "1", "name": "look", "arguments": {"at": "it"}}]
    assert old["response_metadata"]["tool_calls"] == calls
    assert other["response_metadata"]["tool_calls"] == calls
    assert old["response"] == other["response"] == 'look({"at":"it"})'


@pytest.mark.parametrize(
    ("sent", "prompt"),
    [
        ("What now?", "What now?"),
        ('{"messages": [{"role": "user", "content": "What now?"}]}', "What now?"),
        ('["What", "now?"]', "user: What\n\nuser: now?"),
        ('[{"role": "user", "content": [{"type": "text", "text": "What now?"}]}]', "What now?"),
        ('[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]', "[image_url]"),
        ('[{"role": "user", "content": [{"content": "What"}, "now?"]}]', "What\nnow?"),
        (
            (
                '[{"role": "assistant", "content": null, "tool_calls": '
                '[{"id": "1", "function": {"name": "look", "arguments": "{}"}}]}]'
            ),
            "assistant: look({})",
        ),
        ("17", "17"),
        ("null", ""),
    ],
)
def test_messages_in_any_form_become_a_prompt(sent: str, prompt: str) -> None:
    """A bare text, OpenAI's messages in one list or object, and parts of every kind are read."""
    assert call({"gen_ai.operation.name": "chat", "gen_ai.prompt": sent})["prompt"] == prompt


def test_numbered_content_may_be_parts() -> None:
    """OpenLLMetry's content in parts is read as such; a text that is other JSON stays a text."""
    numbered = {
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": '{"answer": "in JSON"}',
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": '[{"type": "text", "text": "Why?"}, {"type": "image_url"}]',
    }

    event = call({"llm.request.type": "chat", **numbered})

    assert event["prompt"] == 'system: {"answer": "in JSON"}\n\nuser: Why?\n[image_url]'


def test_openinference_tells_images_and_leaves_gaps_in_its_counts() -> None:
    """An image is named without its bytes, and a number without a call is no tool call."""
    message = "llm.input_messages.0.message.contents"
    answered = "llm.output_messages.0.message"
    event = call(
        {
            "openinference.span.kind": "LLM",
            f"{message}.0.message_content.type": "text",
            f"{message}.0.message_content.text": "What is it?",
            f"{message}.1.message_content.type": "image",
            f"{message}.1.message_content.image.image.url": "data:image/png;base64,iVBO",
            f"{answered}.content": "Let me see.",
            f"{answered}.tool_calls.0.tool_call.id": "0",
            f"{answered}.tool_calls.1.tool_call.function.name": "look",
        }
    )

    assert event["prompt"] == "What is it?\n[image]"
    assert event["response"] == "Let me see.\nlook()"
    assert event["response_metadata"]["tool_calls"] == [{"name": "look"}]


@pytest.mark.parametrize(
    ("sent", "prompt"),
    [
        ('{"model": "m", "input": "one"}', "one"),
        ('{"model": "m", "input": ["one", "two"]}', '["one","two"]'),
        ("one", "one"),
    ],
)
def test_the_input_of_embeddings_is_found_in_the_request(sent: str, prompt: str) -> None:
    """Where the texts are told nowhere else, the request's `input` is the prompt."""
    assert call({"openinference.span.kind": "EMBEDDING", "input.value": sent})["prompt"] == prompt


def test_numbered_messages_keep_their_order() -> None:
    """The tenth message stands after the second, whatever the order of the attributes."""
    given = {f"llm.input_messages.{n}.message.content": str(n) for n in (10, 2, 0)}

    event = call({"openinference.span.kind": "LLM", **given})

    assert event["prompt"] == "user: 0\n\nuser: 2\n\nuser: 10"


def test_a_text_with_half_a_character_is_still_read_as_messages() -> None:
    """A message that was cut within a surrogate pair is mended, not shown as JSON."""
    cut = '[{"role": "user", "parts": [{"type": "text", "content": "Why? \\ud83d"}]}]'

    (event,) = events(span(attributes=attributes(**{"gen_ai.input.messages": cut})))

    assert event["prompt"] == "Why? \ufffd"
