"""Graphs of LangGraph with our handler: branches, agents in them, and interrupts."""

from __future__ import annotations

import asyncio
import operator
import sys
from typing import TYPE_CHECKING, Any

import pytest
import watchllm

if TYPE_CHECKING:
    from upstream import Endpoint

pytest.importorskip("langchain")

from typing import Annotated, TypedDict  # Python 3.8 lacks one of them, and skips before

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig  # noqa: TC002 - LangGraph looks at it
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from watchllm.langchain import WatchLLMCallbackHandler

from chains import model_of, weather
from trees import below, by_name
from upstream import ANSWER

QUESTION = "How is the weather in Rome?"


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


def agents_in_branches(endpoint: Endpoint, *, is_async: bool, passed: bool) -> Any:
    """Return a graph with an agent in each of two branches, which may pass its `config` on."""
    agent = create_agent(model_of(endpoint, "agent"), [weather, clock])

    def branch(name: str) -> Any:
        asked = {"messages": [HumanMessage(f"{name}: {QUESTION}")]}

        def ask(state: State) -> State:
            return {"found": [agent.invoke(asked)["messages"][-1].content]}

        async def ask_async(state: State, config: RunnableConfig) -> State:
            said = await agent.ainvoke(asked, config if passed else None)
            return {"found": [said["messages"][-1].content]}

        return ask_async if is_async else ask

    builder = StateGraph(State)
    for name in ("north", "south"):
        builder.add_node(name, branch(name))
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    return builder.compile()


# On Python 3.10 LangChain hands no callbacks on to what an asynchronous node calls, nor do its own
# agents: it tells nothing of their calls there, and instrumentation has them.
HANDS_ON = sys.version_info >= (3, 11)
WAYS = [(False, False), (False, True), (True, True), *([(True, False)] if HANDS_ON else [])]


@pytest.mark.skipif(HANDS_ON, reason="LangChain hands callbacks on here")
def test_on_python_3_10_a_node_that_passes_nothing_on_keeps_its_calls_in_the_run(
    endpoint: Endpoint, watchllm_events: Any
) -> None:
    """LangChain tells nothing of the agent then; its calls, instrumented, are below the node."""
    graph = agents_in_branches(endpoint, is_async=True, passed=False)
    watchllm.auto_instrument()
    try:
        asyncio.run(graph.ainvoke({"found": []}, {"callbacks": [WatchLLMCallbackHandler()]}))
    finally:
        watchllm.disable_instrumentation()

    calls = watchllm_events.of_type("prompt_call")
    assert len({event["run_id"] for event in watchllm_events}) == 1
    assert sorted(below(call, watchllm_events)[0] for call in calls) == [
        *("north", "north", "south", "south")
    ]
    assert "weather" not in by_name(watchllm_events)


@pytest.mark.parametrize(("is_async", "instrumented"), WAYS)
def test_agents_with_two_tools_in_parallel_branches_are_one_run(
    is_async: bool, instrumented: bool, endpoint: Endpoint, watchllm_events: Any
) -> None:
    """Each call of a model and of a tool is there once, at its place, whoever has logged it.

    On Python 3.10 nodes pass their `config` on to the agent.
    """
    graph = agents_in_branches(endpoint, is_async=is_async, passed=not HANDS_ON)
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
