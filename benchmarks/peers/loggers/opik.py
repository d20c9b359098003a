"""Opik: a trace with one span of the type llm, which holds the texts."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from opik import Opik

from loggers import LATENCY_MS, METADATA, MODEL, USAGE, USER

if TYPE_CHECKING:
    from collections.abc import Callable


def start(url: str) -> tuple[Callable[[str, str], None], Callable[[], object]]:
    """Make a client for a server of one's own."""
    client = Opik(host=url, workspace="default", project_name="bench")

    def log(prompt: str, response: str) -> None:
        now = datetime.datetime.now(datetime.UTC)
        begun = now - datetime.timedelta(milliseconds=LATENCY_MS)
        trace = client.trace(
            name="chat", start_time=begun, end_time=now, metadata={"user_id": USER}
        )
        trace.span(
            name="chat",
            type="llm",
            start_time=begun,
            end_time=now,
            model=MODEL,
            provider="openai",
            input={"prompt": prompt},
            output={"response": response},
            metadata=dict(METADATA),
            usage={
                "prompt_tokens": USAGE[0],
                "completion_tokens": USAGE[1],
                "total_tokens": sum(USAGE),
            },
        )

    return log, client.end
