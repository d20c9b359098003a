"""LangChain and LangGraph as people use them, with our handler."""

from __future__ import annotations

import asyncio
import logging
import operator
from typing import TYPE_CHECKING, Any

import pytest
import watchllm

if TYPE_CHECKING:
    from upstream import Endpoint

pytest.importorskip("langchain")

from typing import Annotated, TypedDict  # Python 3.8 lacks one of them, and skips before

import openai
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig  # noqa: TC002 - LangGraph looks at it
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from watchllm.instrumentation import _tree
from watchllm.langchain import WatchLLMCallback, WatchLLMCallbackHandler

from programs import PROGRAMS, run_example
from trees import below, by_name
from upstream import ANSWER

QUESTION = "How is the weather in Rome?"


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city} is sunny."


@tool
def broken(city: str) -> str:
    """Fail."""
    raise ValueError(f"no weather for {city}")


@pytest.fixture
def model(endpoint: Endpoint) -> ChatOpenAI:
    """Return a chat model that asks the endpoint."""
    return ChatOpenAI(
        model="gpt-4o",
        base_url=f"{endpoint.url}/v1",
        api_key="k",
        max_retries=0,
        temperature=0.5,
        stream_usage=True,
    )


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


class State(TypedDict):
    """The state of a graph with branches."""

    found: Annotated[list[str], operator.add]


@pytest.mark.parametrize("is_async", [False, True])
def test_parallel_branches_and_runs_are_kept_apart(is_async: bool, watchllm_events: Any) -> None:
    """One handler serves two runs of a graph at once; each branch is below its own node."""

    def branch(city: str) -> Any:
        def look_up(state: State, config: RunnableConfig) -> State:
            return {"found": [weather.invoke({"city": city}, config)]}

        return look_up

    builder = StateGraph(State)
    for city in ("Rome", "Oslo"):
        builder.add_node(city, branch(city))
        builder.add_edge(START, city)
        builder.add_edge(city, END)
    graph = builder.compile()
    config: Any = {"callbacks": [WatchLLMCallbackHandler()]}

    async def both() -> list[Any]:
        return list(await asyncio.gather(*(graph.ainvoke({"found": []}, config) for _ in "ab")))

    results = asyncio.run(both()) if is_async else graph.batch([{"found": []}] * 2, config)

    assert [sorted(result["found"]) for result in results] == [
        ["Oslo is sunny.", "Rome is sunny."]
    ] * 2
    runs = {event["run_id"] for event in watchllm_events}
    assert len(runs) == 2
    for run_id in runs:
        events = [event for event in watchllm_events if event["run_id"] == run_id]
        tools = [event for event in events if event["step_name"] == "weather"]
        assert sorted(below(each, events)[0] for each in tools) == ["Oslo", "Rome"]
        for each in tools:
            assert each["input_data"]["city"] == below(each, events)[0]


@tool
def clock(city: str) -> str:
    """Tell the time of a city."""
    return f"It is noon in {city}."


@pytest.mark.parametrize("instrumented", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_agents_with_two_tools_in_parallel_branches_are_one_run(
    is_async: bool, instrumented: bool, model: ChatOpenAI, watchllm_events: Any
) -> None:
    """Each call of a model and of a tool is there once, at its place, whoever has logged it."""
    agent = create_agent(model.model_copy(update={"model_name": "agent"}), [weather, clock])

    def branch(name: str) -> Any:
        def ask(state: State) -> State:
            said = agent.invoke({"messages": [HumanMessage(f"{name}: {QUESTION}")]})
            return {"found": [said["messages"][-1].content]}

        async def ask_async(state: State) -> State:
            said = await agent.ainvoke({"messages": [HumanMessage(f"{name}: {QUESTION}")]})
            return {"found": [said["messages"][-1].content]}

        return ask_async if is_async else ask

    builder = StateGraph(State)
    for name in ("north", "south"):
        builder.add_node(name, branch(name))
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    graph = builder.compile()
    config: Any = {"callbacks": [WatchLLMCallbackHandler()]}
    if instrumented:
        watchllm.auto_instrument()
    try:
        if is_async:
            result = asyncio.run(graph.ainvoke({"found": []}, config))
        else:
            result = graph.invoke({"found": []}, config)
    finally:
        watchllm.disable_instrumentation()

    events = watchllm_events.all()
    calls = watchllm_events.of_type("prompt_call")
    assert result == {"found": [ANSWER, ANSWER]}
    assert len({event["run_id"] for event in events}) == 1
    assert len(calls) == 4
    assert sum(call["tokens_input"] for call in calls) == 4 * 40
    assert sum(call["tokens_output"] for call in calls) == 4 * 12
    for call in calls:
        name = call["prompt"].removeprefix("user: ").partition(":")[0]
        assert below(call, events) == ["model", "LangGraph", name, "LangGraph"]
    for used in ("weather", "clock"):
        tools = [event for event in events if event.get("step_name") == used]
        assert sorted(below(each, events)[2] for each in tools) == ["north", "south"]
        assert {below(each, events)[0] for each in tools} == {"tools"}
    numbers = [event["step_number"] for event in events if "step_number" in event]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


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


def test_an_interrupt_is_no_error(watchllm_events: Any) -> None:
    """A graph that waits for a person has not failed."""
    builder = StateGraph(State)
    builder.add_node("ask", lambda _: {"found": [interrupt("May I?")]})
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=InMemorySaver())
    config: Any = {
        "callbacks": [WatchLLMCallbackHandler()],
        "configurable": {"thread_id": "t"},
    }
    graph.invoke({"found": []}, config)

    steps = by_name(watchllm_events)
    assert {step["status"] for step in steps.values()} == {"success"}
    assert "May I?" in steps["ask"]["context"]["interrupted"]


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


def test_the_howtos_program_runs(
    endpoint: Endpoint, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of docs/howto/instrument.md makes one run; the script's agent never ends."""
    (program,) = [each for each in PROGRAMS if "watchllm.langchain" in each]
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{endpoint.url}/v1")
    with pytest.raises(Exception, match="ecursion"):
        exec(compile(program, "howto", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own page

    assert len(watchllm_events.of_type("prompt_call")) == 10
    assert len({event["run_id"] for event in watchllm_events}) == 1


def test_the_example_is_one_run(
    endpoint: Endpoint, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the examples logs two calls and two tools below one agent, by its client."""
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
