"""What a call used, by the names of each dialect."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from watchllm_server.ingest.otlp.span import Attributes

_MAX_COUNT: Final = 2**53
_INPUT: Final = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
_OUTPUT: Final = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
_TOTAL: Final = ("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens")
_CACHE_READ: Final = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
    "gen_ai.usage.details.cache_read_tokens",
)
_CACHE_WRITE: Final = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
    "gen_ai.usage.details.cache_write_tokens",
)
_REASONING: Final = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
    "llm.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
)
_AUDIO_IN: Final = ("llm.token_count.prompt_details.audio",)
_AUDIO_OUT: Final = ("llm.token_count.completion_details.audio",)
_COST: Final = ("llm.cost.total", "gen_ai.usage.cost", "operation.cost")
_MAX_COST: Final = 1_000_000


def first(attributes: Attributes, *names: str) -> Any:
    """Take all attributes of these names, and return the first that has a value."""
    found = None
    for name in names:
        value = attributes.pop(name, None)
        if found is None and value is not None and value != "":
            found = value
    return found


def take_usage(attributes: Attributes) -> dict[str, Any]:
    """Take the token counts and return them as `usage` has them; what is not told is left out.

    `input_tokens` holds the cached ones too. A sender whose parts are more than its whole has
    counted them beside it, as Anthropic's own usage does, and they are added.
    """
    whole, output = _count(attributes, *_INPUT), _count(attributes, *_OUTPUT)
    total = _count(attributes, *_TOTAL)
    read, write = _count(attributes, *_CACHE_READ), _count(attributes, *_CACHE_WRITE)
    parts = (read or 0) + (write or 0)
    if whole is not None and parts > whole:
        whole += parts
        total = None
    if output is None and whole is not None and total is not None and total >= whole:
        output = total - whole
    inside = {
        "cached_tokens": read,
        "cache_write_tokens": write,
        "audio_tokens": _count(attributes, *_AUDIO_IN),
    }
    outside = {
        "reasoning_tokens": _count(attributes, *_REASONING),
        "audio_tokens": _count(attributes, *_AUDIO_OUT),
    }
    usage = {
        "input_tokens": whole,
        "output_tokens": output,
        "total_tokens": total,
        "input_tokens_details": _known(inside),
        "output_tokens_details": _known(outside),
    }
    return {name: value for name, value in usage.items() if value not in (None, {})}


def take_cost(attributes: Attributes) -> float | None:
    """Take the cost in US dollars that the sender reckoned; None when there is none."""
    cost = first(attributes, *_COST)
    if isinstance(cost, bool) or not isinstance(cost, int | float):
        return None
    return cost if math.isfinite(cost) and 0 <= cost <= _MAX_COST else None


def _known(counts: dict[str, int | None]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _count(attributes: Attributes, *names: str) -> int | None:
    value = first(attributes, *names)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 15:  # noqa: PLR2004 - digits that stay exact
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MAX_COUNT else None
