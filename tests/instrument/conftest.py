"""The endpoint, and clients of the one library that the environment has."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import watchllm

from upstream import Endpoint

if TYPE_CHECKING:
    from typing import Callable, Coroutine, Iterator

try:
    import openai as library
except ImportError:
    try:
        import anthropic as library
    except ImportError:
        from google import genai as library  # its tests have fixtures of their own

NAME = library.__name__
MAKE = {"openai": ("OpenAI", "AsyncOpenAI"), "anthropic": ("Anthropic", "AsyncAnthropic")}
APIS = {"openai": ["chat", "completions", "responses", "embeddings"], "anthropic": ["messages"]}
QUESTION = "How is the weather in Rome?"
MESSAGES = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="session", autouse=True)
def named(record_testsuite_property: Callable[[str, str], None]) -> None:
    """Tell the report of the tests which library they are of."""
    record_testsuite_property("library", NAME)
    record_testsuite_property("version", library.__version__)


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


@pytest.fixture(scope="module")
def left_open() -> Iterator[None]:
    """Let go, after the tests of a file, of connections that a library has not closed."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


class Clients:
    """Clients that ask the endpoint, made once: each loads certificates for a tenth of a second."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.loop = asyncio.new_event_loop()
        base = endpoint.url + ("/v1" if NAME == "openai" else "")
        options: dict[str, Any] = {"base_url": base, "api_key": "k", "max_retries": 0}
        self._sync, self._async = (getattr(library, made)(**options) for made in MAKE[NAME])

    def sync(self, **options: Any) -> Any:
        """Return a client."""
        return self._sync.with_options(**options)

    def asynchronous(self, **options: Any) -> Any:
        """Return an asynchronous client."""
        return self._async.with_options(**options)

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine, and let what it has dropped end."""

        async def all_of_it() -> Any:
            try:
                return await coroutine
            finally:
                gc.collect()
                await asyncio.sleep(0)

        return self.loop.run_until_complete(all_of_it())

    def close(self) -> None:
        """Close the clients."""
        self._sync.close()
        self.run(self._async.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture(scope="session")
def clients(endpoint: Endpoint) -> Iterator[Clients]:
    """Return the clients."""
    made = Clients(endpoint)
    gc.collect()
    gc.freeze()  # the libraries are some hundred thousand objects, to look at in each test
    yield made
    made.close()


def method(client: Any, api: str, *, form: str = "") -> Callable[..., Any]:
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
    create = (getattr(resource, form) if form else resource).create
    return lambda **options: create(**{**asks, **options})


def made_to_fail(*_: object, **__: object) -> None:
    """Stand for a part of ours, and fail."""
    raise AssertionError("made to fail")


async def cancel(work: Coroutine[Any, Any, None], endpoint: Endpoint, said: Any) -> bool:
    """Cancel work as soon as an event is set, or without one when its request has arrived.

    Returns whether it ended as cancelled work does.
    """
    endpoint.arrived.clear()
    task = asyncio.ensure_future(work)
    if said is not None:
        await said.wait()
    else:
        await asyncio.get_running_loop().run_in_executor(None, endpoint.arrived.wait)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


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
