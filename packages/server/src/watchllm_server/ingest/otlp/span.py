"""A span as both encodings of OTLP give it, and what bounds a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from watchllm_server.errors import Problem

Attributes: TypeAlias = dict[str, Any]
"""Attribute values by name, as JSON has them: bytes are base64 text."""

MAX_SPANS: Final = 20_000
MAX_VALUES: Final = 400_000
"""Attribute values of a request, those inside lists counted too."""
MAX_DEPTH: Final = 16
DEEPER: Final = "[nested too deep]"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span. The time is in nanoseconds from 1970."""

    name: str
    time: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Link:
    """A span of another trace, in hexadecimal digits."""

    trace_id: str
    span_id: str


@dataclass(slots=True)
class Span:
    """One span: ids in lower-case hexadecimal digits, times in nanoseconds from 1970."""

    trace_id: str
    span_id: str
    parent_span_id: str
    """Empty for the root of a trace."""
    name: str
    kind: int
    start: int
    end: int
    failed: bool
    status_message: str
    trace_state: str
    attributes: Attributes
    source: dict[str, Any]
    """The fields that the events of all spans of this source share."""
    events: list[SpanEvent] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    dropped: int = 0
    """Attributes, events and links that the sender left out."""


@dataclass(slots=True)
class Export:
    """The spans of a request, and a sentence for each that cannot be read."""

    spans: list[Span] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _values: int = 0

    def count_span(self) -> None:
        """Take note of one more span; raise the Problem that answers too many."""
        if len(self.spans) + len(self.faults) >= MAX_SPANS:
            message = f"A request may have {MAX_SPANS:,} spans: export smaller batches."
            raise Problem(413, "too_many_spans", message)

    def count_values(self, number: int) -> None:
        """Take note of attribute values; raise the Problem that answers too many."""
        self._values += number
        if self._values > MAX_VALUES:
            raise too_many_values()


def unreadable(why: str) -> Problem:
    """Return the answer to a body that is no export of traces."""
    return Problem(400, "invalid_export", f"The body is no OTLP export of traces: {why}.")


def too_many_values() -> Problem:
    """Return the answer to a body of more attribute values than a request may have."""
    message = f"A request may have {MAX_VALUES:,} attribute values: export smaller batches."
    return Problem(413, "too_many_values", message)
