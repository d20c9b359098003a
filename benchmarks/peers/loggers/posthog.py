"""PostHog: the event $ai_generation, captured by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posthog import Posthog

from loggers import LATENCY_MS, METADATA, MODEL, USAGE, USER

if TYPE_CHECKING:
    from collections.abc import Callable


def start(url: str) -> tuple[Callable[[str, str], None], Callable[[], object]]:
    """Make a client with a key of the right form."""
    client = Posthog("phc_bench", host=url)

    def log(prompt: str, response: str) -> None:
        client.capture(
            "$ai_generation",
            distinct_id=USER,
            properties={
                "$ai_trace_id": "run-bench",
                "$ai_model": MODEL,
                "$ai_provider": "openai",
                "$ai_input": [{"role": "user", "content": prompt}],
                "$ai_output_choices": [{"role": "assistant", "content": response}],
                "$ai_input_tokens": USAGE[0],
                "$ai_output_tokens": USAGE[1],
                "$ai_latency": LATENCY_MS / 1000,
                **METADATA,
            },
        )

    return log, client.shutdown
