"""OpenTelemetry: a span with the attributes of its GenAI conventions, batched, over OTLP/HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from loggers import LATENCY_MS, METADATA, MODEL, USAGE, USER

if TYPE_CHECKING:
    from collections.abc import Callable


def start(url: str) -> tuple[Callable[[str, str], None], Callable[[], object]]:
    """Set the provider of the process, with the batch processor's defaults."""
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    tracer = trace.get_tracer("bench")

    def log(prompt: str, response: str) -> None:
        with tracer.start_as_current_span(f"chat {MODEL}") as span:
            span.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.request.model": MODEL,
                    "gen_ai.input.messages": json.dumps([{"role": "user", "content": prompt}]),
                    "gen_ai.output.messages": json.dumps([response]),
                    "gen_ai.usage.input_tokens": USAGE[0],
                    "gen_ai.usage.output_tokens": USAGE[1],
                    "latency_ms": LATENCY_MS,
                    "user_id": USER,
                    **METADATA,
                }
            )

    return log, provider.shutdown
