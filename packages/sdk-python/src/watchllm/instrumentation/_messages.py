"""Chat messages, in the forms in which requests have them, as one text."""

from __future__ import annotations

from watchllm._encoding import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping

_TEXTS = frozenset(("text", "input_text", "output_text"))
_CALLS = frozenset(("tool_use", "function_call", "custom_tool_call", "server_tool_use"))
_RESULTS = frozenset(("tool_result", "function_call_output", "custom_tool_call_output"))


def conversation(messages: Iterable[Any], system: Any = None) -> str:
    """Return messages as one text: a single one of the user as it is, others after their role."""
    told = [("system", content_text(system))] if system else []
    told += [_message(message) for message in messages]
    if len(told) == 1 and told[0][0] == "user":
        return told[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in told)


def _message(message: Any) -> tuple[str, str]:
    if not isinstance(message, dict):
        return "user", as_text(message)
    role = message.get("role")
    if not role:  # an item of the Responses API that is no message
        role = "tool" if message.get("type") in _RESULTS else "assistant"
        return role, _part(message)
    lines = [content_text(message.get("content"))]
    for call in message.get("tool_calls") or ():
        inner = call.get("function") or call
        lines.append(f"{inner.get('name')}({as_text(inner.get('arguments'))})")
    return role, "\n".join(line for line in lines if line)


def content_text(content: Any) -> str:
    """Return the content of a message, a text or a list of parts, as text."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, (list, tuple)):
        texts = (part if isinstance(part, str) else _part(part) for part in content)
        return "\n".join(text for text in texts if text)
    return as_text(content)


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return as_text(part)
    kind = part.get("type")
    if kind in _TEXTS or (kind is None and "text" in part):
        return as_text(part.get("text"))
    if kind in _CALLS:
        return f"{part.get('name')}({as_text(part.get('arguments', part.get('input')))})"
    if kind in _RESULTS:
        return content_text(part.get("content", part.get("output")))
    if kind == "refusal":
        return as_text(part.get("refusal"))
    return _named(part)


def _named(part: Mapping[str, Any]) -> str:
    """Name a part that is no text, such as an image; its bytes belong into no prompt."""
    source = part.get("source") or part.get("image_url") or part
    words = [part.get("type")]
    if isinstance(source, dict):
        words += [source.get(name) for name in ("media_type", "url", "file_id")]
    else:
        words.append(source)
    shown = [str(word) for word in words if word and not str(word).startswith("data:")]
    return f"[{' '.join(shown)[:500]}]"


def as_text(value: Any) -> str:
    """Return a text as it is, an object as JSON, nothing for None."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return dumps(value)
    except (TypeError, ValueError):
        return str(type(value))
