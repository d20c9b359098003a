"""The page of one run with its events in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchllm_server.pages import format as show
from watchllm_server.pages.event_view import EventView, event_views
from watchllm_server.pages.site import NotFoundError, Page, Visit
from watchllm_server.query.events import page_of_events
from watchllm_server.query.filter import Filter
from watchllm_server.query.runs import run_by_id

if TYPE_CHECKING:
    from starlette.responses import Response

    from watchllm_server.query.runs import Run

_EVENTS: Final = 200


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run with its events in order."""

    run: Run
    events: list[EventView]
    duration: str
    """From the beginning of the first event to the end of the last one shown."""
    next_url: str | None
    """The page of the events after these."""
    first_page: bool


def run(visit: Visit) -> Response:
    """Show one run and its events in order."""
    store, project, state = visit.services.store, visit.project, visit.state
    run_id = visit.request.path_params["run_id"] or state["id"]
    found = run_by_id(store, project.id, run_id)
    if found is None:
        raise NotFoundError("There is no run of this id in the project.")
    where = Filter(project_id=project.id, run_id=run_id)
    cursor = state["cursor"] or None
    page = page_of_events(store, where, limit=_EVENTS, cursor=cursor, sort_order="asc")
    views, span = event_views(page.events, found.started_at)
    context = RunPage(
        run=found,
        events=views,
        duration=show.milliseconds(span.total_seconds() * 1_000),
        next_url=state.url(cursor=page.next_cursor) if page.next_cursor else None,
        first_page=not cursor,
    )
    return visit.render("run.html", context)


PAGES: Final = (Page("/runs/{run_id:path}", run, default_range="all", more=("id",)),)
