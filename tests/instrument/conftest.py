"""The endpoint, and clients of the one library that the environment has."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
import watchllm
from upstream import Endpoint

if TYPE_CHECKING:
    from typing import Callable, Iterator

try:
    import openai as library
except ImportError:
    import anthropic as library

NAME = library.__name__
MAKE = {
    "openai": (library.OpenAI, library.AsyncOpenAI) if NAME == "openai" else None,
    "anthropic": (library.Anthropic, library.AsyncAnthropic) if NAME == "anthropic" else None,
}
APIS = {"openai": ["chat", "completions", "responses", "embeddings"], "anthropic": ["messages"]}
QUESTION = "How is the weather in Rome?"
MESSAGES = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    """Run the endpoint."""
    running = Endpoint()
    yield running
    running.stop()


@pytest.fixture
def events(watchllm_events: Any) -> Iterator[Any]:
    """Instrument the library; return the events of the test."""
    assert watchllm.auto_instrument() == [NAME]
    yield watchllm_events
    watchllm.disable_instrumentation()


class Clients:
    """Make clients that ask the endpoint, and calls of each API with them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def options(self, model: str) -> dict[str, Any]:
        """Return the options of a client for a scene."""
        base = self.endpoint.url + ("/v1" if NAME == "openai" else "")
        timeout = 0.4 if model in ("slow", "hold") else 20
        return {"base_url": base, "api_key": "k", "max_retries": 1, "timeout": timeout}

    def sync(self, model: str = "gpt-4o", **options: Any) -> Any:
        """Return a client."""
        return MAKE[NAME][0](**{**self.options(model), **options})  # type: ignore[index]

    def asynchronous(self, model: str = "gpt-4o", **options: Any) -> Any:
        """Return an asynchronous client."""
        return MAKE[NAME][1](**{**self.options(model), **options})  # type: ignore[index]


@pytest.fixture
def clients(endpoint: Endpoint) -> Clients:
    """Return a maker of clients."""
    return Clients(endpoint)


def method(client: Any, api: str, *, raw: bool = False) -> Callable[..., Any]:
    """Return the method that calls an API, with what it asks."""
    resource = {
        "chat": lambda: client.chat.completions,
        "completions": lambda: client.completions,
        "responses": lambda: client.responses,
        "embeddings": lambda: client.embeddings,
        "messages": lambda: client.messages,
    }[api]()
    asks: dict[str, Any] = {
        "chat": {"messages": MESSAGES},
        "completions": {"prompt": QUESTION},
        "responses": {"input": QUESTION},
        "embeddings": {"input": QUESTION, "encoding_format": "float"},
        "messages": {"messages": MESSAGES, "max_tokens": 100},
    }[api]
    create = (resource.with_raw_response if raw else resource).create
    return lambda **options: create(**{**asks, **options})


def outcome(run: Callable[[], Any]) -> tuple[Any, ...]:
    """Run a call; return what the app sees of it: a result, or an exception with its cause."""
    try:
        result = run()
    except BaseException as error:
        chain = [error.__cause__, error.__context__]
        return ("raised", type(error), str(error), [type(each) for each in chain])
    finally:
        gc.collect()
    return ("returned", result)


def run(coroutine: Any) -> Any:
    """Run a coroutine, and let what it has dropped end."""

    async def all_of_it() -> Any:
        try:
            return await coroutine
        finally:
            gc.collect()
            await asyncio.sleep(0)

    return asyncio.run(all_of_it())
