"""Log the calls that an app makes through the libraries of LLM providers, without a line at each.

Nothing else of the SDK imports this package; `watchllm.auto_instrument` loads it when it is used.
"""

from __future__ import annotations

from watchllm.instrumentation._switch import (
    auto_instrument,
    disable_instrumentation,
    is_instrumented,
)

__all__ = ["auto_instrument", "disable_instrumentation", "is_instrumented"]
