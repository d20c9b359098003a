"""The overview: how much there was, how it went, and what changed, against the time before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from watchllm_server.pages import format as show
from watchllm_server.pages import overview_parts
from watchllm_server.pages.charts import Chart, Line, number
from watchllm_server.pages.first_run import start_of
from watchllm_server.pages.narrowing import values_of
from watchllm_server.pages.overview_parts import OVERVIEW, chosen_top
from watchllm_server.pages.site import Page, Visit
from watchllm_server.query.cached import cache_compared
from watchllm_server.query.events import page_of_events
from watchllm_server.query.filter import Filter
from watchllm_server.query.totals import compared

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from starlette.responses import Response

    from watchllm_server.pages.first_run import Start
    from watchllm_server.pages.narrowing import Values
    from watchllm_server.query.cached import CacheTotals
    from watchllm_server.query.totals import Totals


_AT_ONCE: Final = 3
"""Questions that are asked beside each other."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure, and how it differs from the period before."""

    name: str
    value: str
    change: str = ""
    tone: str = ""
    """good, bad, or empty where a difference is neither."""


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The overview of a stretch of time."""

    tiles: list[Tile]
    charts: list[Chart]
    values: Values
    is_empty: bool
    newest: datetime | None
    """When the newest event of the project happened; looked up where this time has none."""
    start: Start | None
    """How to send the first event; only for a project without any."""


def overview(visit: Visit) -> Response:
    """Show how much there was, how it went, and what changed."""
    store, state = visit.services.store, visit.state
    # The address is also that of the list below, which comes later.
    chosen_top(visit)
    where, before = state.filter(visit.project.id), state.before(visit.project.id)
    width = state.stretches.width
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        comparison = pool.submit(compared, store, where, before, width=width)
        caches = pool.submit(cache_compared, store, where, before)
        known = pool.submit(values_of, visit)
    found = comparison.result()
    now, newest = found.now, None
    if not now.events:
        events = page_of_events(store, Filter(project_id=visit.project.id), limit=1).events
        newest = events[0].ts if events else None
    context = OverviewPage(
        tiles=_tiles(now, found.before, *caches.result()),
        charts=_charts(found.steps, width) if now.events else [],
        values=known.result(),
        is_empty=not now.events,
        newest=newest,
        start=start_of(visit) if not now.events and newest is None else None,
    )
    return visit.render("overview.html", context)


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


PAGES: Final = (
    Page(OVERVIEW, overview, name="Overview", key="o", place=1, more=("by",)),
    *overview_parts.PAGES,
)
