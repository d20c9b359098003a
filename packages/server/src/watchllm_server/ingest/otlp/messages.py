"""Chat messages as instrumentations spread them over the attributes of a span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchllm_server.jsontext import parse, text_of
from watchllm_server.messages import Message, read_message, read_part, tool_call

if TYPE_CHECKING:
    from watchllm_server.ingest.otlp.span import Attributes

_MAX_DIGITS: Final = 6


def take_indexed(attributes: Attributes, prefix: str) -> list[Attributes]:
    """Take the attributes named `<prefix><number>.<rest>` and return them by number, as rests."""
    groups: dict[int, Attributes] = {}
    for name in [name for name in attributes if name.startswith(prefix)]:
        number, _, rest = name[len(prefix) :].partition(".")
        if number.isascii() and number.isdecimal() and len(number) <= _MAX_DIGITS:
            groups.setdefault(int(number), {})[rest] = attributes.pop(name)
    return [groups[number] for number in sorted(groups)]


def openinference_message(group: Attributes) -> Message:
    """Return the message of one group of OpenInference's `llm.input_messages.` attributes."""
    inner = {name.removeprefix("message."): value for name, value in group.items()}
    message = Message(text_of(inner.get("role")) or "user", text_of(inner.get("content")))
    parts = take_indexed(inner, "contents.")
    texts = [message.text] if message.text else []
    for part in parts:
        plain = {name.removeprefix("message_content."): value for name, value in part.items()}
        if "image.image.url" in plain:
            plain = {"type": "image"}
        text = read_part(plain, message)
        if text:
            texts.append(text)
    message.text = "\n".join(texts)
    for call in take_indexed(inner, "tool_calls."):
        plain = {name.removeprefix("tool_call."): value for name, value in call.items()}
        function = {name: plain.get(f"function.{name}") for name in ("name", "arguments")}
        # Where text stands between the calls, its place in the count is an empty call.
        if function["name"]:
            message.tool_calls.append(tool_call({"id": plain.get("id"), "function": function}))
    return message


def indexed_message(group: Attributes) -> Message:
    """Return the message of one group of the old `gen_ai.prompt.` attributes."""
    calls = [
        tool_call({"id": call.get("id"), "function": call})
        for call in take_indexed(group, "tool_calls.")
    ]
    value = {**group, "content": parse(group.get("content"))}
    if not isinstance(value["content"], list):
        value["content"] = group.get("content")
    message = read_message(value)
    message.tool_calls += calls
    return message
