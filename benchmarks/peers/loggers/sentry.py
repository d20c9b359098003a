"""Sentry: a transaction of the operation gen_ai.chat, which its AI pages show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sentry_sdk

from loggers import LATENCY_MS, METADATA, MODEL, USAGE, USER

if TYPE_CHECKING:
    from collections.abc import Callable


def start(url: str) -> tuple[Callable[[str, str], None], Callable[[], object]]:
    """Initialise it with tracing on; texts of LLM calls count as personal data there."""
    sentry_sdk.init(
        dsn=url.replace("//", "//0123456789abcdef0123456789abcdef@") + "/1",
        traces_sample_rate=1.0,
        send_default_pii=True,
    )

    def log(prompt: str, response: str) -> None:
        with sentry_sdk.start_transaction(op="gen_ai.chat", name=f"chat {MODEL}") as span:
            span.set_data("gen_ai.request.model", MODEL)
            span.set_data(
                "gen_ai.input.messages", json.dumps([{"role": "user", "content": prompt}])
            )
            span.set_data("gen_ai.output.messages", json.dumps([response]))
            span.set_data("gen_ai.usage.input_tokens", USAGE[0])
            span.set_data("gen_ai.usage.output_tokens", USAGE[1])
            span.set_data("latency_ms", LATENCY_MS)
            span.set_data("user_id", USER)
            for name, value in METADATA.items():
                span.set_data(name, value)

    return log, lambda: sentry_sdk.get_client().close(timeout=30)
