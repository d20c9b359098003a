"""An app that calls a model and knows nothing of WatchLLM: OpenTelemetry's own exporter is set up.

Run as `python client.py <module of the instrumentation> <base URL of the endpoint>`, with the
exporter's settings in the environment. It prints the id of its trace.
"""

from __future__ import annotations

import contextlib
import importlib
import sys

import openai
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

QUESTION = {"role": "user", "content": "How is the weather in Rome?"}
MESSAGES = [{"role": "system", "content": "Be brief."}, QUESTION]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def main(instrumentation: str, base_url: str) -> None:
    """Make one trace: two steps, a call, a stream, a tool's call, embeddings, and two failures."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    importlib.import_module(instrumentation).OpenAIInstrumentor().instrument()
    tracer = trace.get_tracer("app")
    client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0)
    with tracer.start_as_current_span("answer", attributes={"user.id": "user-7"}) as root:
        sys.stdout.write(f"{root.get_span_context().trace_id:032x}\n")
        with tracer.start_as_current_span("look up", attributes={"query": "Rome"}):
            client.embeddings.create(
                model="text-embedding-3-small", input="Rome", encoding_format="float"
            )
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.2)
        stream = client.chat.completions.create(
            model="gpt-4o", messages=[QUESTION], stream=True, stream_options={"include_usage": True}
        )
        for _ in stream:
            pass
        client.chat.completions.create(model="gpt-4o", messages=[QUESTION], tools=[TOOL])
        with contextlib.suppress(openai.NotFoundError):
            client.chat.completions.create(model="nope", messages=[QUESTION])
        with (
            contextlib.suppress(ValueError),
            tracer.start_as_current_span("check the answer"),
        ):
            raise ValueError("the answer is too long")
    provider.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
