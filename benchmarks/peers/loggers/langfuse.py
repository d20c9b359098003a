"""Langfuse: a generation that is started and ended by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langfuse import Langfuse

from loggers import LATENCY_MS, METADATA, MODEL, USAGE, USER

if TYPE_CHECKING:
    from collections.abc import Callable


def start(url: str) -> tuple[Callable[[str, str], None], Callable[[], object]]:
    """Make a client with keys of the right form."""
    client = Langfuse(public_key="pk-lf-bench", secret_key="sk-lf-bench", base_url=url)

    def log(prompt: str, response: str) -> None:
        client.start_observation(
            name="chat",
            as_type="generation",
            model=MODEL,
            input=prompt,
            output=response,
            metadata={**METADATA, "latency_ms": LATENCY_MS, "user_id": USER},
            usage_details={"input": USAGE[0], "output": USAGE[1]},
        ).end()

    return log, client.shutdown
