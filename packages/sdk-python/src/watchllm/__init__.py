"""WatchLLM: log the LLM calls, agent steps and errors of an app, with personal data redacted."""

from __future__ import annotations

from watchllm._client import WatchLLMClient
from watchllm._context import propagate, trace
from watchllm._default import get_client, init
from watchllm._enums import (
    AlertType,
    AssertionType,
    DetectionMethod,
    EventType,
    Severity,
    Status,
    StepType,
)
from watchllm._events import (
    AgentStepEvent,
    AssertionFailedEvent,
    ErrorEvent,
    HallucinationDetectedEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
)
from watchllm._redaction import RedactionConfig, redact
from watchllm._version import __version__ as __version__
from watchllm.errors import ConfigurationError, WatchLLMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from watchllm._step import step
    from watchllm.instrumentation import auto_instrument, disable_instrumentation, is_instrumented

__all__ = [
    "AgentStepEvent",
    "AlertType",
    "AssertionFailedEvent",
    "AssertionType",
    "ConfigurationError",
    "DetectionMethod",
    "ErrorEvent",
    "EventType",
    "HallucinationDetectedEvent",
    "PerformanceAlertEvent",
    "PromptCallEvent",
    "RedactionConfig",
    "Severity",
    "Status",
    "StepType",
    "WatchLLMClient",
    "WatchLLMError",
    "auto_instrument",
    "disable_instrumentation",
    "get_client",
    "init",
    "is_instrumented",
    "propagate",
    "redact",
    "step",
    "trace",
]

_LATE = {  # what a program that calls the log methods needs not, by its module
    "auto_instrument": "watchllm.instrumentation",
    "disable_instrumentation": "watchllm.instrumentation",
    "is_instrumented": "watchllm.instrumentation",
    "step": "watchllm._step",
}


def __getattr__(name: str) -> Any:
    """Load a name of `_LATE` when it is first used."""
    if name not in _LATE:
        raise AttributeError(f"module 'watchllm' has no attribute {name!r}")
    from importlib import import_module

    from watchllm._late import importing

    with importing:
        globals()[name] = found = getattr(import_module(_LATE[name]), name)
    return found
