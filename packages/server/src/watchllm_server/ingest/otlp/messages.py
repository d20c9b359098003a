"""Chat messages as instrumentations spread them over the attributes of a span."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from watchllm_server.jsontext import parse, text_of
from watchllm_server.messages import Message, read_message, read_part, tool_call

if TYPE_CHECKING:
    from collections.abc import Container

    from watchllm_server.ingest.otlp.span import Attributes

_NUMBER: Final = re.compile(r"\.(\d{1,6})(?:\.|\Z)", re.ASCII)
_INNER: Final = ("contents", "tool_calls")
Indexed: TypeAlias = "dict[str, list[Attributes]]"
"""By prefix what has the same number, in the order of the numbers: values by rest of the name."""


def take_indexed(attributes: Attributes, prefixes: Container[str]) -> Indexed:
    """Take the attributes named `<prefix>.<number>.<rest>` of these prefixes."""
    groups: dict[str, dict[int, Attributes]] = {}
    for name in tuple(attributes):
        number = _NUMBER.search(name)
        if number and (prefix := name[: number.start()]) in prefixes:
            group = groups.setdefault(prefix, {}).setdefault(int(number[1]), {})
            group[name[number.end() :]] = attributes.pop(name)
    return {prefix: [found[each] for each in sorted(found)] for prefix, found in groups.items()}


def openinference_message(group: Attributes) -> Message:
    """Return the message of one group of OpenInference's `llm.input_messages.` attributes."""
    inner = {name.removeprefix("message."): value for name, value in group.items()}
    message = Message(text_of(inner.get("role")) or "user", text_of(inner.get("content")))
    indexed = take_indexed(inner, _INNER)
    texts = [message.text] if message.text else []
    for part in indexed.get("contents", ()):
        plain = {name.removeprefix("message_content."): value for name, value in part.items()}
        if "image.image.url" in plain:
            plain = {"type": "image"}
        text = read_part(plain, message)
        if text:
            texts.append(text)
    message.text = "\n".join(texts)
    for call in indexed.get("tool_calls", ()):
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
        for call in take_indexed(group, _INNER).get("tool_calls", ())
    ]
    value = {**group, "content": parse(group.get("content"))}
    if not isinstance(value["content"], list):
        value["content"] = group.get("content")
    message = read_message(value)
    message.tool_calls += calls
    return message
