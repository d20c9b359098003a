"""Make calls with the anthropic client, and print what the client made of each answer.

It is started, and answers, as calls_openai.py does.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import anthropic

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "claude-sonnet-4-5"
ROME = [{"role": "user", "content": "How is the weather in Rome?"}]
WEATHER = {
    "name": "get_weather",
    "description": "Return the weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def text(client: anthropic.Anthropic) -> Any:
    """Ask for an answer of words."""
    return message_of(client.messages.create(model=MODEL, max_tokens=200, messages=ROME))


def stream(client: anthropic.Anthropic) -> Any:
    """Ask for a stream, and take the message that the client makes of it."""
    with client.messages.stream(model=MODEL, max_tokens=200, messages=ROME) as events:
        kinds = [event.type for event in events]
        return {**message_of(events.get_final_message()), "kinds": sorted(set(kinds))}


def tools(client: anthropic.Anthropic) -> Any:
    """Let the model call a tool, give it the result, and take its answer."""
    messages: list[Any] = [{"role": "user", "content": "Use the tool for the weather in Rome."}]
    given = {"model": MODEL, "max_tokens": 200, "tools": [WEATHER]}
    asked = client.messages.create(messages=messages, **given)
    call = next(block for block in asked.content if block.type == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": '{"degrees": 21}'}
    messages += [
        {"role": "assistant", "content": [block.model_dump() for block in asked.content]},
        {"role": "user", "content": [result]},
    ]
    told = client.messages.create(messages=messages, **given)
    return {
        "name": call.name,
        "arguments": call.input,
        "finish_reason": asked.stop_reason,
        "told": message_of(told),
    }


def stream_tools(client: anthropic.Anthropic) -> Any:
    """Let the model call a tool in a stream."""
    question = {"role": "user", "content": "Use the tool for the weather in Rome, please."}
    with client.messages.stream(
        model=MODEL, max_tokens=200, messages=[question], tools=[WEATHER]
    ) as events:
        message = events.get_final_message()
    call = next(block for block in message.content if block.type == "tool_use")
    return {"name": call.name, "arguments": call.input, "finish_reason": message.stop_reason}


def refused(model: str) -> Callable[[anthropic.Anthropic], Any]:
    """Return a call that a model's name makes fail; its outcome is the client's exception."""

    def call(client: anthropic.Anthropic) -> Any:
        try:
            client.messages.create(model=model, max_tokens=200, messages=ROME)
        except anthropic.APIStatusError as error:
            body = error.body
            if isinstance(body, dict):
                body = {name: value for name, value in body.items() if name != "request_id"}
            return {
                "exception": type(error).__name__,
                "status": error.status_code,
                "body": body,
                "retry_after": error.response.headers.get("retry-after"),
            }
        return None

    return call


CALLS: dict[str, Callable[[anthropic.Anthropic], Any]] = {
    "text": text,
    "stream": stream,
    "tools": tools,
    "stream_tools": stream_tools,
    "limited": refused("limited"),
    "refusing": refused("refusing"),
    "failing": refused("failing"),
}


def message_of(message: Any) -> dict[str, Any]:
    """Return what a message says."""
    return {
        "text": "".join(block.text for block in message.content if block.type == "text"),
        "finish_reason": message.stop_reason,
        "usage": message.usage.model_dump(include={"input_tokens", "output_tokens"}),
    }


def outcomes(target: dict[str, Any]) -> dict[str, Any]:
    """Make all calls with a client of its own, which repeats nothing by itself."""
    with anthropic.Anthropic(
        base_url=target["base_url"],
        api_key=target["key"],
        default_headers=target["headers"],
        max_retries=0,
        timeout=100,
    ) as client:
        return {name: call(client) for name, call in CALLS.items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps([outcomes(target) for target in json.loads(sys.argv[1])]))
