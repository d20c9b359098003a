"""An agent of Pydantic AI with a tool, through OpenTelemetry: all that it does is one run.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    pip install 'watchllm[otel]' 'pydantic-ai-slim[openai]'
    python weather_agent.py
"""

import os

import watchllm
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic_ai import Agent, InstrumentationSettings
from watchllm.integrations.opentelemetry import WatchLLMSpanExporter

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(WatchLLMSpanExporter()))
Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))

agent = Agent(f"openai-chat:{os.environ.get('OPENAI_MODEL', 'gpt-4o')}", name="guide")


@agent.tool_plain
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city} is sunny."


print(agent.run_sync("How is the weather in Rome?").output)

provider.shutdown()
watchllm.get_client().close()
