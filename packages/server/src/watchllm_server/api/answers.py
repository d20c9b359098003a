"""What the routes that read answer with: dataclasses, and their way to JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from starlette.responses import Response

from watchllm_server.query.errors import (  # noqa: TC001 - the OpenAPI document reads the types
    ErrorGroup,
)
from watchllm_server.query.events import format_time, json_decimal
from watchllm_server.query.runs import Run  # noqa: TC001 - likewise
from watchllm_server.query.totals import (  # noqa: TC001 - likewise
    GroupBy,
    GroupTotals,
    Metric,
    Series,
    Totals,
)
from watchllm_server.query.tree import Branch  # noqa: TC001 - likewise

EventJson = dict[str, Any]
"""An event as it was sent, with its cost."""


@dataclass(frozen=True, slots=True)
class EventsAnswer:
    """A page of events."""

    events: list[EventJson]
    has_more: bool
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RunsAnswer:
    """A page of runs, the last started first."""

    runs: list[Run]
    has_more: bool
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """A run, a page of its events in the order of their times, and the page's events as a tree."""

    run: Run
    events: list[EventJson]
    tree: list[Branch]
    has_more: bool
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class StatsAnswer:
    """Totals over a stretch of time, and of each group where one was asked for."""

    date_from: datetime
    date_to: datetime | None
    stats: Totals
    group_by: GroupBy | None
    groups: list[GroupTotals]


@dataclass(frozen=True, slots=True)
class SeriesAnswer:
    """A metric over time, one series a group. `date_to` is the end of the last stretch."""

    metric: Metric
    group_by: GroupBy | None
    date_from: datetime
    date_to: datetime
    bucket_seconds: int
    series: list[Series]


@dataclass(frozen=True, slots=True)
class ErrorsAnswer:
    """The kinds of errors in a stretch of time, the most frequent first."""

    date_from: datetime
    date_to: datetime | None
    errors: list[ErrorGroup]


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """How the process is."""

    status: str


def json_answer(content: Any) -> Response:
    """Return a response with the JSON of a dataclass or of what is JSON already."""
    return Response(msgspec.json.encode(to_wire(content)), media_type="application/json")


def to_wire(value: Any) -> Any:
    """Return a value for JSON: times as RFC 3339, decimals as numbers with every digit."""
    if is_dataclass(value):
        return {field.name: to_wire(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list):
        return [to_wire(item) for item in value]
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Decimal):
        return json_decimal(value)
    return value
