"""How the objects of LangChain read."""

from __future__ import annotations

from langchain_core.messages import BaseMessage

from watchllm.instrumentation._answer import of
from watchllm.instrumentation._call import tool_name
from watchllm.instrumentation._messages import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
_WRITTEN = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
"""What was written to a cache, by how long it stays there: counted instead of `cache_creation`."""


def model_details(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a model before it answers."""
    metadata = kwargs.get("metadata") or {}
    asked = kwargs.get("invocation_params") or {}
    return {
        "operation": "chat",
        "provider": metadata.get("ls_provider"),
        "model": asked.get("model") or asked.get("model_name") or metadata.get("ls_model_name"),
        "request": {
            name: asked[name]
            for name in ("temperature", "max_tokens")
            if asked.get(name) is not None
        },
        "tools": [tool_name(tool) for tool in _tools(asked.get("tools"))],
    }


def _tools(asked: Any) -> Iterator[Any]:
    """Yield tools, which some providers have in a list within, or in an object of their own."""
    for tool in asked if isinstance(asked, (list, tuple)) else ():
        yield from of(tool, "function_declarations") or [of(tool, "toolSpec") or tool]


def is_cached(result: Any) -> bool:
    """Say whether LangChain has an answer from its own cache: it costs nothing then."""
    return _usage(_first(result)).get("total_cost") == 0


def _first(result: Any) -> Any:
    generations = getattr(result, "generations", None)
    return generations[0][0] if generations and generations[0] else None


def _usage(generation: Any) -> dict[str, Any]:
    return of(of(generation, "message"), "usage_metadata") or {}


def read_result(result: Any) -> dict[str, Any]:
    """Return what a model answered, as fields of its event."""
    first = _first(result)
    message = getattr(first, "message", None)
    told = getattr(message, "response_metadata", None) or {}
    usage = _usage(first)
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
    written = {name: given[name] for name in _WRITTEN if given.get(name)}
    details = {
        "cached_tokens": given.get("cache_read"),
        "cache_write_tokens": sum(written.values()) or given.get("cache_creation"),
    }
    if any(details.values()):
        kept["input_tokens_details"] = {name: value for name, value in details.items() if value}
    if written:
        kept["cache_creation"] = written
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
