"""The page of costs: by any two of what tells calls apart, over time, and to the month's end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from starlette.responses import RedirectResponse

from watchllm_server.errors import MetadataError, invalid_query
from watchllm_server.pages.budgets import CHOICES, budgets, put_limit, remove_limit
from watchllm_server.pages.charts import Chart, Line, number
from watchllm_server.pages.narrowing import values_of
from watchllm_server.pages.site import Page, Visit
from watchllm_server.query.costs import Cost, costs
from watchllm_server.query.filter import Filter
from watchllm_server.query.forecast import HISTORY, forecast
from watchllm_server.query.stretches import floor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.responses import Response

    from watchllm_server.pages.budgets import Budget
    from watchllm_server.pages.charts import Tone
    from watchllm_server.pages.narrowing import Values
    from watchllm_server.query.costs import CostBy
    from watchllm_server.query.forecast import Forecast

_DAY: Final = timedelta(days=1)
_ROWS: Final = 30
_COLUMNS: Final = 6
_LINES: Final[tuple[Tone, ...]] = ("1", "2", "3", "4", "5")
_UNPRICED: Final = 20
NAMES: Final[Mapping[CostBy, str]] = {
    "model": "Model",
    "user": "User",
    "tag": "Tag",
    "release": "Release",
    "env": "Environment",
    "template": "Prompt template",
}


@dataclass(frozen=True, slots=True)
class CostRow:
    """What is spent on one value of the first dimension."""

    name: str
    """Empty for calls without one."""
    total: Cost
    share: float
    """Of all costs that are known, from 0 to 1."""
    cells: list[Decimal | None]
    """By the columns; None where there was no call, or none of known price."""
    url: str | None
    """The page narrowed to it; None where nothing narrows by it."""


@dataclass(frozen=True, slots=True)
class CostsPage:
    """What calls cost, by one or two of what tells them apart."""

    by: CostBy
    across: CostBy | None
    names: Mapping[CostBy, str]
    total: Cost
    rows: list[CostRow]
    columns: list[str]
    """Values of the second dimension, the most expensive first; empty for calls without one."""
    others: bool
    """Whether there are more columns than are shown."""
    is_cut: bool
    """Whether there are more rows than are shown."""
    chart: Chart
    forecast: Forecast | None
    """Of the project's month, whatever narrows the page."""
    unpriced: list[Cost]
    """Models with calls of unknown price, the most such calls first."""
    values: Values
    budgets: list[Budget]
    choices: Mapping[str, tuple[str, ...]]
    """What a limit's scope, unit, per and action may be."""
    problem: str = ""
    """Why the form that was sent could not be carried out."""


def costs_page(visit: Visit) -> Response:
    """Show what calls cost."""
    return visit.render("costs.html", _page(visit))


def act(visit: Visit) -> Response:
    """Set or remove a budget, and lead back to them; else say what is wrong."""
    action = visit.chosen(_ACTIONS)
    try:
        action(visit)
    except MetadataError as error:
        return visit.render("costs.html", replace(_page(visit), problem=str(error)), 400)
    return RedirectResponse(
        f"{visit.state.url()}#budgets", 303, headers=visit.site.headers(visit.request)
    )


def _page(visit: Visit) -> CostsPage:
    services, state = visit.services, visit.state
    store, where = services.store, state.filter(visit.project.id)
    by, across = _dimension(visit, "by") or "model", _dimension(visit, "across")
    top = costs(store, where, by=by, limit=_ROWS + 1)
    rows = top[:_ROWS]
    among = [each.one for each in rows]
    # A call counts in each of its tags, so that their sum is not the total.
    [total] = costs(store, where) or [_nothing(visit)]
    cells = costs(store, where, by=by, across=across, among=among) if across else []
    columns = _columns(cells)
    of = {(each.one, each.other): each.usd for each in cells}
    known = float(total.usd or 0)
    return CostsPage(
        by=by,
        across=across,
        names=NAMES,
        total=total,
        rows=[
            CostRow(
                name=each.one,
                total=each,
                share=float(each.usd or 0) / known if known else 0.0,
                cells=[of.get((each.one, column)) for column in columns[:_COLUMNS]],
                url=state.url(**{by: each.one}) if each.one and by != "template" else None,
            )
            for each in rows
        ],
        columns=columns[:_COLUMNS],
        others=len(columns) > _COLUMNS,
        is_cut=len(top) > _ROWS,
        chart=_chart(visit, by, among[: len(_LINES)]),
        forecast=_forecast(visit),
        unpriced=costs(store, where, by="model", only_unpriced=True, limit=_UNPRICED)
        if total.unpriced_calls
        else [],
        values=values_of(visit),
        budgets=budgets(
            services.metadata.limits.all(visit.project.id),
            services.metadata.limits.uses(visit.project.id),
            state.now,
        ),
        choices=CHOICES,
    )


def _dimension(visit: Visit, name: str) -> CostBy | None:
    wanted = visit.state[name]
    if wanted and wanted not in NAMES:
        raise invalid_query(f"`{name}` must be one of {', '.join(NAMES)}, not {wanted[:40]!r}.")
    return cast("CostBy", wanted) or None


def _nothing(visit: Visit) -> Cost:
    return Cost("", "", visit.state.now, Decimal(0), 0, 0)


def _columns(cells: list[Cost]) -> list[str]:
    """Return the values of the second dimension, the most expensive first."""
    sums: dict[str, Decimal] = {}
    for cell in cells:
        sums[cell.other] = sums.get(cell.other, Decimal(0)) + (cell.usd or 0)
    return sorted(sums, key=lambda name: (-sums[name], name))


def _chart(visit: Visit, by: CostBy, among: list[str]) -> Chart:
    """Return what the most expensive cost over time, each upon the other."""
    start, end, width = visit.state.stretches
    where = visit.state.filter(visit.project.id)
    found = costs(visit.services.store, where, by=by, among=among, width=width) if among else []
    of = {(each.one, each.at): each.usd for each in found}
    times = [start + place * width for place in range((end - start) // width)]
    lines = [
        Line(
            label=one[:60] or f"no {NAMES[by].lower()}",
            values=[number(of.get((one, at), Decimal(0))) for at in times],
            tone=tone,
        )
        for one, tone in zip(among, _LINES, strict=False)
    ]
    return Chart("Cost over time", "usd", times, width, lines, kind="stacked")


def _forecast(visit: Visit) -> Forecast | None:
    now = visit.state.now
    today = floor(now, _DAY)
    where = Filter(visit.project.id, date_from=today - HISTORY, date_to=today + _DAY)
    found = costs(visit.services.store, where, width=_DAY)
    return forecast({each.at.date(): float(each.usd or 0) for each in found}, now)


_ACTIONS: Final[Mapping[str, Callable[[Visit], None]]] = {
    "put-limit": put_limit,
    "remove-limit": remove_limit,
}
_PATH: Final = "/costs"
_MORE: Final = ("by", "across")
PAGES: Final = (
    Page(_PATH, costs_page, name="Costs", key="c", place=5, default_range="30d", more=_MORE),
    Page(_PATH, act, method="POST", default_range="30d", more=_MORE),
)
