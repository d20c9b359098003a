"""LlamaIndex as people use it, with our handler."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("llama_index.core")

import watchllm
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms import MockLLM
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from watchllm._log import Problems
from watchllm.integrations.llama_index import add_handler

from conftest import QUESTION, made_to_fail
from programs import run_example
from trees import below, by_name
from upstream import ANSWER, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upstream import Endpoint

# It warns of its own classes, and leaves the connections of its clients open.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("left_open")]


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    root = get_dispatcher()
    before = list(root.span_handlers), list(root.event_handlers)
    add_handler()
    yield
    root.span_handlers, root.event_handlers = before


def model_of(endpoint: Endpoint, model: str = "gpt-4.1", /, **more: Any) -> OpenAI:
    """Return a model that asks the endpoint and tells the tokens of its streams."""
    return OpenAI(
        model=model,
        api_base=f"{endpoint.url}/v1",
        api_key="k",
        max_retries=0,
        temperature=0,
        additional_kwargs=more,
    )


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city} is sunny."


def broken(city: str) -> str:
    """Fail."""
    raise ValueError(f"no weather for {city}")


@pytest.mark.parametrize("instrumented", [False, True])
def test_an_agent_is_a_tree_in_one_run(
    instrumented: bool, endpoint: Endpoint, watchllm_events: Any
) -> None:
    """Two streamed calls and a tool are below the agent, once, whoever has logged the calls."""

    async def ask() -> str:
        llm = model_of(endpoint, stream_options={"include_usage": True})
        return str(await FunctionAgent(name="guide", tools=[weather], llm=llm).run(QUESTION))

    if instrumented:
        watchllm.auto_instrument()
    try:
        said = asyncio.run(ask())
    finally:
        watchllm.disable_instrumentation()

    events = watchllm_events.all()
    first, second = watchllm_events.of_type("prompt_call")
    steps = by_name(events)
    assert said == ANSWER
    assert len({event["run_id"] for event in events}) == 1
    assert events[0]["run_id"].startswith("llama-index-")
    assert list(steps) == ["weather", "FunctionAgent"]
    assert first["prompt"] == QUESTION
    assert first["response"].startswith("weather(")
    assert second["prompt"].endswith("tool: Rome is sunny.")
    assert second["response"] == ANSWER
    for call in (first, second):
        assert (call["tokens_input"], call["tokens_output"]) == (40, 12)
        assert 0 < call["response_metadata"]["time_to_first_token_ms"] <= call["latency_ms"]
        assert below(call, events) == ["FunctionAgent"]
    assert below(steps["weather"], events) == ["FunctionAgent"]
    assert steps["weather"]["input_data"] == {"city": "Rome"}
    assert steps["weather"]["output_data"] == {"value": "Rome is sunny."}
    assert steps["FunctionAgent"]["output_data"] == {"value": ANSWER}


class Shelf(BaseRetriever):
    """A retriever that finds one text, or nothing at all."""

    empty = False

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        if self.empty:
            raise LookupError(query_bundle.query_str)
        return [NodeWithScore(node=TextNode(text="Rome lies in Italy."), score=0.5)]


def test_a_query_is_a_tree(endpoint: Endpoint, watchllm_events: Any) -> None:
    """The retriever and the call of the model are below the query engine."""
    llm = model_of(endpoint, "gpt-4o")
    engine = RetrieverQueryEngine.from_args(Shelf(), llm=llm)
    with watchllm.trace("run-t", user_id="ada"):
        said = str(engine.query(QUESTION))

    events = watchllm_events.all()
    (call,) = watchllm_events.of_type("prompt_call")
    steps = by_name(events)
    assert said == ANSWER
    assert {(event["run_id"], event["user_id"]) for event in events} == {("run-t", "ada")}
    assert list(steps) == ["Shelf", "RetrieverQueryEngine"]
    assert steps["Shelf"]["step_type"] == "tool_call"
    assert steps["Shelf"]["input_data"] == {"str_or_query_bundle": QUESTION}
    assert steps["Shelf"]["output_data"] == {
        "nodes": [{"text": "Rome lies in Italy.", "score": 0.5}]
    }
    assert below(steps["Shelf"], events) == ["RetrieverQueryEngine"]
    assert below(call, events) == ["RetrieverQueryEngine"]
    assert "Rome lies in Italy." in call["prompt"]
    assert (call["model"], call["tokens_output"]) == ("gpt-4o-2024-08-06", 12)
    assert call["response_metadata"]["provider"] == "openai"


def test_calls_of_each_kind_are_logged_once(endpoint: Endpoint, watchllm_events: Any) -> None:
    """Chats and completions, whole and streamed, sync and async."""
    llm = model_of(endpoint, "gpt-4o")
    messages = [ChatMessage(QUESTION)]

    async def asynchronous() -> None:
        await llm.achat(messages)
        async for _ in await llm.astream_chat(messages):
            pass
        await llm.acomplete(QUESTION)

    llm.chat(messages)
    list(llm.stream_chat(messages))
    llm.complete(QUESTION)
    list(llm.stream_complete(QUESTION))
    asyncio.run(asynchronous())

    calls = watchllm_events.all()
    assert [call["event_type"] for call in calls] == ["prompt_call"] * 7
    assert {call["prompt"] for call in calls} == {QUESTION}
    assert {call["response"] for call in calls} == {ANSWER}
    assert len({call["run_id"] for call in calls}) == 7
    for call in calls:  # newer versions tell no settings
        assert call["response_metadata"].get("request") in (None, {"temperature": 0})


def test_a_model_without_usage_or_name(watchllm_events: Any) -> None:
    """What is not told is unknown."""
    MockLLM().complete(QUESTION)

    calls = watchllm_events.of_type("prompt_call")
    assert len(calls) == 1
    assert (calls[0]["prompt"], calls[0]["response"]) == (QUESTION, QUESTION)
    assert set(calls[0]["invalid_fields"]) == {"tokens_input", "tokens_output"}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_the_app_leaves_is_no_error(
    is_async: bool, endpoint: Endpoint, watchllm_events: Any
) -> None:
    """The call has ended well, with what was read."""
    llm = model_of(endpoint, "gpt-4o")

    async def asynchronous() -> None:
        stream = await llm.astream_chat([ChatMessage(QUESTION)])
        async for part in stream:
            if part.delta:
                break
        await stream.aclose()

    if is_async:
        asyncio.run(asynchronous())
    else:
        for part in llm.stream_chat([ChatMessage(QUESTION)]):
            if part.delta:
                break
    gc.collect()

    (call,) = watchllm_events.all()
    assert (call["status"], call["response"]) == ("success", WORDS[0])
    assert call["response_metadata"]["ended"] == "closed early"


def test_what_a_tool_logs_is_below_it(watchllm_events: Any) -> None:
    """Events of the app's own are in the run, and no longer once the tool has ended."""

    def noted(city: str) -> str:
        watchllm.get_client().log_error(None, city)
        return city

    FunctionTool.from_defaults(noted, name="noted").call(city="Rome")
    watchllm.get_client().log_error(None, "later")

    inside, later = watchllm_events.of_type("error")
    assert below(inside, watchllm_events) == ["noted"]
    assert "parent_event_id" not in later


class Silent(MockLLM):
    """A model whose streams end before they begin."""

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        yield from ()


def test_a_stream_without_a_part(watchllm_events: Any) -> None:
    """It is a call without an answer."""
    said = list(Silent().stream_chat([ChatMessage(QUESTION)]))

    (call,) = watchllm_events.all()
    assert said == []
    assert (call["prompt"], call["response"], call["status"]) == (QUESTION, "", "success")


def test_a_stream_from_before_is_not_logged(endpoint: Endpoint, watchllm_events: Any) -> None:
    """What had begun before the handler came is passed over, and is the app's all the same."""
    root = get_dispatcher()
    root.span_handlers, root.event_handlers = [], []
    stream = model_of(endpoint, "gpt-4o").stream_chat([ChatMessage(QUESTION)])
    next(stream)
    add_handler()
    *_, last = stream

    assert last.message.content == ANSWER
    assert watchllm_events.all() == []


@pytest.mark.parametrize("scene", ["whole", "streamed", "wrong"])
def test_a_call_that_fails_is_an_error(
    scene: str, endpoint: Endpoint, watchllm_events: Any
) -> None:
    """The app gets its exception, and so does the event."""
    # LlamaIndex itself takes no name that it does not know.
    llm = model_of(endpoint, "gpt-4o", model="wrong" if scene == "wrong" else "nope")
    messages = [ChatMessage(QUESTION)]

    def ask() -> Any:
        return llm.chat(messages) if scene == "whole" else list(llm.stream_chat(messages))

    with pytest.raises(Exception, match=r"no model nope|Overloaded") as raised:
        ask()

    (call,) = watchllm_events.of_type("prompt_call")
    assert call["status"] == "error"
    assert call["error"]["type"] == type(raised.value).__name__
    assert call["model"] == ("wrong-2024-08-06" if scene == "wrong" else "gpt-4o")


def test_steps_that_fail_are_errors(watchllm_events: Any) -> None:
    """A tool and a retriever raise as before, and their steps say what."""
    tool = FunctionTool.from_defaults(broken)
    shelf = Shelf()
    shelf.empty = True
    with pytest.raises(ValueError, match="no weather"):
        tool.call(city="Rome")
    with pytest.raises(LookupError):
        shelf.retrieve(QUESTION)

    steps = by_name(watchllm_events)
    assert steps["broken"]["error"]["type"] == "ValueError"
    assert steps["Shelf"]["error"]["type"] == "LookupError"


def test_a_large_result_is_logged(watchllm_events: Any) -> None:
    """A tool may give five megabytes; the app has them, and the step is there."""
    tool = FunctionTool.from_defaults(lambda city: city * 1_000_000, name="large")
    result = tool.call(city="Rome!")

    assert len(result.content) == 5_000_000
    assert by_name(watchllm_events)["large"]["status"] == "success"


def test_adding_it_again_changes_nothing(watchllm_events: Any) -> None:
    """One handler logs each step once."""
    add_handler()
    FunctionTool.from_defaults(weather).call(city="Rome")

    assert len(watchllm_events) == 1


def test_our_failures_are_warnings(
    watchllm_events: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Made to fail on purpose, the app goes on, and our logger says what happened."""
    monkeypatch.setattr("watchllm.integrations.llama_index._given", made_to_fail)
    monkeypatch.setattr("watchllm.instrumentation._tree._problems", Problems())
    with caplog.at_level(logging.WARNING, "watchllm"):
        result = FunctionTool.from_defaults(weather).call(city="Rome")

    assert result.content == "Rome is sunny."
    assert "made to fail" in caplog.text
    assert watchllm_events.all() == []


def test_the_example_is_one_run(
    endpoint: Endpoint, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the page logs two calls and a tool below one agent."""
    for name in ("BASE_URL", "API_BASE"):
        monkeypatch.setenv(f"OPENAI_{name}", f"{endpoint.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_MODEL", "gpt-4.1")
    run_example("llama-index/weather_agent.py")

    assert len(watchllm_events.of_type("prompt_call")) == 2
    assert list(by_name(watchllm_events)) == ["weather", "FunctionAgent"]
    assert {event["user_id"] for event in watchllm_events} == {"ada"}
