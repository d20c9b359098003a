"""WatchLLM: log the LLM calls, agent steps and errors of an app, with personal data redacted."""

from watchllm._client import WatchLLMClient
from watchllm._context import trace
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
    "get_client",
    "init",
    "redact",
    "trace",
]
