"""Spans of an export in protobuf."""

from __future__ import annotations

import math
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import ArrayValue, InstrumentationScope, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from watchllm_server.ingest.otlp import frames
from watchllm_server.ingest.otlp.frames import BrokenFrameError, parts
from watchllm_server.ingest.otlp.source import source_fields
from watchllm_server.ingest.otlp.span import (
    DEEPER,
    MAX_DEPTH,
    Attributes,
    Export,
    Link,
    Span,
    SpanEvent,
    too_many_values,
    unreadable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    from watchllm_server.ingest.otlp.frames import Schema

_LARGE: Final = 64_000
"""Bytes from which a message is measured before it is parsed."""
_MAX_MESSAGES: Final = 20_000
_RESOURCE, _SCOPE = 1, 1
_BELOW = 2
"""The number of ExportTraceServiceRequest's children's children: scope spans, then spans."""
_ERROR = (
    SpanMessage.DESCRIPTOR.file.message_types_by_name["Status"]
    .enum_values_by_name["STATUS_CODE_ERROR"]
    .number
)


def read_protobuf(body: bytes) -> Export:
    """Return the spans of a body; raise the Problem that answers one that is no export."""
    export = Export()
    try:
        for number, start, end in parts(body, 0, len(body)):
            if number == 1:
                export.count_values(1)
                _read_resource(export, body, start, end)
    except (BrokenFrameError, DecodeError):
        raise unreadable("it cannot be read as protobuf") from None
    except _TooManyError:
        raise too_many_values() from None
    return export


def _read_resource(export: Export, body: bytes, start: int, end: int) -> None:
    resource, scopes = b"", []
    for number, begin, stop in parts(body, start, end):
        if number == _RESOURCE:
            resource += body[begin:stop]
        elif number == _BELOW:
            export.count_values(1)
            scopes.append((begin, stop))
    _measure(resource, frames.RESOURCE)
    attributes = _attributes(export, Resource.FromString(resource).attributes)
    for begin, stop in scopes:
        _read_scope(export, attributes, body, begin, stop)


def _read_scope(export: Export, resource: Attributes, body: bytes, start: int, end: int) -> None:
    scope, spans = b"", []
    for number, begin, stop in parts(body, start, end):
        if number == _SCOPE:
            scope += body[begin:stop]
        elif number == _BELOW:
            export.count_values(1)
            spans.append((begin, stop))
    _measure(scope, frames.SCOPE)
    name = InstrumentationScope.FromString(scope)
    source = source_fields(resource, name.name, name.version)
    for begin, stop in spans:
        export.count_span()
        # A span that cannot be read must not cost its sender the others.
        try:
            span = body[begin:stop]
            _measure(span, frames.SPAN)
            export.spans.append(_span(export, SpanMessage.FromString(span), source))
        except (BrokenFrameError, DecodeError):
            export.faults.append("A span cannot be read as protobuf.")
        except _TooManyError:
            export.faults.append(f"A span may have {_MAX_MESSAGES:,} attributes and events.")


class _TooManyError(ValueError):
    """A message holds more messages than it may."""


def _measure(message: bytes, schema: Schema) -> None:
    if len(message) > _LARGE and frames.has_more_messages(_MAX_MESSAGES, message, schema):
        raise _TooManyError


def _span(export: Export, span: SpanMessage, source: dict[str, Any]) -> Span:
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=span.name,
        kind=span.kind,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.code == _ERROR,
        status_message=span.status.message,
        trace_state=span.trace_state,
        attributes=_attributes(export, span.attributes),
        source=source,
        events=[
            SpanEvent(event.name, event.time_unix_nano, _attributes(export, event.attributes))
            for event in span.events
        ],
        links=[Link(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        dropped=span.dropped_attributes_count
        + span.dropped_events_count
        + span.dropped_links_count,
    )


def _attributes(export: Export, pairs: Iterable[KeyValue], depth: int = 0) -> Attributes:
    found = {}
    count = 0
    for pair in pairs:
        count += 1
        value = pair.value
        # Nearly all are texts: to ask which kind a value is costs as much as all else here.
        found[pair.key] = value.string_value or _value(export, value, depth)
    export.count_values(count)
    return found


def _value(export: Export, value: AnyValue, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    plain = getattr(value, kind)
    if kind == "double_value" and not math.isfinite(plain):
        return str(plain)
    if kind == "bytes_value":
        return b64encode(plain).decode()
    if kind in ("array_value", "kvlist_value"):
        return _nested(export, plain, depth + 1)
    return plain


def _nested(export: Export, value: ArrayValue | KeyValueList, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return DEEPER
    if isinstance(value, KeyValueList):
        return _attributes(export, value.values, depth)
    export.count_values(len(value.values))
    return [_value(export, each, depth) for each in value.values]
