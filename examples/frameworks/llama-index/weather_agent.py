"""An agent of LlamaIndex with a tool; all that it does is one run.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    pip install 'watchllm[llama-index]' llama-index-llms-openai
    python weather_agent.py
"""

import asyncio
import os

import watchllm
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI
from watchllm.integrations.llama_index import add_handler

add_handler()


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city} is sunny."


async def main() -> None:
    """Ask the agent."""
    model = OpenAI(
        model=os.environ.get("OPENAI_MODEL", "gpt-4o"),
        additional_kwargs={"stream_options": {"include_usage": True}},  # else no tokens are told
    )
    with watchllm.trace(user_id="ada", tags=["guide"]):
        print(await FunctionAgent(name="guide", tools=[weather], llm=model).run("Rome's weather?"))


asyncio.run(main())
watchllm.get_client().close()
