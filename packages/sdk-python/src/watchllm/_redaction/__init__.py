"""Copy any value into data that JSON knows, with personal data replaced on the way.

Nothing here that costs is loaded with the package: the detectors are when the first event is.
"""

from watchllm._redaction._config import DEFAULT_DENY_KEYS, RedactionConfig
from watchllm._redaction._redact import redact
from watchllm._redaction._rules import DEFAULT_DETECTORS, Detector, Rules, rules_of
from watchllm._redaction._walk import FAILED, Walk

__all__ = [
    "DEFAULT_DENY_KEYS",
    "DEFAULT_DETECTORS",
    "FAILED",
    "Detector",
    "RedactionConfig",
    "Rules",
    "Walk",
    "redact",
    "rules_of",
]
