"""OpenTelemetry, both ways: an app's spans as events, and events as spans for any collector.

provider.add_span_processor(BatchSpanProcessor(WatchLLMSpanExporter()))
watchllm.init(also_to=SpanTransport(OTLPSpanExporter))
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from hashlib import sha1
from itertools import count

from watchllm._default import get_client
from watchllm._enums import Status
from watchllm._events import AgentStepEvent, PromptCallEvent
from watchllm._outcome import Delivered, Retry
from watchllm._transport import Transport
from watchllm.errors import ConfigurationError
from watchllm.instrumentation import is_instrumented
from watchllm.instrumentation._tree import guard
from watchllm.integrations._spans_read import is_call, operation, provider, read_call, read_step

try:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
except ImportError as missing:
    raise ImportError(
        "watchllm.integrations.opentelemetry needs OpenTelemetry's SDK, and Python 3.10 or newer:"
        " pip install 'watchllm[otel]'"
    ) from missing

from watchllm.integrations._spans_made import span_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Sequence

    from watchllm._client import WatchLLMClient
    from watchllm._outcome import Outcome

__all__ = ["SpanTransport", "WatchLLMSpanExporter"]

MOST_RUNS = 10_000
"""Whose steps are counted at the same time."""
_IDS = bytes.fromhex("6f5d3f0e6d6b4f0d9a531b2f6c1f7c55")
"""What the server makes the ids of spans' events from: over OTLP the same span has the same id."""
_LIBRARIES = {
    "gcp.gemini": "google-genai",
    "gcp.gen_ai": "google-genai",
    "gcp.vertex_ai": "google-genai",
    "google": "google-genai",
}
_guarded = guard("OpenTelemetry")


class WatchLLMSpanExporter(SpanExporter):  # type: ignore[misc] # it may not be installed
    """Log an existing tracer's spans of models, agents and tools; leave all others alone.

    Logs to `client`, else to that of `get_client()`, so that they are redacted and delivered like
    its other events. Each trace is a run by its id. Calls of models that `auto_instrument()` covers
    are left to that. Safe to use from any thread; nothing that fails in it reaches the tracer.
    """

    def __init__(self, client: WatchLLMClient | None = None) -> None:
        self._client = client
        self._steps: dict[str, Iterator[int]] = {}

    def export(self, spans: Sequence[Any]) -> Any:
        """Log spans; return SUCCESS, for what becomes of them is the client's to care for."""
        for span in spans:
            self._export(span)
        return SpanExportResult.SUCCESS

    @_guarded
    def _export(self, span: Any) -> None:
        attributes = span.attributes or {}
        named = provider(attributes)
        if not operation(attributes):
            return
        call = is_call(attributes)
        if call and is_instrumented(_LIBRARIES.get(named, named) or "no provider"):
            return
        common = _common(span)
        client = self._client or get_client()
        if call:
            client.log_event(PromptCallEvent(**read_call(attributes), **common))
        else:
            number = self._number(common["run_id"])
            step = {**read_step(attributes), "step_number": number, "step_name": span.name}
            client.log_event(AgentStepEvent(**step, **common))

    def _number(self, run_id: str) -> int:
        if run_id not in self._steps and len(self._steps) >= MOST_RUNS:
            self._steps.pop(next(iter(self._steps)), None)
        return next(self._steps.setdefault(run_id, count(1)))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what was logged before; return whether the server has answered for it in time."""
        try:
            return (self._client or get_client()).flush(timeout_millis / 1_000)
        except ConfigurationError:  # there is no client, and none can be made
            return False


def _common(span: Any) -> dict[str, Any]:
    """Return the fields that all events of spans have."""
    attributes, context = span.attributes or {}, span.context
    trace_id = f"{context.trace_id:032x}"
    fields = {
        "run_id": trace_id,
        "event_id": _event_id(trace_id, context.span_id),
        "parent_event_id": _event_id(trace_id, span.parent.span_id) if span.parent else None,
        "user_id": attributes.get("user.id") or attributes.get("enduser.id"),
        "session_id": attributes.get("gen_ai.conversation.id") or attributes.get("session.id"),
        "timestamp": _moment(span.end_time),
        "latency_ms": (span.end_time - span.start_time) / 1e6,
        "status": Status.SUCCESS,
    }
    kind = str(attributes.get("error.type") or "")
    if kind or not (span.status.is_ok or span.status.is_unset):
        told = [dict(event.attributes or {}) for event in span.events if event.name == "exception"]
        raised = told[-1] if told else {}
        kind = str(raised.get("exception.type") or kind)
        fields["status"] = Status.TIMEOUT if "timeout" in kind.lower() else Status.ERROR
        fields["error"] = {
            "message": raised.get("exception.message") or span.status.description or kind,
            "type": kind or None,
            "stack": raised.get("exception.stacktrace"),
        }
    return fields


def _event_id(trace_id: str, span_id: int) -> str:
    """Return a UUID of version 5."""
    digest = bytearray(sha1(_IDS + f"{trace_id}/{span_id:016x}".encode()).digest()[:16])  # noqa: S324 - its standard says so
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _moment(time_ns: int) -> str:
    moment = datetime.fromtimestamp(time_ns // 10**9, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ns % 10**9:09d}Z"


class SpanTransport(Transport):
    """Give each event, as a span by the GenAI conventions, to an exporter of OpenTelemetry.

    For `WatchLLMClient(also_to=...)`, beside the collector, or `transport=...`, in its place. No
    tracer and no provider is touched: the exporter gets finished spans, on the client's thread. The
    same run, event and parent have the same ids each time. What the exporter does not take is sent
    again if this is the client's `transport`. `make` returns the exporter, when the first batch is
    sent and again in a forked child.
    """

    def __init__(self, make: Callable[[], SpanExporter]) -> None:
        self._make = make
        self._exporter: SpanExporter | None = None

    def send(self, body: bytes, timeout: float) -> Outcome:  # noqa: ARG002 - the exporter has its own
        """Export the events of a body."""
        spans: list[Any] = []
        for event in json.loads(body)["events"]:
            self._add(spans, event)
        if self._exporter is None:
            self._exporter = self._make()
        if self._exporter.export(spans) is SpanExportResult.SUCCESS:
            return Delivered()
        return Retry("the exporter of OpenTelemetry has failed")

    @_guarded
    def _add(self, spans: list[Any], event: dict[str, Any]) -> None:
        spans.append(span_of(event))

    def close(self) -> None:
        """Shut the exporter down."""
        if self._exporter is not None:
            self._exporter.shutdown()

    def after_fork(self) -> None:  # pragma: no cover - in children; a test forks one
        """Forget the exporter: its connections are the parent's."""
        self._exporter = None
