"""Calls of a model of which two spans tell, so that tokens and costs count once.

A client library may trace itself while an instrumentation traces it, and one instrumentation may
wrap what another does. The outer span counts, which has the content as a rule.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from watchllm_server.ingest.otlp.dialects import is_model_call
from watchllm_server.ingest.otlp.names import OUTPUT_TOKENS, RESPONSE_ID
from watchllm_server.ingest.otlp.usage import tells_usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from watchllm_server.ingest.otlp.span import Span


def find_retold(spans: Iterable[Span]) -> dict[tuple[str, str], Span]:
    """Return the spans that tell of a call again, by trace and span id, each with the outer one.

    That is a call directly below one of as many output tokens, and a call whose answer has the id
    of another's, within whose time it lies. Only spans of one export are compared.
    """
    calls = {
        (span.trace_id, span.span_id): span
        for span in spans
        if tells_usage(span.attributes) and is_model_call(span.attributes)
    }
    found: dict[tuple[str, str], Span] = {}
    by_answer: defaultdict[str, list[Span]] = defaultdict(list)
    for key, span in calls.items():
        outer = calls.get((span.trace_id, span.parent_span_id))
        if outer is not None and outer is not span and _output(outer) == _output(span):
            found[key] = outer
            continue
        answer = span.attributes.get(RESPONSE_ID)
        if isinstance(answer, str) and answer:
            by_answer[answer].append(span)
    for same in by_answer.values():
        found.update(_within(same) if len(same) > 1 else ())
    return found


def _output(span: Span) -> Any:
    names = (name for name in OUTPUT_TOKENS if name in span.attributes)
    return next((span.attributes[name] for name in names), None)


def _within(spans: list[Span]) -> Iterator[tuple[tuple[str, str], Span]]:
    """Yield the spans that lie within the time of an earlier one."""
    ordered = sorted(spans, key=lambda span: (span.start, -span.end))
    outer = ordered[0]
    for span in ordered[1:]:
        if span.end <= outer.end:
            yield (span.trace_id, span.span_id), outer
        else:
            outer = span
