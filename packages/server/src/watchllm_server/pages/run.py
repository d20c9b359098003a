"""The page of one run: its outline, and beside it one of its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchllm_server.pages.detail import NAMES, Detail, detail_of
from watchllm_server.pages.live import goes_on, live_url
from watchllm_server.pages.outline import Row, rows_of_run
from watchllm_server.pages.site import NotFoundError, Page, Visit, project_url, run_url
from watchllm_server.query.neighbours import Neighbours, neighbours_of_run
from watchllm_server.query.outline import outline_of_run
from watchllm_server.query.runs import Run, run_by_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from watchllm_server.query.outline import OutlineEvent

MOST_EVENTS: Final = 10_000
"""Events of a run that its outline has."""

_ROWS: Final = 500
_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run with a stretch of its outline, and one of its events. Some addresses may be empty."""

    run: Run
    rows: list[Row]
    rows_url: str
    """The page with the rows after these."""
    first_rows_url: str
    """The page with the first rows, where these are others."""
    chosen: str
    """The id of the event that is shown in full."""
    as_tree: bool
    left_out: int
    """Events beyond those that an outline has."""
    detail: Detail | None
    """The event in full; None where htmx asks for rows alone."""
    older_url: str
    """The run that began before."""
    newer_url: str
    """The run that began after."""
    live_url: str
    """Where the page hears of new events, while there may be such."""
    events_url: str
    """The list of all events of the run."""


def run(visit: Visit) -> Response:
    """Show one run: its outline, and an event in full; to htmx the event alone if it asks so."""
    store, project_id, state = visit.services.store, visit.project.id, visit.state
    run_id = visit.request.path_params["run_id"] or state["id"]
    found = run_by_id(store, project_id, run_id)
    outline = outline_of_run(store, project_id, found, limit=MOST_EVENTS) if found else []
    # What is erased between the two questions is gone.
    if found is None or not outline:
        raise NotFoundError("There is no run of this id in the project.")
    chosen = state["event"] or _worth_a_look(outline)
    headers = visit.request.headers
    if headers.get("hx-target") == "detail":
        return visit.render("parts/detail.html", detail_of(visit, chosen, _before(outline, chosen)))
    # What else htmx asks for is rows, unless it goes back to a page that was shown before.
    is_whole = not visit.is_part or "hx-history-restore-request" in headers
    as_tree = state["view"] != "time"
    begin = int(state["rows"]) if state["rows"].isdecimal() and len(state["rows"]) <= _DIGITS else 0
    end = begin + _ROWS
    rows = rows_of_run(outline, as_tree=as_tree, shown=slice(begin, end))
    beside = neighbours_of_run(store, project_id, found) if is_whole else Neighbours(None, None)
    context = RunPage(
        run=found,
        rows=rows,
        rows_url=state.url(rows=str(end)) if end < len(outline) else "",
        first_rows_url=state.url(rows=None) if begin else "",
        chosen=chosen,
        as_tree=as_tree,
        left_out=found.events - len(outline),
        detail=detail_of(visit, chosen, _before(outline, chosen)) if is_whole else None,
        older_url=run_url(project_id, beside.older) if beside.older is not None else "",
        newer_url=run_url(project_id, beside.newer) if beside.newer is not None else "",
        live_url=live_url(project_id, run_id) if goes_on(visit, found) else "",
        events_url=project_url(project_id, "/events", run=run_id, range="all"),
    )
    return visit.render("run.html", context)


def _worth_a_look(outline: Sequence[OutlineEvent]) -> str:
    """Return the event to show first: one that failed, else a call, else any."""

    def worth(event: OutlineEvent) -> tuple[bool, bool]:
        failed = event.event_type == "error" or event.status in ("error", "timeout")
        return failed, event.event_type == "prompt_call"

    return max(outline, key=worth).event_id


def _before(outline: Sequence[OutlineEvent], chosen: str) -> str:
    """Return the last event of the same type before one, or an empty text."""
    kinds: dict[str, str] = {}
    for event in outline:
        if event.event_id == chosen:
            return kinds.get(event.event_type, "")
        kinds[event.event_type] = event.event_id
    return ""


PAGES: Final = (Page("/runs/{run_id:path}", run, more=("view", "rows", *NAMES)),)
