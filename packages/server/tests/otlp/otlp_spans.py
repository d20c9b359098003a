"""Spans to make exports of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from watchllm_server.ingest.otlp.events import events_of
from watchllm_server.ingest.otlp.protobuf import read_protobuf

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACE = bytes(range(1, 17))
SPAN = bytes(range(1, 9))
START = 1_795_600_000_000_000_000
"""A moment of November 2026, in nanoseconds."""
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 45,
}


def value(plain: Any) -> AnyValue:
    """Return a plain value as OTLP has it."""
    if isinstance(plain, bool):
        return AnyValue(bool_value=plain)
    if isinstance(plain, int):
        return AnyValue(int_value=plain)
    if isinstance(plain, float):
        return AnyValue(double_value=plain)
    if isinstance(plain, bytes):
        return AnyValue(bytes_value=plain)
    found = AnyValue()
    if isinstance(plain, list):
        found.array_value.values.extend([value(each) for each in plain])
    elif isinstance(plain, dict):
        found.kvlist_value.values.extend(pairs(plain))
    elif plain is not None:
        found.string_value = plain
    return found


def pairs(plain: dict[str, Any]) -> list[KeyValue]:
    """Return attributes as OTLP has them."""
    return [KeyValue(key=name, value=value(each)) for name, each in plain.items()]


def attributes(**more: Any) -> list[KeyValue]:
    """Return the attributes of a call of a model, with more of them."""
    return pairs({**CALL, **more})


def span(**fields: Any) -> Span:
    """Return a span of a call of a model that took 1.25 seconds."""
    given: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "name": "chat gpt-4o",
        "start_time_unix_nano": START,
        "end_time_unix_nano": START + 1_250_000_000,
        "attributes": attributes(),
    }
    return Span(**(given | fields))


def export(*spans: Span, resource: dict[str, Any] | None = None) -> ExportTraceServiceRequest:
    """Return the export of spans of one resource and one instrumentation."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(pairs(resource or {"service.name": "shop"}))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "tests"
    scope_spans.spans.extend(spans)
    return request


def events(*spans: Span, resource: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the events that spans become, in the order of the spans."""
    found = read_protobuf(export(*spans, resource=resource).SerializeToString())
    assert found.faults == []
    numbers: dict[str, int] = {}
    return [event for each in found.spans for event in events_of(each, numbers)]


def call(given: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the event of a span of these attributes, which must be a prompt call."""
    (event, *_) = events(span(attributes=pairs(dict(given)), **fields))
    assert event["event_type"] == "prompt_call"
    return event


def step(given: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the event of a span of these attributes, which must be an agent step."""
    (event, *_) = events(span(attributes=pairs(dict(given)), **fields))
    assert event["event_type"] == "agent_step"
    return event
