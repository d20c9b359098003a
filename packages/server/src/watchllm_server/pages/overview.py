"""The overview: how much there was, how it went, and what changed, against the time before."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from watchllm_server.errors import invalid_query
from watchllm_server.pages import format as show
from watchllm_server.pages.charts import Chart, Line, number
from watchllm_server.pages.first_run import start_of
from watchllm_server.pages.site import Page, Visit
from watchllm_server.query.cached import cache_totals, sum_of_totals
from watchllm_server.query.changes import changes
from watchllm_server.query.costs import costs
from watchllm_server.query.events import page_of_events
from watchllm_server.query.filter import Filter
from watchllm_server.query.profiles import profiles
from watchllm_server.query.totals import timeline, totals, totals_by_group

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from starlette.responses import Response

    from watchllm_server.pages.first_run import Start
    from watchllm_server.query.cached import CacheTotals
    from watchllm_server.query.changes import Changes
    from watchllm_server.query.totals import Totals
    from watchllm_server.store.base import EventStore

By = Literal["model", "user", "tag", "release"]
Order = Literal["cost", "errors", "latency"]

_GROUPS: Final = 50
_ROWS: Final = 10
_NAMES: Final[Mapping[By, str]] = {
    "model": "Models",
    "user": "Users",
    "tag": "Tags",
    "release": "Releases",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure, and how it differs from the period before."""

    name: str
    value: str
    change: str = ""
    tone: str = ""
    """good, bad, or empty where a difference is neither."""


@dataclass(frozen=True, slots=True)
class Row:
    """A model, user, tag or release among those with the most of something."""

    name: str
    url: str
    """This page about it alone."""
    calls: int
    errors: int
    cost: Decimal | None
    latency_p95_ms: float | None
    share: float
    """Of the largest in what the rows are ordered by, in percent."""


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The overview of a stretch of time."""

    tiles: list[Tile]
    charts: list[Chart]
    by: By
    order: Order
    groups: list[tuple[str, str]]
    """What the rows may be: the value for the address, and its name."""
    rows: list[Row]
    changes: Changes | None
    """None when there is nothing before to compare with."""
    environments: list[tuple[str, str]]
    is_empty: bool
    newest: datetime | None
    """When the newest event of the project happened; looked up where this time has none."""
    start: Start | None
    """How to send the first event; only for a project without any."""


def overview(visit: Visit) -> Response:
    """Show how much there was, how it went, and what changed."""
    store, state = visit.services.store, visit.state
    by: Any = _chosen(state["by"] or "model", By)
    order: Any = _chosen(state["sort"] or "cost", Order)
    where, before = state.filter(visit.project.id), state.before(visit.project.id)
    now, was = totals(store, where), totals(store, before)
    newest = None
    if not now.events:
        found = page_of_events(store, Filter(project_id=visit.project.id), limit=1).events
        newest = found[0].ts if found else None
    width = state.stretches.width
    cached = [
        sum_of_totals(cache_totals(store, each, width=width), each.date_from)
        for each in (where, before)
    ]
    context = OverviewPage(
        tiles=_tiles(now, was, *cached),
        charts=_charts(timeline(store, where, width=width), width) if now.events else [],
        by=by,
        order=order,
        groups=[(value, name) for value, name in _NAMES.items()],
        rows=_rows(visit, where, by, order) if now.events else [],
        changes=changes(store, where, before) if now.events else None,
        environments=_environments(store, where),
        is_empty=not now.events,
        newest=newest,
        start=start_of(visit) if not now.events and newest is None else None,
    )
    return visit.render("overview.html", context)


def _chosen(value: str, choices: Any) -> str:
    allowed = get_args(choices)
    if value not in allowed:
        raise invalid_query(f"Here one may choose {', '.join(allowed)}, but not {value[:40]!r}.")
    return value


def _tiles(now: Totals, was: Totals, cached: CacheTotals, was_cached: CacheTotals) -> list[Tile]:
    saved, was_saved = (
        each.exact_saved_usd + each.semantic_saved_usd for each in (cached, was_cached)
    )
    return [
        _tile("Requests", now.requests, was.requests, show.short_count),
        _tile("Errors", now.errors, was.errors, show.short_count, more="bad"),
        _tile("Latency p50", now.latency_p50_ms, was.latency_p50_ms, show.milliseconds, more="bad"),
        _tile("Latency p95", now.latency_p95_ms, was.latency_p95_ms, show.milliseconds, more="bad"),
        _tile("Tokens", _tokens(now), _tokens(was), show.short_count),
        _tile("Cost", now.cost_usd, was.cost_usd, show.cost),
        _tile("Saved by cache", Decimal(repr(saved)), Decimal(repr(was_saved)), show.cost),
    ]


def _tile(
    name: str, now: Any, was: Any, read: Callable[[Any], str], *, more: Literal["bad", ""] = ""
) -> Tile:
    """Return a figure with its change; `more` says whether a larger one is bad."""
    if now is None:
        return Tile(name, show.NONE)
    if not was:
        return Tile(name, read(now))
    ratio = float(now) / float(was)
    tone = ""
    if more and abs(ratio - 1) >= 0.05:  # noqa: PLR2004 - less than a twentieth is noise
        tone = "bad" if ratio > 1 else "good"
    # A number is not parted from its unit.
    parts = (text.replace(" ", "\N{NO-BREAK SPACE}") for text in (show.ratio(ratio), read(was)))
    return Tile(name, read(now), ", was ".join(parts), tone)


def _tokens(found: Totals) -> int | None:
    if found.tokens_input is None or found.tokens_output is None:
        return None
    return found.tokens_input + found.tokens_output


def _charts(found: list[tuple[datetime, Totals]], width: timedelta) -> list[Chart]:
    times = [at for at, _ in found]
    each = [totals for _, totals in found]

    def line(label: str, tone: Any, value: Callable[[Totals], Any]) -> Line:
        return Line(label, [number(value(totals)) for totals in each], tone)

    return [
        Chart(
            "Requests and errors",
            "count",
            times,
            width,
            [
                line("Requests", "1", lambda t: t.requests),
                line("Errors", "error", lambda t: t.errors),
            ],
            "bars",
        ),
        Chart("Cost", "usd", times, width, [line("Cost", "3", lambda t: t.cost_usd)], "bars"),
        Chart(
            "Latency",
            "ms",
            times,
            width,
            [
                line("p50", "1", lambda t: t.latency_p50_ms),
                line("p95", "2", lambda t: t.latency_p95_ms),
            ],
        ),
        Chart(
            "Tokens",
            "count",
            times,
            width,
            [
                line("Input", "4", lambda t: t.tokens_input),
                line("Output", "5", lambda t: t.tokens_output),
            ],
            "stacked",
        ),
    ]


def _rows(visit: Visit, where: Filter, by: By, order: Order) -> list[Row]:
    """Return the first rows; of models, tags and releases among the 50 with the most events."""
    store = visit.services.store
    found: list[tuple[str, int, int, Decimal | None, float | None]]
    if by == "user":
        wanted: Any = {"cost": "cost", "errors": "errors", "latency": "calls"}[order]
        users = profiles(store, where, "user", limit=_ROWS, order=wanted)
        found = [(p.name, p.calls, p.errors, p.cost_usd, p.latency_p95_ms) for p in users]
    else:
        groups = totals_by_group(store, where, by, limit=_GROUPS)
        found = [
            (
                group.group,
                group.totals.requests,
                group.totals.errors,
                group.totals.cost_usd,
                group.totals.latency_p95_ms,
            )
            for group in groups
            if group.group
        ]
    place = {"errors": 2, "cost": 3, "latency": 4}[order]
    found.sort(key=lambda row: float(row[place] or 0), reverse=True)
    most = max((float(row[place] or 0) for row in found), default=0) or 1
    return [
        Row(
            row[0],
            visit.state.url(**{by: row[0]}),
            *row[1:],
            share=round(100 * float(row[place] or 0) / most, 1),
        )
        for row in found[:_ROWS]
    ]


def _environments(store: EventStore, where: Filter) -> list[tuple[str, str]]:
    whole = Filter(where.project_id, date_from=where.date_from, date_to=where.date_to)
    names = sorted({cost.one for cost in costs(store, whole, by="env") if cost.one})
    return [(name, name) for name in names]


PAGES: Final = (Page("/overview", overview, name="Overview", key="o", place=1, more=("by",)),)
