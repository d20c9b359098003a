"""An agent of LangChain with two tools; its calls, steps and tools are one run, as a tree.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    pip install 'watchllm[langchain]' langchain-openai
    python langchain_agent.py
"""

import os

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from watchllm import WatchLLMClient, trace
from watchllm.langchain import WatchLLMCallback


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city} is sunny."


@tool
def clock(city: str) -> str:
    """Tell the time of a city."""
    return f"It is noon in {city}."


model = ChatOpenAI(model=os.environ.get("OPENAI_MODEL", "gpt-4o"), temperature=0)
agent = create_agent(model, [weather, clock], name="guide")
question = {"role": "user", "content": "How is the weather in Rome, and what time is it?"}

with WatchLLMClient() as watchllm:
    # One callback serves any number of calls at once; each is a run of its own without trace().
    callback = WatchLLMCallback(watchllm)
    with trace(user_id="ada", tags=["guide"]) as run_id:
        answer = agent.invoke({"messages": [question]}, config={"callbacks": [callback]})
    print(answer["messages"][-1].content)
    watchllm.flush()
    print(f"Logged as run {run_id}.")
