"""OpenAI's Agents SDK: agents, tools, handoffs and calls of models as events of a run.

add_trace_processor(WatchLLMTraceProcessor())
"""

from __future__ import annotations

from contextlib import suppress

from watchllm._enums import StepType
from watchllm.instrumentation._answer import Answer, of, plain
from watchllm.instrumentation._messages import conversation
from watchllm.instrumentation._openai import CHAT, RESPONSES
from watchllm.instrumentation._tree import Tree, guard

try:
    from agents.tracing import TracingProcessor
except ImportError as missing:
    raise ImportError(
        "watchllm.integrations.openai_agents needs OpenAI's Agents SDK, and Python 3.10 or newer:"
        " pip install 'watchllm[openai-agents]'"
    ) from missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from watchllm._client import WatchLLMClient

__all__ = ["WatchLLMTraceProcessor"]

_CALLS = frozenset(("generation", "response"))
_HIDDEN = frozenset(("task", "turn"))
"""What only says that an agent runs, and for which time: the agent and its calls say so too."""
_STEP_TYPES = {
    "function": StepType.TOOL_CALL,
    "mcp_tools": StepType.TOOL_CALL,
    "transcription": StepType.TOOL_CALL,
    "speech": StepType.TOOL_CALL,
    "guardrail": StepType.VALIDATION,
}
_guarded = guard("OpenAI's Agents SDK")


class WatchLLMTraceProcessor(TracingProcessor):  # type: ignore[misc] # it may not be installed
    """Log what agents do, as a tree in one run.

    Logs to `client`, else to that of `get_client()`. Each trace of theirs is a run by its own id,
    unless `watchllm.trace()` is around it, whose user and tags are inherited. Calls of models that
    `auto_instrument()` covers are logged by that, at the same place. Safe to use from any thread.
    """

    def __init__(self, client: WatchLLMClient | None = None) -> None:
        self._tree = Tree(client)

    @_guarded
    def on_trace_start(self, trace: Any) -> None:
        """Note the run of a trace."""
        opened = self._tree.begin(trace.trace_id, None, trace.name, new_run=trace.trace_id)
        opened.hidden = True
        opened.enter()

    @_guarded
    def on_trace_end(self, trace: Any) -> None:
        """Forget a trace."""
        self._tree.forget(trace.trace_id)

    @_guarded
    def on_span_start(self, span: Any) -> None:
        """Note that something has begun."""
        data = span.span_data
        opened = self._tree.begin(
            span.span_id, span.parent_id or span.trace_id, _name(data), new_run=span.trace_id
        )
        opened.hidden = data.type in _HIDDEN
        if data.type in _CALLS:
            opened.watch()
        else:
            opened.enter()

    @_guarded
    def on_span_end(self, span: Any) -> None:
        """Log what has ended."""
        data = span.span_data
        opened = self._tree.get(span.span_id)
        if opened is None:
            return
        error = {"message": str(of(span.error, "message") or span.error)} if span.error else None
        if data.type in _CALLS:
            answer = Answer()
            opened.inputs = _read_call(data, answer)
            opened.details = {
                "operation": "chat",
                "provider": "openai",
                "model": of(data, "model"),
                "request": _settings(data),
            }
            self._tree.end_call(span.span_id, answer.fields(), error)
        else:
            opened.inputs, outputs = _read_step(data)
            step_type = _STEP_TYPES.get(data.type, StepType.REASONING)
            self._tree.end_step(span.span_id, step_type, outputs, error)

    def force_flush(self) -> None:
        """Do nothing: the client sends in the background, and `watchllm` flushes when asked."""

    def shutdown(self) -> None:
        """Do nothing: the client is closed at exit."""


def _name(data: Any) -> str:
    if data.type == "handoff":
        return "handoff"
    return str(of(data, "name") or data.type)


def _read_call(data: Any, answer: Answer) -> str:
    """Read what a model answered; return what it was asked."""
    if data.type == "response":
        if data.response is not None:
            RESPONSES.read(answer, data.response)
        given = data.input
        messages = given if isinstance(given, (list, tuple)) else [given] if given else []
        return conversation(plain(messages), of(data.response, "instructions"))
    told = (data.output or [None])[0]
    if of(told, "output") is not None:  # of a stream
        RESPONSES.read(answer, told)
    elif told is not None:
        CHAT.read(answer, {"choices": [{"message": told}]})
    if any((data.usage or {}).values()):  # of nothing but zeros nothing is known
        answer.read_usage(data.usage)
    return conversation(plain(data.input or ()))


def _settings(data: Any) -> dict[str, Any]:
    told = of(data, "model_config") or {}
    return {
        name: told[name] for name in ("temperature", "max_tokens") if told.get(name) is not None
    }


def _read_step(data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what went into a step, and what came out of it."""
    if data.type == "function":
        return _object("input", data.input), _object("result", data.output)
    if data.type == "guardrail":
        return {}, {"triggered": data.triggered}
    if data.type == "transcription":
        return {}, {"text": data.output}  # sound is left out
    if data.type == "speech":
        return {"text": data.input}, {}
    told = data.data if data.type == "custom" else data.export()
    return {key: value for key, value in told.items() if key not in ("type", "name") and value}, {}


def _object(name: str, value: Any) -> dict[str, Any]:
    """Return what a tool is given or gives as an object; texts of JSON are read."""
    import json

    found = value
    if isinstance(value, str):
        with suppress(ValueError):
            found = json.loads(value)
    if isinstance(found, dict):
        return found
    return {} if value is None else {name: value}
