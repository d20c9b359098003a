"""An event as a span by OpenTelemetry's GenAI conventions."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from functools import lru_cache
from hashlib import sha256

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from watchllm._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SCOPE = InstrumentationScope("watchllm", __version__)
_RUN_DIGITS = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SAID = frozenset(
    ("event_id", "event_type", "project_id", "run_id", "timestamp", "env", "release", "client",
     "parent_event_id", "latency_ms", "status", "error", "user_id", "tags", "session_id")
)  # fmt: skip


def span_of(event: dict[str, Any]) -> ReadableSpan:
    """Return the span of an event as the wire has it. The same event has the same ids each time."""
    end = _nanoseconds(event["timestamp"])
    start = end - int(event.get("latency_ms", 0) * 1e6)
    trace_id = _trace_id(event["run_id"])
    parent = event.get("parent_event_id")
    error = event.get("error")
    kind = event["event_type"]
    name, attributes = _MAKE.get(kind, _other)(event)
    attributes.update(
        {
            "user.id": event.get("user_id"),
            "gen_ai.conversation.id": event.get("session_id"),
            "watchllm.run_id": event["run_id"],
            "watchllm.event_type": kind,
            "watchllm.tags": event.get("tags") or None,
        }
    )
    events = []
    if error:
        attributes["error.type"] = error.get("type") or "_OTHER"
        told = {"type": error.get("type"), "message": error.get("message")}
        told["stacktrace"] = error.get("stack") or event.get("stack_trace")
        raised = {f"exception.{key}": value for key, value in told.items() if value}
        events.append(Event("exception", raised, end))
    failed = error or event.get("status") in ("error", "timeout")
    return ReadableSpan(
        name,
        _context(trace_id, event["event_id"]),
        _context(trace_id, parent) if parent else None,
        _resource(event.get("env"), event.get("release")),
        {key: _plain(value) for key, value in attributes.items() if value is not None},
        events,
        kind=SpanKind.CLIENT if kind == "prompt_call" else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, (error or {}).get("message")) if failed else Status(),
        start_time=start,
        end_time=end,
        instrumentation_scope=_SCOPE,
    )


def _prompt_call(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    metadata = event.get("response_metadata") or {}
    usage = metadata.get("usage") or {}
    unknown = event.get("invalid_fields") or {}
    doing = metadata.get("operation") or "chat"
    given = usage.get("input_tokens_details") or usage.get("prompt_tokens_details") or {}
    made = usage.get("output_tokens_details") or usage.get("completion_tokens_details") or {}
    first = metadata.get("time_to_first_token_ms")
    finish = metadata.get("finish_reason")
    counts = {
        f"gen_ai.usage.{side}_tokens": event.get(f"tokens_{side}")
        for side in ("input", "output")
        if f"tokens_{side}" not in unknown
    }
    settings = metadata.get("request") or {}
    return f"{doing} {event['model']}", {
        **{f"gen_ai.request.{name}": value for name, value in settings.items()},
        **counts,
        "gen_ai.operation.name": doing,
        "gen_ai.provider.name": metadata.get("provider"),
        "gen_ai.request.model": metadata.get("requested_model") or event["model"],
        "gen_ai.response.model": event["model"],
        "gen_ai.response.id": metadata.get("response_id"),
        "gen_ai.response.finish_reasons": [finish] if isinstance(finish, str) else finish,
        "gen_ai.response.time_to_first_chunk": None if first is None else first / 1_000,
        "gen_ai.usage.cache_read.input_tokens": given.get("cached_tokens"),
        "gen_ai.usage.reasoning.output_tokens": made.get("reasoning_tokens"),
        "gen_ai.input.messages": _message("user", event.get("prompt")),
        "gen_ai.output.messages": _message("assistant", event.get("response")),
    }


def _agent_step(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = event["step_name"]
    given, made = json.dumps(event["input_data"]), json.dumps(event["output_data"])
    if event["step_type"] == "tool_call":
        return f"execute_tool {name}", {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.arguments": given,
            "gen_ai.tool.call.result": made,
        }
    return name, {
        "watchllm.step_type": event["step_type"],
        "watchllm.input_data": given,
        "watchllm.output_data": made,
        "watchllm.reasoning": event.get("reasoning"),
    }


def _other(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name and the attributes of an event that the conventions do not know."""
    return event["event_type"], {
        f"watchllm.{name}": value for name, value in event.items() if name not in _SAID
    }


def _plain(value: Any) -> Any:
    """Return what an attribute may be: a scalar or a list of texts as it is, others as JSON."""
    if isinstance(value, (str, int, float)):
        return value
    texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return value if texts else json.dumps(value)


_MAKE = {"prompt_call": _prompt_call, "agent_step": _agent_step}


def _message(role: str, text: str | None) -> str | None:
    if not text:
        return None
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def _context(trace_id: int, event_id: str) -> SpanContext:
    span_id = int.from_bytes(sha256(event_id.encode()).digest()[:8], "big") or 1
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1))


def _trace_id(run_id: str) -> int:
    """Return a run's own id, if it is one of a trace, else one that is made from it."""
    try:
        found = int(run_id, 16) if len(run_id) == _RUN_DIGITS else 0
    except ValueError:
        found = 0
    return found or int.from_bytes(sha256(run_id.encode()).digest()[:16], "big")


def _nanoseconds(moment: str) -> int:
    """Return a time of the wire, RFC 3339 in UTC, as nanoseconds since 1970."""
    whole, _, digits = moment[:-1].partition(".")
    since = datetime.fromisoformat(whole + "+00:00") - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + int(digits.ljust(9, "0"))


@lru_cache(maxsize=64)
def _resource(env: str | None, release: str | None) -> Resource:
    told = {"deployment.environment.name": env, "service.version": release}
    return Resource.create({name: value for name, value in told.items() if value})
