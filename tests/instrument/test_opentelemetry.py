"""Beside OpenTelemetry's own instrumentation of OpenAI's library, and why ours does not use it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
import watchllm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Clients

pytest.importorskip("opentelemetry.instrumentation.genai.openai")

from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from conftest import MESSAGES


def setup() -> InMemorySpanExporter:
    """Instrument as a vendor does, with a provider of its own; return where its spans go."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    return exporter


@pytest.fixture
def _their_end() -> Iterator[None]:
    yield
    OpenAIInstrumentor().uninstrument()


def ask(clients: Clients, **options: Any) -> Any:
    """Make a call."""
    return clients.sync().chat.completions.create(model="gpt-4o", messages=MESSAGES, **options)


@pytest.mark.usefixtures("_their_end")
@pytest.mark.parametrize("ours_first", [True, False])
def test_both_see_every_call_once(ours_first: bool, clients: Clients, watchllm_events: Any) -> None:
    """Whoever is first, they get their spans as without us, and we log our events."""
    exporter = setup()
    ask(clients)
    list(ask(clients, stream=True))
    alone = exporter.get_finished_spans()
    OpenAIInstrumentor().uninstrument()
    if ours_first:
        watchllm.auto_instrument()
    exporter = setup()
    watchllm.auto_instrument()
    ask(clients)
    list(ask(clients, stream=True))
    watchllm.disable_instrumentation()
    beside = exporter.get_finished_spans()

    assert len(watchllm_events) == 2
    assert [span.name for span in beside] == [span.name for span in alone]
    timed = {"gen_ai.response.time_to_first_chunk"}
    for span, other in zip(beside, alone):
        assert {k: v for k, v in (span.attributes or {}).items() if k not in timed} == {
            k: v for k, v in (other.attributes or {}).items() if k not in timed
        }


@pytest.mark.usefixtures("_their_end")
def test_their_instrumentation_serves_one_setup_only(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    """The first to instrument gets all spans, the second none: we would take a vendor's away."""
    first, second = setup(), setup()
    ask(clients)

    assert len(first.get_finished_spans()) == 1
    assert len(second.get_finished_spans()) == 0
    assert "already instrumented" in caplog.text


@pytest.mark.usefixtures("_their_end")
def test_their_spans_hold_no_content_unless_the_whole_process_asks_for_it(
    clients: Clients,
) -> None:
    """Prompts are switched on by the environment, for all vendors at once: not ours to set."""
    exporter = setup()
    ask(clients)
    (span,) = exporter.get_finished_spans()

    assert not [name for name in span.attributes or {} if "messages" in name]


@pytest.mark.usefixtures("_their_end")
def test_their_instrumentation_takes_a_dropped_stream_for_an_error(clients: Clients) -> None:
    """An app that reads only the beginning of a stream has not failed; completions are missed."""
    exporter = setup()
    next(iter(ask(clients, stream=True)))
    gc.collect()
    clients.sync().completions.create(model="gpt-4o", prompt="?")
    (span,) = exporter.get_finished_spans()

    assert (span.attributes or {})["error.type"] == "_OTHER"
