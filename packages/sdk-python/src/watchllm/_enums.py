"""The values of the wire, as enums whose members are the strings themselves."""

from __future__ import annotations

from enum import Enum


class _Value(str, Enum):
    def __str__(self) -> str:
        # The mixed-in str differs between Python versions here; the wire value never does.
        return str.__str__(self.value)


class EventType(_Value):
    """Name what an event is about."""

    PROMPT_CALL = "prompt_call"
    AGENT_STEP = "agent_step"
    ERROR = "error"
    ASSERTION_FAILED = "assertion_failed"
    HALLUCINATION_DETECTED = "hallucination_detected"
    PERFORMANCE_ALERT = "performance_alert"


class Status(_Value):
    """Say how a call or a step ended."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    ASSERTION_FAILED = "assertion_failed"
    WARNING = "warning"


class StepType(_Value):
    """Say what an agent did in a step."""

    REASONING = "reasoning"
    TOOL_CALL = "tool_call"
    VALIDATION = "validation"
    OUTPUT = "output"


class Severity(_Value):
    """Say how bad a finding is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class AssertionType(_Value):
    """Say what kind of check failed."""

    RESPONSE_FORMAT = "response_format"
    CONTENT_FILTER = "content_filter"
    SAFETY_CHECK = "safety_check"
    CUSTOM = "custom"


class DetectionMethod(_Value):
    """Say how a hallucination was found."""

    HEURISTIC = "heuristic"
    MODEL_ENSEMBLE = "model_ensemble"
    GROUND_TRUTH_VERIFICATION = "ground_truth_verification"


class AlertType(_Value):
    """Say which measure left its bounds."""

    COST_SPIKE = "cost_spike"
    LATENCY_SPIKE = "latency_spike"
    ERROR_RATE_SPIKE = "error_rate_spike"
    TOKEN_LIMIT = "token_limit"  # noqa: S105 - a value of the wire, no secret
