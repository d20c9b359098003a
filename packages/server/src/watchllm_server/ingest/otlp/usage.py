"""What a call used, by the names of each dialect."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from watchllm_server.ingest.otlp.values import first

if TYPE_CHECKING:
    from watchllm_server.ingest.otlp.span import Attributes

_MAX_COUNT: Final = 2**53
_MAX_DIGITS: Final = 17
# By kind, the present name of OpenTelemetry first; the first that is there counts.
_COUNTS: Final = {
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
    ),
    "total_tokens": (
        "gen_ai.usage.total_tokens",
        "llm.token_count.total",
        "llm.usage.total_tokens",
    ),
    "cached_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "gen_ai.usage.details.cache_read_tokens",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.details.cache_write_tokens",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "llm.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
    ),
    "input_audio_tokens": ("llm.token_count.prompt_details.audio",),
    "output_audio_tokens": ("llm.token_count.completion_details.audio",),
}
_KINDS: Final = {name: kind for kind, names in _COUNTS.items() for name in names}
_MAIN: Final = frozenset(_COUNTS["input_tokens"] + _COUNTS["output_tokens"])
_RANKS: Final = {name: rank for rank, name in enumerate(_KINDS)}
_COST: Final = ("llm.cost.total", "gen_ai.usage.cost", "operation.cost")
_MAX_COST: Final = 1_000_000


def tells_usage(attributes: Attributes) -> bool:
    """Return whether a span says how many tokens went in or out."""
    return not _MAIN.isdisjoint(attributes)


def take_usage(attributes: Attributes) -> dict[str, Any]:
    """Take the token counts and return them as `usage` has them; what is not told is left out.

    `input_tokens` holds the cached ones too. A sender whose parts are more than its whole has
    counted them beside it, as Anthropic's own usage does, and they are added.
    """
    counts: dict[str, int] = {}
    for name in sorted(attributes.keys() & _KINDS.keys(), key=_RANKS.__getitem__):
        count = _count(attributes.pop(name))
        if count is not None:
            counts.setdefault(_KINDS[name], count)
    whole, total = counts.get("input_tokens"), counts.get("total_tokens")
    parts = counts.get("cached_tokens", 0) + counts.get("cache_write_tokens", 0)
    if whole is not None and parts > whole:
        whole += parts
        total = None
    output = counts.get("output_tokens")
    if output is None and whole is not None and total is not None and total >= whole:
        output = total - whole
    usage = {
        "input_tokens": whole,
        "output_tokens": output,
        "total_tokens": total,
        "input_tokens_details": _details(
            counts, "cached_tokens", "cache_write_tokens", audio_tokens="input_audio_tokens"
        ),
        "output_tokens_details": _details(
            counts, "reasoning_tokens", audio_tokens="output_audio_tokens"
        ),
    }
    return {name: value for name, value in usage.items() if value not in (None, {})}


def take_cost(attributes: Attributes) -> float | None:
    """Take the cost in US dollars that the sender reckoned; None when there is none."""
    cost = first(attributes, *_COST)
    if isinstance(cost, bool) or not isinstance(cost, int | float):
        return None
    return cost if math.isfinite(cost) and 0 <= cost <= _MAX_COST else None


def _details(counts: dict[str, int], *same: str, **renamed: str) -> dict[str, int]:
    names = {**{name: name for name in same}, **renamed}
    return {name: counts[kind] for name, kind in names.items() if counts.get(kind)}


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:_MAX_DIGITS])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MAX_COUNT else None
