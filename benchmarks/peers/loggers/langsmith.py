"""LangSmith: a run of the type llm, with the ids that let its client batch it."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from langsmith import Client, uuid7

from loggers import LATENCY_MS, METADATA, MODEL, USAGE, USER

if TYPE_CHECKING:
    from collections.abc import Callable


def start(url: str) -> tuple[Callable[[str, str], None], Callable[[], object]]:
    """Make a client with a key of the right form."""
    client = Client(api_url=url, api_key="lsv2_pt_bench")

    def log(prompt: str, response: str) -> None:
        now = datetime.datetime.now(datetime.UTC)
        begun = now - datetime.timedelta(milliseconds=LATENCY_MS)
        run_id = uuid7()
        client.create_run(
            "chat",
            {"messages": [{"role": "user", "content": prompt}]},
            "llm",
            project_name="bench",
            id=run_id,
            trace_id=run_id,
            dotted_order=f"{begun:%Y%m%dT%H%M%S%f}Z{run_id}",
            start_time=begun,
            end_time=now,
            outputs={
                "choices": [{"message": {"role": "assistant", "content": response}}],
                "usage_metadata": {
                    "input_tokens": USAGE[0],
                    "output_tokens": USAGE[1],
                    "total_tokens": sum(USAGE),
                },
            },
            extra={"metadata": {**METADATA, "ls_model_name": MODEL, "user_id": USER}},
        )

    def finish() -> None:
        client.flush()
        client.close()

    return log, finish
