"""The page of a project's runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast, get_args

from watchllm_server.errors import invalid_query
from watchllm_server.pages.first_run import Start, start_of
from watchllm_server.pages.narrowing import (
    NAMES,
    check_sort,
    columns_of,
    least_cost,
    least_ms,
    one_address,
    values_of,
)
from watchllm_server.pages.site import Page, Visit
from watchllm_server.query.runs import RunStatus, Whole, page_of_runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from watchllm_server.pages.narrowing import Values
    from watchllm_server.query.events import SortOrder
    from watchllm_server.query.runs import Run, RunSort

_RUNS: Final = 50
_SORTS: Final[Mapping[str, tuple[str, RunSort, SortOrder]]] = {
    "": ("newest first", "started", "desc"),
    "oldest": ("oldest first", "started", "asc"),
    "longest": ("longest first", "duration", "desc"),
    "dearest": ("most expensive first", "cost", "desc"),
    "errors": ("most errors first", "errors", "desc"),
    "largest": ("most events first", "events", "desc"),
}
COLUMNS: Final = {
    "started": "Started",
    "duration": "Took",
    "events": "Events",
    "calls": "Calls",
    "steps": "Steps",
    "errors": "Errors",
    "tokens": "Tokens in / out",
    "cost": "Cost",
    "p50": "Latency p50",
    "users": "User",
    "releases": "Release",
    "env": "Environment",
}
"""The columns that the list may have beside the run, by the names that addresses have for them."""
_DEFAULT: Final = ("started", "duration", "calls", "steps", "errors", "tokens", "cost")


@dataclass(frozen=True, slots=True)
class RunsPage:
    """The runs that match."""

    values: Values
    runs: list[Run]
    shown: tuple[str, ...]
    """The names of the columns to show."""
    columns: list[tuple[str, str, bool]]
    """All that may be shown: name, heading, and whether each is."""
    sorts: list[tuple[str, str]]
    """By name the orders beside the newest first."""
    statuses: list[tuple[str, str]]
    newest_url: str
    """The beginning of the list, where this is another page of it."""
    older_url: str
    """The next page of the list, if there is one."""
    losses: dict[str, int]
    """How many events the senders lost, by reason."""
    start: Start | None
    """How to send a first run, while the project has none."""


def runs(visit: Visit) -> Response:
    """Show the runs that match what the address says."""
    if elsewhere := one_address(visit):
        return elsewhere
    services, state, project_id = visit.services, visit.state, visit.project.id
    shown = columns_of(state, COLUMNS, _DEFAULT)
    check_sort(state, _SORTS)
    if state["status"] not in ("", *get_args(RunStatus)):
        known = ", ".join(get_args(RunStatus))
        raise invalid_query(f"`status` of a run must be one of {known}.")
    statuses = cast("tuple[RunStatus, ...]", (state["status"],) if state["status"] else ())
    _, sort_by, sort_order = _SORTS[state["sort"]]
    page = page_of_runs(
        services.store,
        replace(state.filter(project_id), statuses=()),
        Whole(statuses, least_cost(state), least_ms(state)),
        limit=_RUNS,
        cursor=state["cursor"] or None,
        sort_by=sort_by,
        sort_order=sort_order,
    )
    # Where nothing is asked for and nothing is listed, there may be nothing at all.
    start = start_of(visit) if not page.runs and not state.given else None
    context = RunsPage(
        values=values_of(visit),
        runs=page.runs,
        shown=shown,
        columns=[(name, heading, name in shown) for name, heading in COLUMNS.items()],
        sorts=[(name, label) for name, (label, *_) in _SORTS.items() if name],
        statuses=[(status, status) for status in get_args(RunStatus)],
        newest_url=state.url() if state["cursor"] else "",
        older_url=state.url(cursor=page.next_cursor) if page.next_cursor else "",
        losses=services.metadata.losses(project_id),
        start=start if start is not None and not start.run_url else None,
    )
    return visit.render("runs.html", context)


PAGES: Final = (Page("/runs", runs, name="Runs", key="r", place=2, all_times=True, more=NAMES),)
