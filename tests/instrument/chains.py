"""What chains and graphs of LangChain are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

if TYPE_CHECKING:
    from upstream import Endpoint


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city} is sunny."


def model_of(endpoint: Endpoint, name: str = "gpt-4o") -> ChatOpenAI:
    """Return a chat model that asks the endpoint."""
    return ChatOpenAI(
        model=name,
        base_url=f"{endpoint.url}/v1",
        api_key="k",
        max_retries=0,
        temperature=0.5,
        stream_usage=True,
    )
