"""Chat messages in the forms that instrumentations give them, and the text that they become."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from watchllm_server.ingest.otlp.values import parse, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from watchllm_server.ingest.otlp.span import Attributes

_MAX_DIGITS: Final = 6
_TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text"})
_REASONING_PARTS: Final = frozenset({"reasoning", "thinking"})


@dataclass(slots=True)
class Message:
    """One message of a conversation."""

    role: str
    text: str
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = ""


def read_messages(value: Any) -> list[Message]:
    """Return the messages of a list of them, or of its JSON text; a bare text is the user's."""
    found = parse(value)
    if isinstance(found, dict) and isinstance(found.get("messages"), list):
        found = found["messages"]
    if isinstance(found, list):
        return [read_message(each) for each in found]
    return [read_message(found)] if found is not None else []


def read_message(value: Any) -> Message:
    """Return one message: with `parts` as OpenTelemetry has it, or with `content` as OpenAI has."""
    if not isinstance(value, dict):
        return Message("user", text_of(value))
    message = Message(text_of(value.get("role")) or "user", "")
    message.finish_reason = text_of(value.get("finish_reason"))
    content = value.get("parts", value.get("content"))
    texts = []
    for part in content if isinstance(content, list) else [content]:
        text = _read_part(part, message)
        if text:
            texts.append(text)
    message.text = "\n".join(texts)
    calls = value.get("tool_calls")
    if isinstance(calls, list):
        message.tool_calls += [_tool_call(call) for call in calls if isinstance(call, dict)]
    return message


def _read_part(part: Any, message: Message) -> str:
    if not isinstance(part, dict):
        return text_of(part)
    kind = part.get("type")
    text = part.get("content", part.get("text"))
    if kind in _TEXT_PARTS or (kind is None and text is not None):
        return text_of(text)
    if kind in _REASONING_PARTS:
        message.reasoning += text_of(text or part.get("thinking"))
        return ""
    if kind in ("tool_call", "tool_use"):
        message.tool_calls.append(_tool_call(part))
        return ""
    if kind in ("tool_call_response", "tool_result"):
        return text_of(part.get("response", part.get("result", text)))
    return _named(part)


def _named(part: dict[str, Any]) -> str:
    """Name a part that is no text, such as an image; its bytes belong into no prompt."""
    words = [
        text_of(part.get(name)) for name in ("type", "modality", "mime_type", "uri", "file_id")
    ]
    return f"[{' '.join(word for word in words if word)[:500]}]"


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    inner = function if isinstance(function, dict) else call
    arguments = parse(inner.get("arguments", inner.get("input")))
    found = {"id": call.get("id"), "name": text_of(inner.get("name")), "arguments": arguments}
    return {name: value for name, value in found.items() if value is not None}


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
        text = _read_part(plain, message)
        if text:
            texts.append(text)
    message.text = "\n".join(texts)
    for call in take_indexed(inner, "tool_calls."):
        plain = {name.removeprefix("tool_call."): value for name, value in call.items()}
        function = {name: plain.get(f"function.{name}") for name in ("name", "arguments")}
        # Where text stands between the calls, its place in the count is an empty call.
        if function["name"]:
            message.tool_calls.append(_tool_call({"id": plain.get("id"), "function": function}))
    return message


def indexed_message(group: Attributes) -> Message:
    """Return the message of one group of the old `gen_ai.prompt.` attributes."""
    calls = [
        _tool_call({"id": call.get("id"), "function": call})
        for call in take_indexed(group, "tool_calls.")
    ]
    value = {**group, "content": parse(group.get("content"))}
    if not isinstance(value["content"], list):
        value["content"] = group.get("content")
    message = read_message(value)
    message.tool_calls += calls
    return message


def conversation(messages: Sequence[Message]) -> str:
    """Return messages as one text: a single user message as it is, others each after its role."""
    if len(messages) == 1 and messages[0].role == "user" and not messages[0].tool_calls:
        return messages[0].text
    return "\n\n".join(f"{message.role}: {said(message)}" for message in messages)


def said(message: Message) -> str:
    """Return a message's text and, a line each, the tools that it calls."""
    lines = [message.text] if message.text else []
    lines += [f"{call['name']}({text_of(call.get('arguments'))})" for call in message.tool_calls]
    return "\n".join(lines)


def answer(messages: Iterable[Message]) -> str:
    """Return the text of a model's answer; several choices stand in paragraphs."""
    return "\n\n".join(said(message) for message in messages)
