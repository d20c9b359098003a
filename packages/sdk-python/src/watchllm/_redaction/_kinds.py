"""The detectors by kind; those that are wanted are loaded when the first text is looked at."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

    from watchllm._redaction._config import RedactionConfig
    from watchllm._redaction._keyed import Keyed
    from watchllm._redaction._rules import Detector, Step

# In order of precedence: where two kinds overlap, all of it is called by the first.
_DETECTORS = {
    "SECRET": ("_secret", "SecretDetector"),
    "EMAIL": ("_email", "EmailDetector"),
    "IBAN": ("_iban", "IbanDetector"),
    "CC": ("_card", "CardDetector"),
    "SSN": ("_ssn", "SsnDetector"),
    "IP": ("_ip", "IpDetector"),
    "PHONE": ("_phone", "PhoneDetector"),
}


def detectors_of(kinds: Iterable[str]) -> tuple[Detector, ...]:
    """Return the detectors of some kinds, in order of precedence."""
    wanted = frozenset(kinds)
    return tuple(
        getattr(import_module(f"watchllm._redaction.{module}"), name)()
        for kind, (module, name) in _DETECTORS.items()
        if kind in wanted
    )


def steps_of(config: RedactionConfig, keyed: Keyed | None) -> tuple[Step, ...]:
    """Return the user's own patterns, then their functions."""
    if not config.patterns and not config.callables:
        return ()
    from watchllm._redaction._patterns import CallableStep, PatternStep

    patterns = [PatternStep(name, pattern, keyed) for name, pattern in config.patterns.items()]
    return (*patterns, *map(CallableStep, config.callables))
