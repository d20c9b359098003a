"""What the overview loads after itself, and pages of their own: the most, and what changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from watchllm_server.errors import invalid_query
from watchllm_server.pages.site import Page, Visit
from watchllm_server.query.changes import changes
from watchllm_server.query.profiles import profiles
from watchllm_server.query.totals import totals_by_group

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from starlette.responses import Response

    from watchllm_server.query.changes import Changes
    from watchllm_server.query.filter import Filter

By = Literal["model", "user", "tag", "release"]
Order = Literal["cost", "errors", "latency"]

OVERVIEW: Final = "/overview"
"""The path of the page that loads them."""

_GROUPS: Final = 50
_ROWS: Final = 10
_NAMES: Final[Mapping[By, str]] = {
    "model": "Models",
    "user": "Users",
    "tag": "Tags",
    "release": "Releases",
}


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
class TopPage:
    """Models, users, tags or releases, those first that have the most of something."""

    path: str
    """Of the page that the rows are shown on: the overview's, or their own."""
    by: By
    order: Order
    groups: list[tuple[str, str]]
    """What the rows may be: the value for the address, and its name."""
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """What is new or much dearer."""

    found: Changes | None
    """None when there is nothing before to compare with."""


def top(visit: Visit) -> Response:
    """Show what has the most of something."""
    path = OVERVIEW if visit.is_part else _TOP
    by, order = chosen_top(visit)
    where = visit.state.filter(visit.project.id)
    rows = _rows(visit, path, where, by, order)
    return visit.render("overview_top.html", TopPage(path, by, order, [*_NAMES.items()], rows))


def changed(visit: Visit) -> Response:
    """Show what changed."""
    state, project_id = visit.state, visit.project.id
    found = changes(visit.services.store, state.filter(project_id), state.before(project_id))
    return visit.render("overview_changes.html", ChangesPage(found))


def chosen_top(visit: Visit) -> tuple[By, Order]:
    """Return what is listed, and what has the most of what comes first.

    Raises the Problem that answers 400 to anything that there is not.
    """
    by: Any = _chosen(visit.state["by"] or "model", By)
    order: Any = _chosen(visit.state["sort"] or "cost", Order)
    return by, order


def _chosen(value: str, choices: Any) -> str:
    allowed = get_args(choices)
    if value not in allowed:
        raise invalid_query(f"Here one may choose {', '.join(allowed)}, but not {value[:40]!r}.")
    return value


def _rows(visit: Visit, path: str, where: Filter, by: By, order: Order) -> list[Row]:
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
            visit.link(path, **{by: row[0]}),
            *row[1:],
            share=round(100 * float(row[place] or 0) / most, 1),
        )
        for row in found[:_ROWS]
    ]


_TOP: Final = f"{OVERVIEW}/top"
_BY: Final = ("by",)
PAGES: Final = (
    Page(_TOP, top, more=_BY),
    Page(f"{OVERVIEW}/changes", changed, more=_BY),
)
