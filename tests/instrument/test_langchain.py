"""LangChain and LangGraph as people use them, with our handler."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Any

import pytest
import watchllm

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI

    from upstream import Endpoint

pytest.importorskip("langchain")

import openai
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool
from watchllm.instrumentation import _tree
from watchllm.langchain import WatchLLMCallback, WatchLLMCallbackHandler

from chains import model_of, weather
from programs import run_example
from trees import below, by_name
from upstream import ANSWER, WORDS

QUESTION = "How is the weather in Rome?"


@tool
def broken(city: str) -> str:
    """Fail."""
    raise ValueError(f"no weather for {city}")


@pytest.fixture
def model(endpoint: Endpoint) -> ChatOpenAI:
    """Return a chat model that asks the endpoint."""
    return model_of(endpoint)


def test_a_chain_is_a_run_with_its_call_below(model: ChatOpenAI, watchllm_events: Any) -> None:
    """The call has the prompt, the model that answered, tokens; its chain is above it."""
    chain = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{q}")]) | model
    said = chain.invoke({"q": QUESTION}, config={"callbacks": [WatchLLMCallbackHandler()]})

    (call,) = watchllm_events.of_type("prompt_call")
    metadata = call["response_metadata"]
    assert said.content == ANSWER
    assert call["prompt"] == f"system: Be brief.\n\nuser: {QUESTION}"
    assert call["response"] == ANSWER
    assert (call["model"], metadata["requested_model"]) == ("gpt-4o-2024-08-06", "gpt-4o")
    assert (call["tokens_input"], call["tokens_output"]) == (40, 12)
    assert metadata["usage"]["input_tokens_details"] == {"cached_tokens": 16}
    assert metadata["usage"]["output_tokens_details"] == {"reasoning_tokens": 5}
    assert (metadata["provider"], metadata["finish_reason"]) == ("openai", "stop")
    assert metadata["request"] == {"temperature": 0.5}
    assert below(call, watchllm_events) == ["RunnableSequence"]
    assert len({event["run_id"] for event in watchllm_events}) == 1
    assert call["run_id"].startswith("langchain-")


def test_the_documents_name_and_its_client_work(model: ChatOpenAI, watchllm_events: Any) -> None:
    """`WatchLLMCallback(client)` is the handler, and can be given to the model itself."""
    client = watchllm.WatchLLMClient()
    callback = WatchLLMCallback(client, run_id="named")
    with watchllm.trace(user_id="ada"):
        model.invoke(QUESTION, config={"callbacks": [callback]})

    (call,) = watchllm_events.all()
    assert (call["run_id"], call["user_id"], call["prompt"]) == ("named", "ada", QUESTION)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_has_its_time_to_first_token(
    is_async: bool, model: ChatOpenAI, watchllm_events: Any
) -> None:
    """A streamed call is logged once, with its tokens."""
    config: Any = {"callbacks": [WatchLLMCallbackHandler()]}

    async def asynchronous() -> str:
        return "".join([str(part.content) async for part in model.astream(QUESTION, config)])

    if is_async:
        said = asyncio.run(asynchronous())
    else:
        said = "".join(str(part.content) for part in model.stream(QUESTION, config))

    (call,) = watchllm_events.all()
    assert said == call["response"] == ANSWER
    assert call["tokens_output"] == 12
    assert 0 < call["response_metadata"]["time_to_first_token_ms"] <= call["latency_ms"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_the_app_leaves_is_no_error(
    is_async: bool, model: ChatOpenAI, watchllm_events: Any
) -> None:
    """The call and its chain have ended well, with what was read."""
    chain = ChatPromptTemplate.from_messages([("user", "{q}")]) | model
    config: Any = {"callbacks": [WatchLLMCallbackHandler()]}

    async def asynchronous() -> None:
        async for part in chain.astream({"q": QUESTION}, config):
            if part.content:
                break

    if is_async:
        asyncio.run(asynchronous())
    else:
        for part in chain.stream({"q": QUESTION}, config):
            if part.content:
                break
    gc.collect()

    (call,) = watchllm_events.of_type("prompt_call")
    assert {event["status"] for event in watchllm_events} == {"success"}
    assert call["response_metadata"]["ended"] == "closed early"
    assert call["response"] == WORDS[0]


def test_an_answer_from_langchains_cache_is_no_call(
    model: ChatOpenAI, watchllm_events: Any
) -> None:
    """What costs nothing is not logged as if it had been asked for again."""
    remembering = model.model_copy(update={"cache": InMemoryCache()})
    config: Any = {"callbacks": [WatchLLMCallbackHandler()]}
    first, second = (remembering.invoke(QUESTION, config) for _ in range(2))

    (call,) = watchllm_events.all()
    assert first.content == second.content == call["response"] == ANSWER


def test_a_call_that_fails_is_an_error_and_the_apps_own(
    model: ChatOpenAI, watchllm_events: Any
) -> None:
    """The app gets the library's exception."""
    with pytest.raises(Exception, match="no model nope"):
        model.invoke(QUESTION, model="nope", config={"callbacks": [WatchLLMCallbackHandler()]})

    (call,) = watchllm_events.all()
    assert call["status"] == "error"
    assert call["error"]["type"].endswith("NotFoundError")
    assert call["model"] == "nope"


def test_an_agent_is_a_tree(model: ChatOpenAI, watchllm_events: Any) -> None:
    """The calls of the model and the tools that an agent uses are below their nodes."""
    agent = create_agent(model, [weather])
    with pytest.raises(Exception, match="ecursion"):  # the script asks for the tool for ever
        agent.invoke(
            {"messages": [HumanMessage(QUESTION)]},
            config={"callbacks": [WatchLLMCallbackHandler()], "recursion_limit": 4},
        )

    calls = watchllm_events.of_type("prompt_call")
    steps = by_name(watchllm_events)
    assert len(calls) == 2
    assert calls[0]["response"] == 'weather({"city":"Rome"})'
    assert calls[0]["response_metadata"]["tools"] == ["weather"]
    assert calls[1]["prompt"].endswith("tool: Rome is sunny.")
    assert below(calls[0], watchllm_events) == ["model", "LangGraph"]
    used = steps["weather"]
    assert (used["step_type"], used["input_data"]) == ("tool_call", {"city": "Rome"})
    assert used["output_data"] == {"value": "Rome is sunny."}
    assert below(used, watchllm_events) == ["tools", "LangGraph"]
    assert steps["LangGraph"]["status"] == "error"
    assert steps["model"]["context"]["langgraph_node"] == "model"
    assert len({event["run_id"] for event in watchllm_events}) == 1


@tool
def counted(city: str) -> str:
    """Count the letters of a city, as a step of the app's own."""

    @watchllm.step("count")
    def count() -> int:
        return len(city)

    return f"{city} has {count()} letters."


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_tool_logs_is_below_it(is_async: bool, watchllm_events: Any) -> None:
    """Steps and events of the app's own are in the run, and no longer once the tool has ended."""
    config: Any = {"callbacks": [WatchLLMCallbackHandler()]}
    asked = {"city": "Rome"}

    async def asynchronous() -> Any:
        said = await counted.ainvoke(asked, config)
        watchllm.get_client().log_error(None, "later")
        return said

    if is_async:
        said = asyncio.run(asynchronous())
    else:
        said = counted.invoke(asked, config)
        watchllm.get_client().log_error(None, "later")

    steps, (later,) = by_name(watchllm_events), watchllm_events.of_type("error")
    assert said == "Rome has 4 letters."
    assert below(steps["count"], watchllm_events) == ["counted"]
    assert steps["count"]["run_id"] == steps["counted"]["run_id"] != later["run_id"]
    assert "parent_event_id" not in later


def test_a_tool_and_a_retriever_that_fail(watchllm_events: Any) -> None:
    """Their exceptions are the app's, and the events say what they were."""

    class Shelf(BaseRetriever):
        empty: bool = False

        def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
            if self.empty:
                raise LookupError(query)
            return [Document(page_content=ANSWER, metadata={"page": 1})]

    config: Any = {"callbacks": [WatchLLMCallbackHandler()]}
    with pytest.raises(ValueError, match="no weather for Rome"):
        broken.invoke({"city": "Rome"}, config)
    Shelf().invoke(QUESTION, config)
    with pytest.raises(LookupError):
        Shelf(empty=True).invoke(QUESTION, config)

    failed, found, missed = watchllm_events.all()
    assert (failed["status"], failed["error"]["type"]) == ("error", "ValueError")
    assert found["input_data"] == {"query": QUESTION}
    assert found["output_data"]["documents"] == [{"page_content": ANSWER, "metadata": {"page": 1}}]
    assert (missed["status"], missed["error"]["type"]) == ("error", "LookupError")


TOLD = {"input_tokens": 30, "output_tokens": 2, "total_tokens": 32}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({"cache_creation": 8}, {}),
        (
            {"cache_creation": 0, "ephemeral_1h_input_tokens": 8},
            {"cache_creation": {"ephemeral_1h_input_tokens": 8}},
        ),
    ],
)
def test_what_other_providers_tell(
    written: dict[str, int], kept: dict[str, Any], watchllm_events: Any
) -> None:
    """Tools have their names in several forms; what was written to a cache has a price."""
    tools = [{"function_declarations": [{"name": "a"}]}, {"toolSpec": {"name": "b"}}, object()]
    asked = {"model": "claude-sonnet-5", "temperature": 0, "tools": tools}
    usage: Any = {**TOLD, "input_token_details": {"cache_read": 16, **written}}
    handler = WatchLLMCallbackHandler()
    handler.on_chat_model_start({}, [[HumanMessage(QUESTION)]], run_id=1, invocation_params=asked)
    answer = ChatGeneration(message=AIMessage(ANSWER, usage_metadata=usage))
    handler.on_llm_end(LLMResult(generations=[[answer]]), run_id=1)

    (call,) = watchllm_events.all()
    metadata = call["response_metadata"]
    assert (metadata["tools"], metadata["request"]) == (["a", "b", "object"], {"temperature": 0})
    assert metadata["usage"] == {
        "input_tokens": 30,
        "output_tokens": 2,
        "input_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 8},
        **kept,
    }


def test_a_model_of_texts_without_usage(watchllm_events: Any) -> None:
    """What is not told is unknown, and the model goes by the name of its class."""
    model = FakeListLLM(responses=[ANSWER])
    model.invoke(QUESTION, {"callbacks": [WatchLLMCallbackHandler()]})

    (call,) = watchllm_events.all()
    assert (call["prompt"], call["response"]) == (QUESTION, ANSWER)
    assert call["model"] == "FakeListLLM"
    assert set(call["invalid_fields"]) == {"tokens_input", "tokens_output"}


def test_models_that_are_instrumented_are_logged_once(
    model: ChatOpenAI, watchllm_events: Any
) -> None:
    """With auto_instrument() calls are the library's own, in the run of the trace around."""
    watchllm.auto_instrument()
    with watchllm.trace("run-t"):
        chain = ChatPromptTemplate.from_messages([("user", "{q}")]) | model
        chain.invoke({"q": QUESTION}, config={"callbacks": [WatchLLMCallbackHandler()]})
    watchllm.disable_instrumentation()

    assert len(watchllm_events.of_type("prompt_call")) == 1
    assert {event["run_id"] for event in watchllm_events} == {"run-t"}


def test_a_call_of_the_apps_own_stands_by_itself(
    model: ChatOpenAI, watchllm_events: Any, endpoint: Endpoint
) -> None:
    """Only what a model of LangChain calls is at its place, not what the app calls afterwards."""
    watchllm.auto_instrument()
    try:
        model.invoke(QUESTION, {"callbacks": [WatchLLMCallbackHandler()]})
        with openai.OpenAI(base_url=f"{endpoint.url}/v1", api_key="k") as client:
            client.completions.create(model="gpt-4o", prompt=QUESTION)
    finally:
        watchllm.disable_instrumentation()

    chain, own = watchllm_events.all()
    assert chain["run_id"].startswith("langchain-")
    assert own["run_id"].startswith("run-")


def test_the_example_is_one_run(
    endpoint: Endpoint, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the page logs two calls and two tools below one agent, by its client."""
    for name, value in {"API_KEY": "k", "BASE_URL": f"{endpoint.url}/v1", "MODEL": "agent"}.items():
        monkeypatch.setenv(f"OPENAI_{name}", value)
    run_example("langchain/langchain_agent.py")

    events = watchllm_events.all()
    assert len({event["run_id"] for event in events}) == 1
    assert {event["user_id"] for event in events} == {"ada"}
    assert len(watchllm_events.of_type("prompt_call")) == 2
    steps = by_name(events)
    for name in ("weather", "clock"):
        assert steps[name]["step_type"] == "tool_call"
        assert below(steps[name], events)[-1] == "guide"


def test_what_never_ends_is_forgotten(
    watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler keeps a bounded number of what has begun; a late end is passed over."""
    monkeypatch.setattr(_tree, "MOST_OPEN", 2)
    handler = WatchLLMCallbackHandler()
    for number in range(3):
        handler.on_tool_start({"name": "t"}, "", run_id=number)
    for number in range(3):
        handler.on_tool_end("done", run_id=number)
        handler.on_llm_end(None, run_id=number)
        handler.on_llm_new_token("word", run_id=number)

    assert len(watchllm_events) == 2


def test_a_state_that_holds_itself_is_cut(watchllm_events: Any) -> None:
    """A cycle in what a node is given ends, and the step is logged."""
    cycle: dict[str, Any] = {"message": HumanMessage(QUESTION)}
    cycle["again"] = [cycle]
    handler = WatchLLMCallbackHandler()
    handler.on_chain_start(None, cycle, run_id=1)
    handler.on_chain_end("done", run_id=1)

    (step,) = watchllm_events.all()
    assert step["input_data"]["message"] == {"role": "user", "content": QUESTION}
    assert "CYCLE" in str(step["input_data"])


def test_our_failures_are_warnings(watchllm_events: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What LangChain passes and we do not understand harms nobody."""
    handler = WatchLLMCallbackHandler()
    with caplog.at_level(logging.WARNING):
        handler.on_chat_model_start({}, [[SystemMessage("Hi"), 7]], run_id=1)

    assert len(caplog.records) == 1
    assert "could not be logged: AttributeError" in caplog.text
    assert watchllm_events.all() == []
