"""Redact one value, outside of any event."""

from __future__ import annotations

from functools import lru_cache

from watchllm._redaction._rules import rules_of
from watchllm._redaction._walk import Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from watchllm._redaction._config import RedactionConfig


def redact(value: Any, config: RedactionConfig | None = None) -> Any:
    """Return a copy of any value with personal data replaced, as the events of a client have it.

    The copy is plain data that JSON knows: a tuple or a set becomes a list, bytes become text, a
    dataclass or a pydantic model becomes a dict, anything else what `repr` says of it. Texts are
    cut at 1 MB, values nested deeper than 64 levels and beyond 100,000 are left out, each with a
    marker in its place.

    Without `config` e-mail addresses, card numbers and the values of keys such as `password` are
    replaced. Never raises for a value and never changes it. Safe to call from any thread.
    """
    return Walk(rules_of(True) if config is None else _rules(config)).value(value)


# The rules of a configuration take longer to make than most values to look at.
_rules = lru_cache(maxsize=16)(rules_of)
