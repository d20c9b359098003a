"""How the objects of LangChain read."""

from __future__ import annotations

from langchain_core.messages import BaseMessage

from watchllm.instrumentation._messages import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}


def model_details(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a model before it answers."""
    metadata = kwargs.get("metadata") or {}
    asked = kwargs.get("invocation_params") or {}
    tools = [tool.get("function") or tool for tool in asked.get("tools") or ()]
    return {
        "operation": "chat",
        "provider": metadata.get("ls_provider"),
        "model": asked.get("model") or asked.get("model_name") or metadata.get("ls_model_name"),
        "request": {name: asked[name] for name in ("temperature", "max_tokens") if asked.get(name)},
        "tools": [str(tool.get("name") or tool.get("type")) for tool in tools],
    }


def read_result(result: Any) -> dict[str, Any]:
    """Return what a model answered, as fields of its event."""
    generations = getattr(result, "generations", None)
    first = generations[0][0] if generations and generations[0] else None
    message = getattr(first, "message", None)
    told = getattr(message, "response_metadata", None) or {}
    usage = getattr(message, "usage_metadata", None) or {}
    if not usage:
        usage = (getattr(result, "llm_output", None) or {}).get("token_usage") or {}
    calls = [
        {"id": call.get("id"), "name": call.get("name"), "arguments": call.get("args")}
        for call in getattr(message, "tool_calls", None) or ()
    ]
    lines = [getattr(first, "text", None) or ""]
    lines += [f"{call['name']}({as_text(call['arguments'])})" for call in calls]
    given, made = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    kept = {
        "input_tokens": usage.get("input_tokens", usage.get("prompt_tokens")),
        "output_tokens": usage.get("output_tokens", usage.get("completion_tokens")),
    }
    if given.get("cache_read"):
        kept["input_tokens_details"] = {"cached_tokens": given["cache_read"]}
    if made.get("reasoning"):
        kept["output_tokens_details"] = {"reasoning_tokens": made["reasoning"]}
    return {
        "response": "\n".join(line for line in lines if line),
        "model": told.get("model_name") or told.get("model"),
        "tokens_input": kept["input_tokens"],
        "tokens_output": kept["output_tokens"],
        "metadata": {
            "usage": {name: value for name, value in kept.items() if value is not None},
            "finish_reason": told.get("finish_reason") or told.get("stop_reason"),
            "response_id": told.get("id"),
            "tool_calls": calls,
        },
    }


def as_dict(message: Any) -> dict[str, Any]:
    """Return a message as a request of OpenAI has it."""
    found: dict[str, Any] = {
        "role": _ROLES.get(message.type, message.type),
        "content": message.content,
    }
    calls = getattr(message, "tool_calls", None)
    if calls:
        found["tool_calls"] = [
            {"function": {"name": call["name"], "arguments": call["args"]}} for call in calls
        ]
    return found


def as_object(value: Any) -> dict[str, Any]:
    """Return what goes into a step, or comes out of it, as an object."""
    told = _told(value, 8)
    if isinstance(told, dict):
        return told
    return {} if told is None else {"value": told}


def _told(value: Any, depth: int) -> Any:
    """Return a copy with messages as what they say; a state may change after it was given."""
    if isinstance(value, BaseMessage):
        return as_dict(value)
    if not depth:
        return value
    if isinstance(value, dict):
        return {key: _told(item, depth - 1) for key, item in _items(value)}
    if isinstance(value, (list, tuple)):
        return [_told(item, depth - 1) for item in value]
    return value


def _items(value: dict[Any, Any]) -> Iterable[tuple[Any, Any]]:
    return list(value.items())  # at once: another branch may write to it
