"""Our events as spans of OpenTelemetry, at a collector that speaks OTLP on a real socket."""

from __future__ import annotations

import gzip
import json
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

import watchllm
from opentelemetry import trace as their_trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from watchllm import WatchLLMClient
from watchllm._log import Problems
from watchllm.integrations.opentelemetry import SpanTransport, WatchLLMSpanExporter
from watchllm.testing import MemoryTransport

from conftest import MESSAGES, QUESTION
from programs import run_example
from upstream import ANSWER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Clients

RUN = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """A collector of OTLP over HTTP on a free port."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    told = {each.key: each.value.string_value for each in group.resource.attributes}
                    collector.resources.append(told)
                    for scope in group.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        """End the collector."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run a collector."""
    running = Collector()
    yield running
    running.stop()


def client_of(**options: Any) -> WatchLLMClient:
    """Return a client of a test."""
    return WatchLLMClient(api_key="k", project_id="p", durability="memory", **options)


def plain(span: Any) -> dict[str, Any]:
    """Return the attributes of a span of OTLP."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


def log_everything(client: WatchLLMClient) -> None:
    """Log one event of each kind that there is, in one run."""
    with watchllm.trace(RUN, user_id="ada", tags=["beta"], release="1.2"):
        step = client.log_agent_step(
            None, 1, "look up", "tool_call", {"city": "Rome"}, {"found": 1}, latency_ms=20
        )
        client.log_agent_step(None, 2, "think", "reasoning", {}, {}, latency_ms=1, reasoning="Hm.")
        client.log_event(
            watchllm.PromptCallEvent(
                prompt=f"{QUESTION} ask ada@example.com",
                model="gpt-4o-2024",
                response=ANSWER,
                tokens_input=40,
                tokens_output=12,
                latency_ms=1500,
                parent_event_id=step,
                response_metadata={
                    "provider": "openai",
                    "requested_model": "gpt-4o",
                    "finish_reason": "stop",
                    "response_id": "r-1",
                    "request": {"temperature": 0.5, "odd": {"a": 1}},
                    "time_to_first_token_ms": 250,
                    "usage": {
                        "input_tokens_details": {"cached_tokens": 16},
                        "output_tokens_details": {"reasoning_tokens": 5},
                    },
                },
            )
        )
        client.log_prompt_call(
            None, "", "m", None, None, None, 1, status="timeout", error=TimeoutError("too slow")
        )
        client.log_error(None, ValueError("broken"), context={"a": [1]})
        client.log_assertion_failed(None, "is json", "response_format", "{", "x", "high")


def test_events_arrive_as_spans(collector: Collector) -> None:
    """A collector gets one span for each event, redacted, with their tree, names and times."""
    client = client_of(
        transport=SpanTransport(lambda: OTLPSpanExporter(endpoint=collector.url)),
        environment="staging",
    )
    log_everything(client)
    assert client.flush(30)
    client.close()

    spans = {span.name: span for span in collector.spans}
    call, step = spans["chat gpt-4o-2024"], spans["execute_tool look up"]
    told = plain(call)
    assert {span.trace_id.hex() for span in collector.spans} == {RUN}
    assert call.parent_span_id == step.span_id
    assert call.end_time_unix_nano - call.start_time_unix_nano == 1_500_000_000
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "openai"
    assert (told["gen_ai.request.model"], told["gen_ai.response.model"]) == (
        "gpt-4o",
        "gpt-4o-2024",
    )
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (40, 12)
    assert told["gen_ai.usage.cache_read.input_tokens"] == 16
    assert told["gen_ai.usage.reasoning.output_tokens"] == 5
    assert told["gen_ai.request.temperature"] == 0.5
    assert told["gen_ai.request.odd"] == '{"a": 1}'
    assert told["gen_ai.response.time_to_first_chunk"] == 0.25
    (asked,) = json.loads(told["gen_ai.input.messages"])
    assert asked["parts"] == [{"type": "text", "content": f"{QUESTION} ask [REDACTED_EMAIL]"}]
    assert (told["user.id"], told["watchllm.run_id"]) == ("ada", RUN)
    assert plain(step)["gen_ai.tool.call.arguments"] == '{"city": "Rome"}'
    assert plain(spans["think"])["watchllm.reasoning"] == "Hm."
    assert plain(spans["assertion_failed"])["watchllm.assertion_name"] == "is json"
    assert {each["deployment.environment.name"] for each in collector.resources} == {"staging"}
    assert {each["service.version"] for each in collector.resources} == {"1.2"}


def test_errors_are_exceptions_of_spans(collector: Collector) -> None:
    """A failed call has the status error, its type and its traceback; unknown counts are absent."""
    client = client_of(transport=SpanTransport(lambda: OTLPSpanExporter(endpoint=collector.url)))
    log_everything(client)
    assert client.flush(30)
    client.close()

    spans = {span.name: span for span in collector.spans}
    failed, error = spans["chat m"], spans["error"]
    assert (failed.status.code, failed.status.message) == (2, "too slow")
    assert plain(failed)["error.type"] == "TimeoutError"
    assert "gen_ai.usage.input_tokens" not in plain(failed)
    (event,) = error.events
    assert event.name == "exception"
    assert plain(event)["exception.message"] == "broken"
    assert "ValueError" in plain(event)["exception.stacktrace"]
    assert plain(error)["watchllm.context"] == '{"a": [1]}'
    assert spans["think"].status.code == 0


def test_spans_beside_the_collector_of_events(clients: Clients, collector: Collector) -> None:
    """`also_to` gets what was delivered, and no tracer of the process is made or changed."""
    before = their_trace.get_tracer_provider()
    events = MemoryTransport()
    transport = SpanTransport(lambda: OTLPSpanExporter(endpoint=collector.url))
    watchllm.auto_instrument(api_key="k", project_id="p", transport=events, also_to=transport)
    try:
        clients.sync().chat.completions.create(model="gpt-4o", messages=MESSAGES)
    finally:
        watchllm.disable_instrumentation()
    assert watchllm.get_client().flush(30)
    watchllm.get_client().close()

    (event,), (span,) = events.events, collector.spans
    assert event["response"] == ANSWER
    assert plain(span)["gen_ai.response.model"] == event["model"]
    assert their_trace.get_tracer_provider() is before


class Failing(SpanExporter):
    """An exporter that fails at first, in the way that it is told."""

    def __init__(self, *fails: Any) -> None:
        self.fails = list(fails)
        self.spans: list[Any] = []
        self.tries = 0

    def export(self, spans: Any) -> Any:
        """Fail, or take the spans."""
        self.tries += 1
        if self.fails:
            result = self.fails.pop(0)
            if isinstance(result, Exception):
                raise result
            return result
        self.spans += spans
        return SpanExportResult.SUCCESS


@pytest.mark.parametrize("failure", [SpanExportResult.FAILURE, OSError("made to fail")])
def test_what_the_exporter_does_not_take_is_sent_again(failure: Any) -> None:
    """As the only way an exporter that fails is tried again with the same spans."""
    exporter = Failing(failure)
    client = client_of(transport=SpanTransport(lambda: exporter))
    client.log_error("run-1", "broken")
    assert client.flush(30)
    client.close()

    (span,) = exporter.spans
    assert exporter.tries == 2
    assert span.attributes["watchllm.run_id"] == "run-1"
    assert client.stats()["sent"] == 1


def test_a_failure_beside_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """As the second way it is not tried again; the events are delivered, and a warning says so."""
    events, exporter = MemoryTransport(), Failing(OSError("made to fail"))
    client = client_of(transport=events, also_to=SpanTransport(lambda: exporter))
    with caplog.at_level(logging.WARNING):
        client.log_error("run-1", "broken")
        assert client.flush(30)
    client.close()

    assert len(events.events) == 1
    assert (exporter.tries, exporter.spans) == (1, [])
    assert "could not be carried to `also_to`" in caplog.text


def test_an_event_that_is_no_span_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Made to fail on purpose, the others are exported."""

    def odd(event: dict[str, Any]) -> Any:
        if event["event_type"] == "error":
            raise AssertionError("made to fail")
        return event["event_type"]

    monkeypatch.setattr("watchllm.integrations.opentelemetry.span_of", odd)
    monkeypatch.setattr("watchllm.instrumentation._tree._problems", Problems())
    exporter = Failing()
    client = client_of(transport=SpanTransport(lambda: exporter))
    with caplog.at_level(logging.WARNING):
        log_everything(client)
        assert client.flush(30)
    client.close()

    assert len(exporter.spans) == 5
    assert "made to fail" in caplog.text


def test_a_span_that_comes_back_is_the_same_call(watchllm_events: Any) -> None:
    """What one direction writes the other reads; a run that is no trace has an id of its own."""
    spans = InMemorySpanExporter()
    client = client_of(transport=SpanTransport(lambda: spans))
    for run_id in ("run-1", "z" * 32):
        client.log_prompt_call(run_id, QUESTION, "gpt-4o", ANSWER, 40, 12, 1500)
    assert client.flush(30)
    WatchLLMSpanExporter().export(spans.get_finished_spans())
    client.close()

    first, second = watchllm_events.all()
    assert first["run_id"] != second["run_id"]
    for call in (first, second):
        assert (call["prompt"], call["response"], call["model"]) == (QUESTION, ANSWER, "gpt-4o")
        assert (call["tokens_input"], call["tokens_output"]) == (40, 12)
        assert call["latency_ms"] == 1500


def test_a_forked_worker_has_an_exporter_of_its_own(collector: Collector) -> None:
    """What is logged on both sides of a fork arrives once each, over connections of their own."""
    made = []

    def make() -> OTLPSpanExporter:
        made.append(os.getpid())
        return OTLPSpanExporter(endpoint=collector.url)

    client = client_of(transport=SpanTransport(make))
    client.log_error("run-1", "in the parent")
    assert client.flush(30)
    child = os.fork()
    if not child:
        client.log_error("run-1", "in the child")
        sent = client.flush(30)
        os._exit(0 if sent and made == [os.getppid(), os.getpid()] else 1)
    _, status = os.waitpid(child, 0)
    client.log_error("run-1", "after")
    assert client.flush(30)
    client.close()

    messages = [plain(span.events[0])["exception.message"] for span in collector.spans]
    assert status == 0
    assert messages == ["in the parent", "in the child", "after"]
    assert made == [os.getpid()]


def test_closing_without_a_batch_makes_no_exporter() -> None:
    """A client that has logged nothing leaves no trace of it."""
    client = client_of(transport=SpanTransport(pytest.fail))

    assert client.close(30)


def test_the_example_gives_spans_to_a_collector(
    clients: Clients, collector: Collector, watchllm_events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the page logs one call, as an event and as a span."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.url)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{clients.endpoint.url}/v1")
    run_example("opentelemetry/spans_out.py")
    watchllm.disable_instrumentation()

    (event,) = watchllm_events.all()
    assert [span.name for span in collector.spans] == [f"chat {event['model']}"]
