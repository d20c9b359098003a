"""What Anthropic's library offers beside plain calls: tools, thinking, the stream helper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Clients

pytest.importorskip("anthropic")

from conftest import MESSAGES, QUESTION
from upstream import ANSWER, MESSAGES_USAGE

TOOLS: Any = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]


@pytest.mark.parametrize("stream", [False, True])
def test_tools_and_thinking_are_read_whole_and_streamed(
    stream: bool, clients: Clients, events: Any
) -> None:
    """Text, the tool to call and the thinking are each in their place."""
    list(
        clients.sync().messages.create(
            model="claude",
            max_tokens=100,
            messages=MESSAGES,
            tools=TOOLS,
            system="Be brief.",
            stream=stream,
        )
    )

    (event,) = events.all()
    metadata = event["response_metadata"]
    lines = event["response"].split("\n")
    assert lines[0] == "I look."
    assert lines[1].replace(" ", "") == 'weather({"city":"Rome"})'
    assert metadata["reasoning"] == "Which city?"
    assert metadata["tool_calls"] == [
        {"id": "toolu_1", "name": "weather", "arguments": {"city": "Rome"}}
    ]
    assert metadata["tools"] == ["weather"]
    assert metadata["finish_reason"] == "tool_use"
    assert metadata["usage"] == MESSAGES_USAGE
    assert event["prompt"] == f"system: Be brief.\n\nuser: {QUESTION}"
    assert (event["tokens_input"], event["tokens_output"]) == (24, 12)


@pytest.mark.parametrize("beta", [False, True])
def test_the_stream_helper_works_and_is_logged_once(
    beta: bool, clients: Clients, events: Any
) -> None:
    """`stream()` gives its texts and its final message, of the beta's messages too."""
    client = clients.sync()
    resource = client.beta.messages if beta else client.messages
    with resource.stream(model="claude", max_tokens=100, messages=MESSAGES) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()

    assert "".join(texts) == final.content[0].text == ANSWER
    (event,) = events.all()
    assert event["response"] == ANSWER
    assert (event["tokens_output"], event["status"]) == (12, "success")


def test_the_async_stream_helper_left_early(clients: Clients, events: Any) -> None:
    """Left in the middle, the helper closes the stream, and the event says so."""

    async def first() -> str:
        client = clients.asynchronous()
        async with client.messages.stream(
            model="claude", max_tokens=100, messages=MESSAGES
        ) as stream:
            async for text in stream.text_stream:
                return str(text)
        return ""

    assert clients.run(first()) == "Rome"
    (event,) = events.all()
    assert (event["response"], event["status"]) == ("Rome", "success")
    assert event["response_metadata"]["ended"] == "closed early"


def test_counting_tokens_is_no_call_of_a_model(clients: Clients, events: Any) -> None:
    """The endpoint that counts tokens is not logged."""
    clients.sync().messages.count_tokens(model="claude", messages=MESSAGES)

    assert events.all() == []
