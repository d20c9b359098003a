"""The pages of errors, failed assertions and hallucinations: their kinds, and one kind in full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from watchllm_server.errors import invalid_query
from watchllm_server.pages.charts import Chart, Line
from watchllm_server.pages.detail import NAMES, Detail, detail_of
from watchllm_server.pages.narrowing import values_of
from watchllm_server.pages.site import NotFoundError, Page, Visit
from watchllm_server.query.errors import (
    error_affected,
    error_events,
    error_trends,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from watchllm_server.pages.narrowing import Values
    from watchllm_server.query.errors import Affected, ErrorEvent, ErrorGroup, Trouble

_GROUPS: Final = 100
_SAMPLES: Final = 20
TROUBLES: Final[Mapping[Trouble, str]] = {
    "error": "Errors",
    "assertion": "Failed assertions",
    "hallucination": "Hallucinations",
}


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """A kind of errors with its trend, and the address of its page."""

    group: ErrorGroup
    trend: Chart
    url: str


@dataclass(frozen=True, slots=True)
class ErrorsPage:
    """The kinds of errors, the most frequent first."""

    values: Values
    trouble: Trouble
    troubles: list[tuple[str, str, bool]]
    """The name and the address of each list, and whether it is this one."""
    rows: list[ErrorRow]
    chart: Chart | None
    """How many there were of all kinds that are listed; None without any."""
    is_cut: bool
    """Whether there are more kinds than are listed."""


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """One kind of errors: whom it hits, its newest events, and one of them in full."""

    trouble: Trouble
    group: ErrorGroup
    chart: Chart
    affected: list[tuple[str, list[tuple[str, int, str]]]]
    """By what they are told apart: names with how many each has, and where a click leads."""
    sample: Detail | None
    """The newest one, in full."""
    events: list[ErrorEvent]
    """The newest ones."""
    list_url: str


def errors(visit: Visit) -> Response:
    """List the kinds of errors."""
    store, state, trouble = visit.services.store, visit.state, _trouble(visit)
    where = state.filter(visit.project.id)
    width = state.stretches.width
    groups = error_trends(store, where, limit=_GROUPS + 1, width=width, trouble=trouble)
    shown = groups[:_GROUPS]
    rows = [
        ErrorRow(
            group=group,
            trend=_chart(visit, "Trend", trend),
            url=visit.link("/errors/one", fingerprint=group.fingerprint),
        )
        for group, trend in shown
    ]
    sums = [sum(counts) for counts in zip(*(trend for _, trend in shown), strict=True)]
    context = ErrorsPage(
        values=values_of(visit),
        trouble=trouble,
        troubles=[
            (name, state.url(what=None if key == "error" else key), key == trouble)
            for key, name in TROUBLES.items()
        ],
        rows=rows,
        chart=_chart(visit, TROUBLES[trouble], sums) if shown else None,
        is_cut=len(groups) > _GROUPS,
    )
    return visit.render("errors.html", context)


def error(visit: Visit) -> Response:
    """Show one kind of errors."""
    store, state, trouble = visit.services.store, visit.state, _trouble(visit)
    where, wanted = state.filter(visit.project.id), state["fingerprint"]
    width = state.stretches.width
    found = error_trends(store, where, limit=1, width=width, trouble=trouble, fingerprint=wanted)
    if not wanted or not found:
        message = "In this stretch of time there is no error of this kind. Choose more time."
        raise NotFoundError(message)
    [(group, trend)] = found
    affected = error_affected(store, where, wanted, trouble=trouble)
    context = ErrorPage(
        trouble=trouble,
        group=group,
        chart=_chart(visit, "How often", trend),
        affected=[(name, _places(visit, name, each)) for name, each in affected.items() if each],
        sample=detail_of(visit, group.event_id),
        events=error_events(store, where, wanted, limit=_SAMPLES, trouble=trouble),
        list_url=visit.link("/errors", fingerprint=None),
    )
    return visit.render("error.html", context)


def _trouble(visit: Visit) -> Trouble:
    wanted = visit.state["what"] or "error"
    if wanted not in TROUBLES:
        raise invalid_query(f"`what` must be one of {', '.join(TROUBLES)}, not {wanted[:40]!r}.")
    return cast("Trouble", wanted)


def _chart(visit: Visit, title: str, counts: list[int]) -> Chart:
    start, _, width = visit.state.stretches
    times = [start + place * width for place in range(len(counts))]
    line = Line(TROUBLES[_trouble(visit)], [*counts], "error")
    return Chart(title, "count", times, width, [line], kind="bars")


def _places(visit: Visit, name: str, found: list[Affected]) -> list[tuple[str, int, str]]:
    """Return what is affected with how often, and the address that narrows the page to it."""
    return [(each.name, each.occurrences, visit.state.url(**{name: each.name})) for each in found]


_MORE: Final = ("what",)
PAGES: Final = (
    Page("/errors", errors, name="Errors", key="e", place=4, more=_MORE),
    Page("/errors/one", error, more=(*_MORE, "fingerprint", *NAMES)),
)
