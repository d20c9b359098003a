"""The six kinds of events. Making one does nothing else: `WatchLLMClient.log_event` logs it."""

from __future__ import annotations

from enum import Enum

from watchllm._enums import (
    AlertType,
    AssertionType,
    DetectionMethod,
    EventType,
    Severity,
    Status,
    StepType,
)
from watchllm._exceptions import describe_exception

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Iterable, Mapping, Sequence, Union

    ErrorLike = Union[BaseException, Mapping[str, Any], str]


_COMMON = frozenset(
    ("run_id", "user_id", "tags", "release", "event_id", "timestamp", "env", "project_id")
)


class Event:
    """Base of the six kinds: what they have in common.

    All take `run_id`, `user_id`, `tags`, `release`, `event_id`, `timestamp` and any further field
    of the wire as keywords. What is left out is filled in when the event is logged: the run from
    `trace()`, a new id, the time of logging. Values are checked and redacted then, not before.
    """

    __slots__ = ("_fields",)
    event_type: ClassVar[EventType]

    def __init__(self, fields: Mapping[str, Any], common: Mapping[str, Any]) -> None:
        self._fields = {**common, **fields}
        self._fields.pop("event_type", None)

    def __getattr__(self, name: str) -> Any:
        """Return a field of the event; None if it was left out."""
        if name.startswith("_") or not (name in self._fields or name in _COMMON):
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        return self._fields.get(name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return self.to_wire() == other.to_wire()

    __hash__ = None  # type: ignore[assignment] # equal by content, which may change

    def __repr__(self) -> str:
        # Names alone: the values may be personal and long.
        given = [name for name, value in self._fields.items() if value is not None]
        return f"{type(self).__name__}({', '.join(given)})"

    def to_wire(self) -> dict[str, Any]:
        """Return the event as the wire names it, with absent values left out and enums as text."""
        wire = {name: _plain(value) for name, value in self._fields.items() if value is not None}
        return {"event_type": self.event_type.value, **wire}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, BaseException):
        return describe_exception(value)
    return value


class PromptCallEvent(Event):
    """Describe one call of a language model."""

    __slots__ = ()
    event_type = EventType.PROMPT_CALL

    def __init__(
        self,
        *,
        prompt: str,
        model: str,
        response: str | None,
        tokens_input: int | None,
        tokens_output: int | None,
        latency_ms: float,
        status: Status | str = Status.SUCCESS,
        error: ErrorLike | None = None,
        prompt_template_id: str | None = None,
        model_version: str | None = None,
        response_metadata: Mapping[str, Any] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        cost_estimate_usd: float | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            {
                "prompt": prompt,
                "model": model,
                "response": response,
                "tokens_input": tokens_input,
                "tokens_output": tokens_output,
                "latency_ms": latency_ms,
                "status": status,
                "error": error,
                "prompt_template_id": prompt_template_id,
                "model_version": model_version,
                "response_metadata": response_metadata,
                "tool_calls": tool_calls,
                "cost_estimate_usd": cost_estimate_usd,
            },
            common,
        )


class AgentStepEvent(Event):
    """Describe one step of an agent."""

    __slots__ = ()
    event_type = EventType.AGENT_STEP

    def __init__(
        self,
        *,
        step_number: int,
        step_name: str,
        step_type: StepType | str,
        input_data: Mapping[str, Any],
        output_data: Mapping[str, Any],
        latency_ms: float,
        status: Status | str = Status.SUCCESS,
        reasoning: str | None = None,
        context: Mapping[str, Any] | None = None,
        error: ErrorLike | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            {
                "step_number": step_number,
                "step_name": step_name,
                "step_type": step_type,
                "input_data": input_data,
                "output_data": output_data,
                "latency_ms": latency_ms,
                "status": status,
                "reasoning": reasoning,
                "context": context,
                "error": error,
            },
            common,
        )


class ErrorEvent(Event):
    """Describe an error of the app: an exception, or a dict with a `message`."""

    __slots__ = ()
    event_type = EventType.ERROR

    def __init__(
        self,
        *,
        error: ErrorLike,
        context: Mapping[str, Any] | None = None,
        stack_trace: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__({"error": error, "context": context, "stack_trace": stack_trace}, common)


class AssertionFailedEvent(Event):
    """Describe a check that failed."""

    __slots__ = ()
    event_type = EventType.ASSERTION_FAILED

    def __init__(
        self,
        *,
        assertion_name: str,
        assertion_type: AssertionType | str,
        expected: Any,
        actual: Any,
        severity: Severity | str = Severity.MEDIUM,
        **common: Any,
    ) -> None:
        super().__init__(
            {
                "assertion_name": assertion_name,
                "assertion_type": assertion_type,
                "expected": expected,
                "actual": actual,
                "severity": severity,
            },
            common,
        )


class HallucinationDetectedEvent(Event):
    """Describe content that a model made up. `confidence_score` is from 0 to 1."""

    __slots__ = ()
    event_type = EventType.HALLUCINATION_DETECTED

    def __init__(
        self,
        *,
        detection_method: DetectionMethod | str,
        confidence_score: float,
        flagged_content: str,
        ground_truth: str | None = None,
        recommendations: Iterable[str] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            {
                "detection_method": detection_method,
                "confidence_score": confidence_score,
                "flagged_content": flagged_content,
                "ground_truth": ground_truth,
                "recommendations": [] if recommendations is None else recommendations,
            },
            common,
        )


class PerformanceAlertEvent(Event):
    """Describe a measure that left its bounds over the last `window_minutes`."""

    __slots__ = ()
    event_type = EventType.PERFORMANCE_ALERT

    def __init__(
        self,
        *,
        alert_type: AlertType | str,
        threshold: float,
        actual_value: float,
        window_minutes: int,
        affected_models: Iterable[str] | None = None,
        severity: Severity | str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            {
                "alert_type": alert_type,
                "threshold": threshold,
                "actual_value": actual_value,
                "window_minutes": window_minutes,
                "affected_models": [] if affected_models is None else affected_models,
                "severity": severity,
            },
            common,
        )
