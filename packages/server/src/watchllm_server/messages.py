"""Chat messages in the forms that APIs and instrumentations give them, and their text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from watchllm_server.jsontext import parse, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    message.text = _joined(content if isinstance(content, list) else [content], message)
    calls = value.get("tool_calls")
    if isinstance(calls, list):
        message.tool_calls += [tool_call(call) for call in calls if isinstance(call, dict)]
    return message


def read_part(part: Any, message: Message) -> str:
    """Return the text of a part; what is reasoning or a tool call goes into the message."""
    if not isinstance(part, dict):
        return text_of(part)
    kind = part.get("type")
    kind = text_of(kind) if kind is not None else None
    text = part.get("content", part.get("text"))
    if kind in _TEXT_PARTS or (kind is None and text is not None):
        return text_of(text)
    if kind in _REASONING_PARTS:
        message.reasoning += text_of(text or part.get("thinking"))
        return ""
    if kind in ("tool_call", "tool_use"):
        message.tool_calls.append(tool_call(part))
        return ""
    if kind in ("tool_call_response", "tool_result"):
        found = part.get("response", part.get("result", text))
        return _joined(found, message) if isinstance(found, list) else text_of(found)
    return _named(part)


def _joined(parts: list[Any], message: Message) -> str:
    return "\n".join(text for text in (read_part(part, message) for part in parts) if text)


def _named(part: dict[str, Any]) -> str:
    """Name a part that is no text, such as an image; its bytes belong into no prompt."""
    words = [
        text_of(part.get(name)) for name in ("type", "modality", "mime_type", "uri", "file_id")
    ]
    return f"[{' '.join(word for word in words if word)[:500]}]"


def tool_call(call: dict[str, Any]) -> dict[str, Any]:
    """Return the id, name and parsed arguments of a tool call of any form."""
    function = call.get("function")
    inner = function if isinstance(function, dict) else call
    arguments = parse(inner.get("arguments", inner.get("input")))
    found = {"id": call.get("id"), "name": text_of(inner.get("name")), "arguments": arguments}
    return {name: value for name, value in found.items() if value is not None}


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
