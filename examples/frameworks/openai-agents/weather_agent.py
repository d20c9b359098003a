"""An agent of OpenAI's Agents SDK with two tools; all that it does is one run.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    pip install 'watchllm[openai-agents]'
    python weather_agent.py
"""

import os

import watchllm
from agents import Agent, Runner, function_tool, set_trace_processors
from watchllm.integrations.openai_agents import WatchLLMTraceProcessor

# add_trace_processor() in its place would go on sending the traces to OpenAI as well.
set_trace_processors([WatchLLMTraceProcessor()])


@function_tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city} is sunny."


@function_tool
def clock(city: str) -> str:
    """Tell the time of a city."""
    return f"It is noon in {city}."


agent = Agent(
    name="guide",
    instructions="Be brief.",
    tools=[weather, clock],
    model=os.environ.get("OPENAI_MODEL", "gpt-4o"),
)

with watchllm.trace(user_id="ada", tags=["guide"]):
    print(Runner.run_sync(agent, "How is the weather in Rome, and what time is it?").final_output)

watchllm.get_client().close()
