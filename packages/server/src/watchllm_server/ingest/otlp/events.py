"""From spans to events: a prompt call or an agent step for each, and an error for each exception.

Ids come from the trace's and the span's, so that an export that is sent again is stored once.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final

from watchllm_server.ingest.otlp.dialects import (
    is_model_call,
    step_of,
    take_known,
    take_model_call,
)
from watchllm_server.ingest.otlp.retold import find_retold
from watchllm_server.ingest.otlp.rows import row_of
from watchllm_server.ingest.otlp.source import sample_rate
from watchllm_server.ingest.otlp.values import bounded, cut, given
from watchllm_server.jsontext import parse, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchllm_server.ingest.otlp.dialects import ModelCall, Step
    from watchllm_server.ingest.otlp.span import Attributes, Export, Span, SpanEvent
    from watchllm_server.rows import Row

_IDS: Final = uuid.UUID("6f5d3f0e-6d6b-4f0d-9a53-1b2f6c1f7c55")
_VARIANTS: Final = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - all times here are UTC
_HEX: Final = frozenset("0123456789abcdef")
_TRACE_DIGITS, _SPAN_DIGITS = 32, 16
_MAX_EXCEPTIONS: Final = 16
_MAX_EVENTS: Final = 32
_MAX_LINKS: Final = 16
_END_NS: Final = 9_214_646_400 * 10**9
"""The end of the year 2261."""
_UNKNOWN: Final = "the span does not say"
_EXCEPTION: Final = "exception"
_NOISE: Final = frozenset({"gen_ai.content.completion.chunk", "First Token Stream Event"})
_KINDS: Final = {2: "server", 3: "client", 4: "producer", 5: "consumer"}


class FaultySpanError(Exception):
    """A span is refused, for the reason that the message says."""


def rows_of(export: Export, project_id: str) -> list[Row]:
    """Return the rows of all spans.

    The reason why a span is refused is added to the export's faults. Steps are numbered by their
    start among those of their trace in this export.
    """
    rows: list[Row] = []
    numbers: dict[str, int] = {}
    retold = find_retold(export.spans)
    for span in sorted(export.spans, key=lambda span: (span.start, span.span_id)):
        outer = retold.get((span.trace_id, span.span_id))
        try:
            found = [row_of(event, project_id) for event in events_of(span, numbers, outer)]
        except FaultySpanError as fault:
            export.faults.append(f"Span {span.span_id[:_SPAN_DIGITS]}: {fault}")
        else:
            rows += found
    return rows


def event_id(trace_id: str, span_id: str, exception: int | None = None) -> str:
    """Return the id of a span's event, or of the error event of one of its exceptions."""
    suffix = "" if exception is None else f"/{exception}"
    # What str(uuid.uuid5(_IDS, …)) returns, in a third of the time.
    name = _IDS.bytes + f"{trace_id}/{span_id}{suffix}".encode()
    hexed = sha1(name, usedforsecurity=False).hexdigest()
    variant = _VARIANTS[hexed[16]]
    return f"{hexed[:8]}-{hexed[8:12]}-5{hexed[13:16]}-{variant}{hexed[17:20]}-{hexed[20:32]}"


def events_of(
    span: Span, numbers: dict[str, int], outer: Span | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the events of a span, its own first. `numbers` counts the steps of each trace.

    With `outer`, the span tells again of the call of that span, and is a step that names it.
    Raises FaultySpanError for a span that cannot be told from others or placed in time.
    """
    _check(span)
    call = outer is None and is_model_call(span.attributes)
    known = take_known(span.attributes, call=call)
    common = _common(span, known)
    exceptions = [event for event in span.events if event.name == _EXCEPTION]
    status, error = _outcome(span, text_of(known.get("error")), exceptions)
    main = {
        **common,
        "event_id": event_id(span.trace_id, span.span_id),
        "timestamp": _time(span.end or span.start),
        "status": status,
        "span_id": span.span_id,
        **_latency(span),
    }
    if span.parent_span_id:
        main["parent_event_id"] = event_id(span.trace_id, span.parent_span_id)
    if error:
        main["error"] = error
    if call:
        yield _prompt_call(span, take_model_call(span, known), main)
    else:
        numbers[span.trace_id] = number = numbers.get(span.trace_id, 0) + 1
        yield _agent_step(span, step_of(span, known), main, number, outer)
    for number, exception in enumerate(exceptions[:_MAX_EXCEPTIONS]):
        yield _error(span, common, exception, number)


def _check(span: Span) -> None:
    for name, value, digits in (
        ("traceId", span.trace_id, _TRACE_DIGITS),
        ("spanId", span.span_id, _SPAN_DIGITS),
    ):
        if len(value) != digits or not _HEX.issuperset(value) or value.strip("0") == "":
            raise FaultySpanError(f"its {name} must be {digits // 2} bytes that are not all zero.")
    if span.parent_span_id.strip("0") == "":
        span.parent_span_id = ""
    if not (span.end or span.start):
        raise FaultySpanError("it has neither a start nor an end.")
    if not (0 <= span.start < _END_NS and 0 <= span.end < _END_NS):
        raise FaultySpanError("its times must lie in the years 1970 to 2261.")


def _time(nanoseconds: int) -> str:
    moment = _EPOCH + timedelta(microseconds=nanoseconds // 1_000)
    return f"{moment.isoformat(timespec='microseconds')}Z"


def _latency(span: Span) -> dict[str, Any]:
    """Return how long a span took; of a clock that was set back nothing is known."""
    if span.start and span.end >= span.start:
        return {"latency_ms": (span.end - span.start) / 1e6}
    return {"invalid_fields": {"latency_ms": "the span's times do not tell"}}


def _common(span: Span, known: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that all events of a span have."""
    tags = parse(known.get("tags"))
    fields = {
        "run_id": span.trace_id,
        "session_id": text_of(known.get("session")),
        "user_id": text_of(known.get("user")),
        "tags": [text_of(tag) for tag in tags] if isinstance(tags, list) else [],
        "sample_rate": sample_rate(span.trace_state) if span.trace_state else None,
    }
    return {**span.source, **given(fields)}


def _outcome(
    span: Span, kind: str, exceptions: list[SpanEvent]
) -> tuple[str, dict[str, str] | None]:
    failed = span.failed or kind != ""
    message = span.status_message
    if exceptions:
        last = exceptions[-1].attributes
        kind = text_of(last.get("exception.type")) or kind
        message = text_of(last.get("exception.message")) or message
    if not failed:
        # An exception that was recorded and handled is an error event, and the span a success.
        return "success", None
    error = {"message": cut(message or kind or "The span failed and does not say why.")}
    if kind:
        error["type"] = kind
    return "timeout" if "timeout" in kind.lower() else "error", error


def _prompt_call(span: Span, call: ModelCall, main: dict[str, Any]) -> dict[str, Any]:
    event = {
        **main,
        "event_type": "prompt_call",
        "name": span.name,
        "prompt": call.prompt,
        "response": call.response,
        "model": call.model,
        "response_metadata": given({**call.metadata, **_rest(span)}),
    }
    invalid = dict(main.get("invalid_fields", {}))
    for name in ("tokens_input", "tokens_output"):
        count = call.usage.get(name.replace("tokens_", "") + "_tokens")
        if count is None:
            invalid[name] = _UNKNOWN
        else:
            event[name] = count
    if invalid:
        event["invalid_fields"] = invalid
    if call.cost is not None:
        event["cost_estimate_usd"] = call.cost
    if call.template:
        event["prompt_template_id"] = call.template
    return event


def _agent_step(
    span: Span, step: Step, main: dict[str, Any], number: int, outer: Span | None
) -> dict[str, Any]:
    context = {
        **step.context,
        "same_call_as": event_id(outer.trace_id, outer.span_id) if outer else None,
        "kind": _KINDS.get(span.kind),
        **_rest(span),
    }
    return {
        **main,
        "event_type": "agent_step",
        "step_number": number,
        "step_name": span.name,
        "step_type": step.kind,
        "input_data": step.input_data,
        "output_data": step.output_data,
        "context": given(context),
    }


def _error(span: Span, common: dict[str, Any], exception: SpanEvent, number: int) -> dict[str, Any]:
    attributes = dict(exception.attributes)
    kind = text_of(attributes.pop("exception.type", None))
    message = text_of(attributes.pop("exception.message", None)) or kind or "unknown"
    error = {"message": cut(message), "type": kind}
    stack = text_of(attributes.pop("exception.stacktrace", None))
    attributes.pop("exception.escaped", None)
    kept, _ = bounded(attributes)
    time = exception.time if 0 < exception.time < _END_NS else span.end or span.start
    return given(
        {
            **common,
            "event_type": "error",
            "event_id": event_id(span.trace_id, span.span_id, number),
            "parent_event_id": event_id(span.trace_id, span.span_id),
            "timestamp": _time(time),
            "error": given(error),
            "stack_trace": cut(stack),
            "context": {"span": span.name, "span_id": span.span_id, **kept},
        }
    )


def _rest(span: Span) -> dict[str, Any]:
    """Return what is kept of a span as it was sent."""
    attributes, left_out = bounded(span.attributes)
    left_out += span.dropped + max(len(span.links) - _MAX_LINKS, 0)
    events = [event for event in span.events if event.name not in _NOISE]
    listed = [event for event in events if event.name != _EXCEPTION]
    left_out += max(len(listed) - _MAX_EVENTS, 0)
    left_out += max(len(events) - len(listed) - _MAX_EXCEPTIONS, 0)
    return {
        "attributes": attributes,
        "events": [_listed(event, span) for event in listed[:_MAX_EVENTS]],
        "links": [
            {"trace_id": link.trace_id[:_TRACE_DIGITS], "span_id": link.span_id[:_SPAN_DIGITS]}
            for link in span.links[:_MAX_LINKS]
        ],
        "left_out": left_out or None,
    }


def _listed(event: SpanEvent, span: Span) -> dict[str, Any]:
    kept: Attributes
    kept, _ = bounded(event.attributes)
    after = {"after_ms": (event.time - span.start) / 1e6} if event.time >= span.start else {}
    return {"name": event.name[:200], **after, **({"attributes": kept} if kept else {})}
