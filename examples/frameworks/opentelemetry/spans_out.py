"""Calls that are logged to WatchLLM and, as spans by the GenAI conventions, to a collector as well.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID, OPENAI_API_KEY and OTEL_EXPORTER_OTLP_ENDPOINT
set (OPENAI_BASE_URL and OPENAI_MODEL are honoured):

    pip install 'watchllm[openai,otel]' opentelemetry-exporter-otlp-proto-http
    python spans_out.py
"""

import os

import openai
import watchllm
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from watchllm.integrations.opentelemetry import SpanTransport

watchllm.auto_instrument("openai", also_to=SpanTransport(OTLPSpanExporter))

with openai.OpenAI() as client, watchllm.trace(user_id="ada"):
    completion = client.chat.completions.create(
        model=os.environ.get("OPENAI_MODEL", "gpt-4o"),
        messages=[{"role": "user", "content": "What is a span?"}],
    )
print(completion.choices[0].message.content)

watchllm.get_client().close()
