"""Exports of spans in protobuf, as OpenTelemetry's exporters send them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

SPANS, TRACE = 50, 5  # of a request, of a trace
PROMPT, RESPONSE = 2_048, 1_024  # characters

Attributes = dict[str, str | int | list[str]]


def export(
    seed: random.Random, name: str, attributes: Callable[[random.Random, int], Attributes]
) -> bytes:
    """Return a request of 50 spans of 10 traces; `attributes` are asked for by a span's number."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "bench"
    scope = resource.scope_spans.add()
    scope.scope.name = "bench"
    end = time.time_ns()
    for number in range(SPANS):
        if number % TRACE == 0:
            trace_id, parent = seed.randbytes(16), b""
        span = scope.spans.add(
            trace_id=trace_id,
            span_id=seed.randbytes(8),
            parent_span_id=parent,
            name=name,
            kind=3,
            start_time_unix_nano=end - seed.randrange(10**8, 5 * 10**9),
            end_time_unix_nano=end + number,
        )
        parent = parent or span.span_id
        for key, value in attributes(seed, number).items():
            kept = span.attributes.add(key=key).value
            if isinstance(value, str):
                kept.string_value = value
            elif isinstance(value, int):
                kept.int_value = value
            else:
                for one in value:
                    kept.array_value.values.add(string_value=one)
    body: bytes = request.SerializeToString()
    return body


def tokens(seed: random.Random, number: int) -> tuple[int, int]:
    """Return the counts of a span's input and output.

    No child has as many as its parent, which would look like one call that is told of twice.
    """
    return seed.randrange(50, 900), seed.randrange(20, 400) if number % TRACE else 400


def taken(content: bytes) -> int:
    """Return how many of a request's spans an answer of 200 says are taken."""
    answer = ExportTraceServiceResponse.FromString(content)
    return SPANS - int(answer.partial_success.rejected_spans)
