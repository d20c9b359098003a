"""What a call used, by the names of each dialect."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from watchllm_server.ingest.otlp.names import INPUT_TOKENS, OUTPUT_TOKENS, USAGE
from watchllm_server.ingest.otlp.values import given

if TYPE_CHECKING:
    from watchllm_server.ingest.otlp.span import Attributes

_MAX_COUNT: Final = 2**53
_MAX_DIGITS: Final = 17
_MAIN: Final = frozenset(INPUT_TOKENS + OUTPUT_TOKENS)
_MAX_COST: Final = 1_000_000
_INPUT_DETAILS: Final = {
    "cached_tokens": "cached_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "input_audio_tokens": "audio_tokens",
}
_OUTPUT_DETAILS: Final = {
    "reasoning_tokens": "reasoning_tokens",
    "output_audio_tokens": "audio_tokens",
}


def tells_usage(attributes: Attributes) -> bool:
    """Return whether a span says how many tokens went in or out."""
    return not _MAIN.isdisjoint(attributes)


def usage_of(known: dict[str, Any]) -> dict[str, Any]:
    """Return the token counts among what is known as `usage` has them; the untold are left out.

    `input_tokens` holds the cached ones too. A sender whose parts are more than its whole has
    counted them beside it, as Anthropic's own usage does, and they are added.
    """
    counts = {
        kind: count
        for kind in USAGE.keys() & known.keys()
        if (count := _count(known[kind])) is not None
    }
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
        "input_tokens_details": _details(counts, _INPUT_DETAILS),
        "output_tokens_details": _details(counts, _OUTPUT_DETAILS),
    }
    return given(usage)


def cost_of(value: Any) -> float | None:
    """Return a cost in US dollars that the sender reckoned; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and 0 <= value <= _MAX_COST else None


def _details(counts: dict[str, int], names: dict[str, str]) -> dict[str, int]:
    return {name: counts[kind] for kind, name in names.items() if counts.get(kind)}


def _count(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:_MAX_DIGITS])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MAX_COUNT else None
