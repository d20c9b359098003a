"""An app's spans of OpenTelemetry as events: three dialects, by what people instrument with."""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("openinference.instrumentation.openai")

import openai
import watchllm
from openai.resources import Embeddings
from openai.resources.chat import Completions
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor as GenAI
from opentelemetry.instrumentation.openai import OpenAIInstrumentor as OpenLLMetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_ai import Agent, InstrumentationSettings
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from watchllm._log import Problems
from watchllm.integrations import opentelemetry as ours
from watchllm.integrations.opentelemetry import WatchLLMSpanExporter

from conftest import MESSAGES, QUESTION, made_to_fail
from programs import run_example
from trees import below, by_name
from upstream import ANSWER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Clients
    from upstream import Endpoint

# OpenLLMetry's package has classes of an older Pydantic.
pytestmark = pytest.mark.filterwarnings("ignore:Support for class-based:DeprecationWarning")

DIALECTS = {"genai": GenAI, "openinference": OpenInference, "openllmetry": OpenLLMetry}
IDS = uuid.UUID("6f5d3f0e-6d6b-4f0d-9a53-1b2f6c1f7c55")


@pytest.fixture
def theirs() -> InMemorySpanExporter:
    """Return where another vendor's spans go."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(theirs: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """Return a provider that exports to another vendor and to us."""
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(theirs))
    made.add_span_processor(SimpleSpanProcessor(WatchLLMSpanExporter()))
    yield made
    made.shutdown()


@pytest.fixture(params=list(DIALECTS))
def dialect(
    request: pytest.FixtureRequest, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Instrument OpenAI's library in one of the dialects."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
    for owner in (Completions, Embeddings):  # OpenLLMetry's uninstrument() leaves its wrappers
        monkeypatch.setattr(owner, "create", owner.create)
    instrumentor = DIALECTS[request.param]()
    instrumentor.instrument(tracer_provider=provider)
    yield request.param
    instrumentor.uninstrument()


@pytest.mark.usefixtures("dialect")
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_an_event(
    stream: bool,
    clients: Clients,
    provider: TracerProvider,
    theirs: InMemorySpanExporter,
    watchllm_events: Any,
) -> None:
    """Each dialect tells the same; a span of the app's own around it is left alone."""
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
    with provider.get_tracer("app").start_as_current_span("request"):
        told = clients.sync().chat.completions.create(
            model="gpt-4o", messages=MESSAGES, temperature=0.5, stream=stream, **options
        )
        if stream:
            list(told)

    (call,) = watchllm_events.all()
    (span,) = (each for each in theirs.get_finished_spans() if each.name != "request")
    metadata = call["response_metadata"]
    assert (call["prompt"], call["response"]) == (QUESTION, ANSWER)
    assert (call["model"], metadata["requested_model"]) == ("gpt-4o-2024-08-06", "gpt-4o")
    assert (call["tokens_input"], call["tokens_output"]) == (40, 12)
    assert (metadata["provider"], metadata["operation"]) == ("openai", "chat")
    assert metadata["request"]["temperature"] == 0.5
    assert call["status"] == "success"
    assert call["latency_ms"] > 0
    trace_id, span_id = f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"
    assert call["run_id"] == trace_id
    assert call["event_id"] == str(uuid.uuid5(IDS, f"{trace_id}/{span_id}"))
    assert call["parent_event_id"] == str(uuid.uuid5(IDS, f"{trace_id}/{span.parent.span_id:016x}"))


@pytest.mark.usefixtures("dialect")
def test_a_call_of_a_tool_is_told(clients: Clients, watchllm_events: Any) -> None:
    """The tool that the model calls, and what it has said before, are in the event."""
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "c", "content": "noon"},
    ]  # fmt: skip
    function = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
    tools: Any = [{"type": "function", "function": function}]
    clients.sync().chat.completions.create(model="gpt-4o", messages=messages, tools=tools)

    (call,) = watchllm_events.all()
    (called,) = call["response_metadata"]["tool_calls"]
    assert call["prompt"].split("\n\n") == [
        "system: Be brief.",
        f"user: {QUESTION}",
        "assistant: clock({})",
        "tool: noon",
    ]
    assert (called["name"], called["arguments"]) == ("weather", {"city": "Rome"})
    assert call["response"].startswith("weather(")


@pytest.mark.parametrize(("model", "status"), [("nope", "error"), ("slow", "timeout")])
@pytest.mark.usefixtures("dialect")
def test_a_call_that_fails(model: str, status: str, clients: Clients, watchllm_events: Any) -> None:
    """The app gets its exception; the event has its type and message."""
    with pytest.raises(openai.OpenAIError):
        clients.sync(timeout=0.3).chat.completions.create(model=model, messages=MESSAGES)

    (call,) = watchllm_events.all()
    assert call["status"] == status
    assert call["error"]["message"]
    assert call["model"] == model


def test_embeddings(dialect: str, clients: Clients, watchllm_events: Any) -> None:
    """They have tokens of the input alone."""
    clients.sync().embeddings.create(model="emb", input=QUESTION, encoding_format="float")

    (call,) = watchllm_events.all()
    assert (call["tokens_input"], call["tokens_output"], call["response"]) == (3, 0, "")
    assert call["response_metadata"]["operation"] == "embeddings"
    assert call["prompt"] == QUESTION or dialect == "genai"  # which does not tell it


@pytest.mark.usefixtures("dialect")
def test_what_is_instrumented_is_logged_once(clients: Clients, watchllm_events: Any) -> None:
    """With auto_instrument() the call is its own."""
    watchllm.auto_instrument()
    try:
        clients.sync().chat.completions.create(model="gpt-4o", messages=MESSAGES)
    finally:
        watchllm.disable_instrumentation()

    (call,) = watchllm_events.all()
    assert call["run_id"].startswith("run-")


def test_pydantic_ai_is_a_tree(
    endpoint: Endpoint, provider: TracerProvider, watchllm_events: Any
) -> None:
    """Two calls and a tool are below the agent, in one run."""
    run_agent(endpoint, provider)

    events = watchllm_events.all()
    calls = watchllm_events.of_type("prompt_call")
    steps = by_name(events)
    tool = next(step for name, step in steps.items() if "weather" in name)
    agent = next(step for name, step in steps.items() if "guide" in name)
    assert len({event["run_id"] for event in events}) == 1
    assert [call["response"].partition("(")[0] for call in calls] == ["weather", ANSWER]
    assert [(call["tokens_input"], call["tokens_output"]) for call in calls] == [(40, 12)] * 2
    assert tool["step_type"] == "tool_call"
    assert tool["input_data"] == {"city": "Rome"}
    assert tool["output_data"] == {"value": "Rome is sunny."}
    for event in (*calls, tool):
        assert below(event, events) == [agent["step_name"]]
    assert sorted(step["step_number"] for step in steps.values()) == [1, 2]


def run_agent(endpoint: Endpoint, provider: TracerProvider) -> None:
    """Run an agent of Pydantic AI with a tool."""
    client = openai.AsyncOpenAI(base_url=f"{endpoint.url}/v1", api_key="k", max_retries=0)
    model = OpenAIChatModel("agent", provider=OpenAIProvider(openai_client=client))
    agent = Agent(model, name="guide", capabilities=[])
    agent.instrument = InstrumentationSettings(tracer_provider=provider)

    @agent.tool_plain
    def weather(city: str) -> str:
        return f"{city} is sunny."

    assert agent.run_sync(QUESTION).output == ANSWER


def spans(attributes: dict[str, Any], watchllm_events: Any) -> dict[str, Any]:
    """Return the event of a span with these attributes."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(WatchLLMSpanExporter()))
    with provider.get_tracer("t").start_as_current_span("s", attributes=attributes):
        pass
    (event,) = watchllm_events.all()
    return dict(event)


CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"gen_ai.input.messages": "[{"},
        {"gen_ai.input.messages": "[7]", "gen_ai.output.messages": '{"a": 1}'},
        {"gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text"}]}]'},
        {"gen_ai.prompt.0.content": "", "gen_ai.unheard_of": "x" * 100},
    ],
)
def test_odd_spans_are_logged(odd: dict[str, Any], watchllm_events: Any) -> None:
    """What is missing or broken is unknown, and the call is there."""
    call = spans({**CHAT, **odd}, watchllm_events)

    assert (call["model"], call["status"], call["response"]) == ("m", "success", "")
    assert set(call["invalid_fields"]) == {"tokens_input", "tokens_output"}


def test_bytes_and_thoughts_are_kept_apart(watchllm_events: Any) -> None:
    """A picture is named in the prompt, a thought is no part of the answer."""
    asked = [
        {"role": "user", "parts": [
            {"type": "text", "content": "Look."},
            {"type": "blob", "mime_type": "image/png", "content": "A" * 1000},
            {"type": "tool_call_response", "response": {"x": "B" * 5_000_000}},
        ]},
        {"role": "user", "content": "Now."},
    ]  # fmt: skip
    answered = [
        {"role": "assistant", "finish_reason": "tool_call", "parts": [
            {"type": "reasoning", "content": "Hm."},
            {"type": "text", "content": "I call."},
            {"type": "tool_call", "id": "c", "name": "weather", "arguments": {"city": "Rome"}},
        ]}
    ]  # fmt: skip
    call = spans(
        {
            **CHAT,
            "gen_ai.provider.name": "gcp.gemini",
            "gen_ai.system_instructions": json.dumps(["Be", {"type": "text", "content": "kind."}]),
            "gen_ai.input.messages": json.dumps(asked),
            "gen_ai.output.messages": json.dumps(answered),
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.response.finish_reasons": ["tool_calls"],
            "gen_ai.usage.input_tokens": 9,
            "gen_ai.usage.output_tokens": 4,
            "gen_ai.usage.cache_read.input_tokens": 3,
            "gen_ai.usage.reasoning.output_tokens": 2,
            "session.id": "s-1",
            "user.id": "ada",
        },
        watchllm_events,
    )

    metadata = call["response_metadata"]
    assert call["prompt"].startswith("system: Be\nkind.\n\nuser: Look.\n[blob image/png]\n")
    assert "AAAA" not in call["prompt"]
    assert call["response"] == 'I call.\nweather({"city":"Rome"})'
    assert metadata["reasoning"] == "Hm."
    assert metadata["finish_reason"] == "tool_calls"
    assert metadata["time_to_first_token_ms"] == 250
    assert metadata["usage"]["input_tokens_details"] == {"cached_tokens": 3}
    assert (call["user_id"], call["session_id"]) == ("ada", "s-1")


def test_steps_of_other_kinds(watchllm_events: Any) -> None:
    """Retrievers are tools, guardrails are checks, texts become objects."""
    provider = TracerProvider()
    exporter = WatchLLMSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("t")
    for kind, given in (("RETRIEVER", "Rome"), ("GUARDRAIL", '{"a": 1}'), ("CHAIN", None)):
        told = {"openinference.span.kind": kind, "input.value": given or ""}
        with tracer.start_as_current_span(kind.lower(), attributes=told):
            pass
    provider.force_flush()
    assert exporter.force_flush()
    provider.shutdown()

    steps = by_name(watchllm_events.all())
    assert [step["step_type"] for step in steps.values()] == [
        "tool_call",
        "validation",
        "reasoning",
    ]
    assert [step["input_data"] for step in steps.values()] == [{"value": "Rome"}, {"a": 1}, {}]


def test_the_runs_that_are_counted_are_bounded(
    watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of many traces does not grow."""
    monkeypatch.setattr(ours, "MOST_RUNS", 2)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(WatchLLMSpanExporter()))
    for _ in range(4):
        with provider.get_tracer("t").start_as_current_span(
            "s", attributes={"traceloop.span.kind": "task"}
        ):
            pass

    assert [step["step_number"] for step in watchllm_events] == [1] * 4


def test_our_failures_are_warnings(
    watchllm_events: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Made to fail on purpose, the app and the other vendor see nothing of it."""
    monkeypatch.setattr(ours, "read_call", made_to_fail)
    monkeypatch.setattr("watchllm.instrumentation._tree._problems", Problems())
    provider, theirs = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(WatchLLMSpanExporter()))
    provider.add_span_processor(SimpleSpanProcessor(theirs))
    with caplog.at_level(logging.WARNING), provider.get_tracer("t").start_as_current_span(
        "s", attributes=CHAT
    ):
        pass

    assert [record.name for record in caplog.records] == ["watchllm"]
    assert len(theirs.get_finished_spans()) == 1
    assert watchllm_events.all() == []


def test_without_a_client_nothing_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app without a key goes on; a flush says that nothing was sent."""
    monkeypatch.delenv("WATCHLLM_API_KEY", raising=False)

    assert WatchLLMSpanExporter().force_flush() is False


def test_the_example_is_one_run(
    endpoint: Endpoint, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the page logs an agent, its calls and its tool."""
    for name, value in {"API_KEY": "k", "BASE_URL": f"{endpoint.url}/v1", "MODEL": "agent"}.items():
        monkeypatch.setenv(f"OPENAI_{name}", value)
    run_example("pydantic-ai/weather_agent.py")

    assert len(watchllm_events.of_type("prompt_call")) == 2
    assert len(by_name(watchllm_events)) == 2
