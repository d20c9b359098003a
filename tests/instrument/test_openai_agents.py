"""OpenAI's Agents SDK as people use it, with our trace processor."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("agents")

import watchllm
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    handoff,
    set_trace_processors,
)
from agents.exceptions import InputGuardrailTripwireTriggered
from agents.tracing import custom_span, generation_span, speech_span, trace, transcription_span
from openai import AsyncOpenAI
from watchllm.integrations.openai_agents import WatchLLMTraceProcessor

from conftest import QUESTION, made_to_fail
from programs import run_example
from trees import below, by_name
from upstream import ANSWER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upstream import Endpoint

MODELS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}


@pytest.fixture(autouse=True)
def _processor() -> Iterator[None]:
    set_trace_processors([WatchLLMTraceProcessor()])
    yield
    set_trace_processors([])


@function_tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city} is sunny."


@function_tool(failure_error_function=None)
def broken(city: str) -> str:
    """Fail."""
    raise ValueError(f"no weather for {city}")


@function_tool
def noted(city: str) -> str:
    """Note something, as an event of the app's own."""
    watchllm.get_client().log_error(None, city)
    return city


def ask(
    endpoint: Endpoint,
    api: str = "responses",
    *,
    model: str = "agent",
    stream: bool = False,
    **more: Any,
) -> Any:
    """Run an agent on a model of the endpoint; return its final output."""

    async def run() -> Any:
        base = f"{endpoint.url}/v1"
        async with AsyncOpenAI(base_url=base, api_key="k", max_retries=0) as client:
            asked = MODELS[api](model=model, openai_client=client)
            settings = ModelSettings(include_usage=True)  # else a stream of chat tells no tokens
            agent = Agent(
                name="guide", model=asked, model_settings=settings, **{"tools": [weather], **more}
            )
            if not stream:
                return (await Runner.run(agent, QUESTION)).final_output
            result = Runner.run_streamed(agent, QUESTION)
            async for _ in result.stream_events():
                pass
            return result.final_output

    return asyncio.run(run())


@pytest.mark.parametrize("instrumented", [False, True])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_an_agent_is_a_tree_in_one_run(
    api: str, stream: bool, instrumented: bool, endpoint: Endpoint, watchllm_events: Any
) -> None:
    """Two calls and a tool are below the agent, once, whoever has logged the calls."""
    if instrumented:
        watchllm.auto_instrument()
    try:
        said = ask(endpoint, api, stream=stream)
    finally:
        watchllm.disable_instrumentation()

    events = watchllm_events.all()
    first, second = watchllm_events.of_type("prompt_call")
    steps = by_name(events)
    assert said == ANSWER
    assert len({event["run_id"] for event in events}) == 1
    assert events[0]["run_id"].startswith("trace_")
    assert first["prompt"] == QUESTION
    assert first["response"] == 'weather({"city": "Rome"})'
    assert second["prompt"].endswith("tool: Rome is sunny.")
    assert second["response"] == ANSWER
    assert [(call["tokens_input"], call["tokens_output"]) for call in (first, second)] == [
        (40, 12)
    ] * 2
    for event in (first, second, steps["weather"]):
        assert below(event, events) == ["guide"]
    assert steps["weather"]["input_data"] == {"city": "Rome"}
    assert steps["weather"]["output_data"] == {"result": "Rome is sunny."}
    assert steps["weather"]["step_type"] == "tool_call"
    assert steps["guide"]["input_data"]["tools"] == ["weather"]
    assert {event["status"] for event in events} == {"success"}


def test_a_trace_around_names_the_run(endpoint: Endpoint, watchllm_events: Any) -> None:
    """Run, user and tags of `watchllm.trace()` are inherited."""
    with watchllm.trace("run-t", user_id="ada", tags=["beta"]):
        ask(endpoint)

    for event in watchllm_events:
        assert (event["run_id"], event["user_id"], event["tags"]) == ("run-t", "ada", ["beta"])


def test_runs_side_by_side_are_kept_apart(endpoint: Endpoint, watchllm_events: Any) -> None:
    """One processor serves several agents at once."""

    async def two() -> None:
        await asyncio.gather(*(asyncio.to_thread(ask, endpoint) for _ in "ab"))

    asyncio.run(two())

    runs = [event["run_id"] for event in watchllm_events]
    assert sorted(runs.count(run_id) for run_id in set(runs)) == [4, 4]


def test_a_tool_that_fails_is_an_error(endpoint: Endpoint, watchllm_events: Any) -> None:
    """The app gets the exception of the library; the step has the error."""
    with pytest.raises(Exception, match="no weather for Rome"):
        ask(endpoint, tools=[broken])

    step = by_name(watchllm_events)["broken"]
    assert step["status"] == "error"
    assert step["error"]["message"]


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_call_that_fails_is_an_error(api: str, endpoint: Endpoint, watchllm_events: Any) -> None:
    """A model that is not there is the app's exception, and the call has the error."""
    with pytest.raises(Exception, match="no model nope"):
        ask(endpoint, api, model="nope")

    (call,) = watchllm_events.of_type("prompt_call")
    assert (call["status"], call["response"]) == ("error", "")
    assert call["error"]["message"]


def test_a_handoff_is_a_step(endpoint: Endpoint, watchllm_events: Any) -> None:
    """The agents of a handoff stand side by side, and the handoff says who it was from and to."""
    client = AsyncOpenAI(base_url=f"{endpoint.url}/v1", api_key="k", max_retries=0)
    expert = Agent(name="expert", model=OpenAIResponsesModel("agent", client))
    ask(endpoint, tools=[], handoffs=[handoff(expert)])

    steps = by_name(watchllm_events)
    assert steps["handoff"]["input_data"] == {"from_agent": "guide", "to_agent": "expert"}
    assert steps["guide"]["run_id"] == steps["expert"]["run_id"]
    assert len(watchllm_events.of_type("prompt_call")) == 2


def test_a_guardrail_is_a_validation(endpoint: Endpoint, watchllm_events: Any) -> None:
    """Whether it was triggered is in the step."""

    async def never(_context: Any, _agent: Any, _asked: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    with pytest.raises(InputGuardrailTripwireTriggered):
        ask(endpoint, input_guardrails=[InputGuardrail(never, name="never")])

    step = by_name(watchllm_events)["never"]
    assert (step["step_type"], step["output_data"]) == ("validation", {"triggered": True})


def test_other_spans_are_steps_without_sound(watchllm_events: Any) -> None:
    """Spans of the app's own have their data; of speech there is the text alone."""
    with trace("voice"):
        with custom_span("look up", {"city": "Rome"}):
            pass
        with transcription_span(input="UklGR" * 1000, output=QUESTION, model="whisper"):
            pass
        with speech_span(input=ANSWER, output="UklGR" * 1000, model="tts"):
            pass

    steps = by_name(watchllm_events)
    assert steps["look up"]["input_data"] == {"city": "Rome"}
    assert steps["transcription"]["output_data"] == {"text": QUESTION}
    assert steps["speech"]["input_data"] == {"text": ANSWER}
    assert "UklGR" not in str(watchllm_events.all())


def test_calls_that_say_little(watchllm_events: Any) -> None:
    """Without content, usage or model the call is logged, and what is not told is unknown."""
    with trace("bare"):
        nothing = {"input_tokens": 0, "output_tokens": 0}
        with generation_span(usage=nothing, model_config={"temperature": 0}):
            pass
        with generation_span(
            input=[{"role": "user", "content": QUESTION}],
            output=[{"role": "assistant", "content": None, "unheard_of": 1}],
            model="m",
            usage={"input_tokens": 3, "output_tokens": 4},
        ):
            pass

    bare, other = watchllm_events.all()
    assert (bare["model"], bare["prompt"], bare["response"]) == ("generation", "", "")
    assert set(bare["invalid_fields"]) == {"tokens_input", "tokens_output"}
    assert bare["response_metadata"]["request"] == {"temperature": 0}
    assert (other["model"], other["prompt"], other["response"]) == ("m", QUESTION, "")
    assert (other["tokens_input"], other["tokens_output"]) == (3, 4)


def test_what_a_tool_logs_is_below_it(endpoint: Endpoint, watchllm_events: Any) -> None:
    """Events of the app's own are in the run, and in that of a trace around agents as well."""
    with trace("trip") as around:
        ask(endpoint, tools=[noted])
        watchllm.get_client().log_error(None, "after the agent")
    watchllm.get_client().log_error(None, "later")

    inside, after, later = watchllm_events.of_type("error")
    assert below(inside, watchllm_events)[0] == "noted"
    assert inside["run_id"] == after["run_id"] == around.trace_id != later["run_id"]
    assert "parent_event_id" not in after


def test_our_failures_are_warnings(
    endpoint: Endpoint,
    watchllm_events: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Made to fail on purpose, the agent answers, and our logger says what happened."""
    monkeypatch.setattr("watchllm.integrations.openai_agents._name", made_to_fail)
    with caplog.at_level(logging.WARNING):
        said = ask(endpoint)

    ours = [record for record in caplog.records if "made to fail" in record.getMessage()]
    assert said == ANSWER
    assert [record.name for record in ours] == ["watchllm"]
    assert watchllm_events.all() == []


def test_switched_off_amid_a_run(endpoint: Endpoint, watchllm_events: Any) -> None:
    """What ends when our processor is gone is not logged; an end that comes twice is no event."""
    processor = WatchLLMTraceProcessor()
    set_trace_processors([processor])
    with trace("half") as half:
        with custom_span("inner"):
            set_trace_processors([])
        set_trace_processors([processor])
        with custom_span("late") as span:
            pass
    processor.on_span_end(span)
    processor.on_trace_end(half)
    processor.force_flush()
    processor.shutdown()

    assert list(by_name(watchllm_events)) == ["late"]


def test_the_example_is_one_run(
    endpoint: Endpoint, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the page logs two calls and two tools below one agent."""
    for name, value in {"API_KEY": "k", "BASE_URL": f"{endpoint.url}/v1", "MODEL": "agent"}.items():
        monkeypatch.setenv(f"OPENAI_{name}", value)
    run_example("openai-agents/weather_agent.py")

    events = watchllm_events.all()
    assert [event["user_id"] for event in events] == ["ada"] * 5
    assert len(watchllm_events.of_type("prompt_call")) == 2
    assert list(by_name(events)) == ["weather", "clock", "guide"]
