"""Spans of an export in OTLP's JSON: names in camel case, ids in hex, large integers as texts."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from watchllm_server.ingest.otlp.source import source_fields
from watchllm_server.ingest.otlp.span import (
    DEEPER,
    MAX_DEPTH,
    MAX_VALUES,
    Attributes,
    Export,
    Link,
    Span,
    SpanEvent,
    too_many_values,
    unreadable,
)
from watchllm_server.jsontext import mend_halves

_ERROR: Final = (2, "STATUS_CODE_ERROR")
_OBJECTS_A_VALUE: Final = 2


class _Array(Struct):
    values: list[_Value] = []


class _Pairs(Struct):
    values: list[_Pair] = []


class _Value(Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bytes_value: str | None = None
    array_value: _Array | None = None
    kvlist_value: _Pairs | None = None


class _Pair(Struct):
    key: str = ""
    value: _Value | None = None


class _Event(Struct, rename="camel"):
    name: str = ""
    time_unix_nano: int | str = 0
    attributes: list[_Pair] = []


class _Link(Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""


class _Status(Struct):
    code: int | str = 0
    message: str = ""


class _Span(Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = None
    name: str = ""
    kind: int | str = 0
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    trace_state: str = ""
    attributes: list[_Pair] = []
    events: list[_Event] = []
    links: list[_Link] = []
    status: _Status | None = None
    dropped_attributes_count: int = 0
    dropped_events_count: int = 0
    dropped_links_count: int = 0


class _Scope(Struct):
    name: str = ""
    version: str = ""


class _ScopeSpans(Struct):
    scope: _Scope | None = None
    spans: list[Raw] = []


class _Resource(Struct):
    attributes: list[_Pair] = []


class _ResourceSpans(Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] = []


class _Request(Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] = []


_as_request = msgspec.json.Decoder(_Request).decode
_as_span = msgspec.json.Decoder(_Span).decode
_KINDS: Final = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(
        ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
    )
}


def read_json(body: bytes) -> Export:
    """Return the spans of a body; raise the Problem that answers one that is no export."""
    # Two bytes become an object of a hundred: what there may be is counted ahead of it.
    if body.count(b"{") > _OBJECTS_A_VALUE * MAX_VALUES:
        raise too_many_values()
    export = Export()
    for resource_spans in _decode(body).resource_spans:
        pairs = resource_spans.resource.attributes if resource_spans.resource else []
        resource = _attributes(export, pairs)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope or _Scope()
            source = source_fields(resource, scope.name, scope.version)
            for raw in scope_spans.spans:
                export.count_span()
                _add(export, raw, source)
    return export


def _decode(body: bytes) -> _Request:
    try:
        body.decode()
        return _as_request(body)
    except UnicodeDecodeError as error:
        raise unreadable(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise unreadable("it is nested too deep") from None
    except msgspec.DecodeError as error:
        # One cut text must not cost its sender the whole export.
        mended = mend_halves(body)
        if mended != body:
            return _decode(mended)
        raise unreadable(f"{error}") from None


def _add(export: Export, raw: Raw, source: dict[str, Any]) -> None:
    try:
        span = _span(export, _as_span(raw), source)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        export.faults.append(f"A span cannot be read: {why}.")
    else:
        export.spans.append(span)


def _span(export: Export, span: _Span, source: dict[str, Any]) -> Span:
    status = span.status or _Status()
    return Span(
        trace_id=span.trace_id.lower(),
        span_id=span.span_id.lower(),
        parent_span_id=(span.parent_span_id or "").lower(),
        name=span.name,
        kind=_KINDS.get(span.kind, 0) if isinstance(span.kind, str) else span.kind,
        start=int(span.start_time_unix_nano),
        end=int(span.end_time_unix_nano),
        failed=status.code in _ERROR,
        status_message=status.message,
        trace_state=span.trace_state,
        attributes=_attributes(export, span.attributes),
        source=source,
        events=[
            SpanEvent(event.name, int(event.time_unix_nano), _attributes(export, event.attributes))
            for event in span.events
        ],
        links=[Link(link.trace_id.lower(), link.span_id.lower()) for link in span.links],
        dropped=span.dropped_attributes_count
        + span.dropped_events_count
        + span.dropped_links_count,
    )


def _attributes(export: Export, pairs: list[_Pair], depth: int = 0) -> Attributes:
    export.count_values(len(pairs))
    return {pair.key: _plain(export, pair.value, depth) for pair in pairs}


def _plain(export: Export, value: _Value | None, depth: int) -> Any:
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return int(value.int_value)
    if value.double_value is not None:
        number = float(value.double_value)
        return number if math.isfinite(number) else str(number)
    if value.array_value is not None or value.kvlist_value is not None:
        return _nested(export, value, depth)
    return value.bytes_value if value.bool_value is None else value.bool_value


def _nested(export: Export, value: _Value, depth: int) -> Any:
    if depth >= MAX_DEPTH:
        return DEEPER
    if value.kvlist_value is not None:
        return _attributes(export, value.kvlist_value.values, depth + 1)
    values = value.array_value.values if value.array_value else []
    export.count_values(len(values))
    return [_plain(export, each, depth + 1) for each in values]
