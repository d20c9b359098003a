"""The page of a project's runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchllm_server.pages.site import Page, Visit
from watchllm_server.query.runs import page_of_runs

if TYPE_CHECKING:
    from starlette.responses import Response

    from watchllm_server.query.runs import Run

_RUNS: Final = 50


@dataclass(frozen=True, slots=True)
class RunsPage:
    """The runs, the newest first."""

    runs: list[Run]
    older_url: str | None
    """The page of the runs before these."""
    first_page: bool
    losses: dict[str, int]
    """How many events the senders lost, by reason."""
    base_url: str
    """What an app takes as WATCHLLM_BASE_URL, shown while there are no runs."""


def runs(visit: Visit) -> Response:
    """Show a project's runs, the newest first."""
    services, state = visit.services, visit.state
    where = state.filter(visit.project.id)
    page = page_of_runs(services.store, where, limit=_RUNS, cursor=state["cursor"] or None)
    context = RunsPage(
        runs=page.runs,
        older_url=state.url(cursor=page.next_cursor) if page.next_cursor else None,
        first_page=not state["cursor"],
        losses=services.metadata.losses(visit.project.id),
        base_url=f"{visit.request.base_url}v1",
    )
    return visit.render("runs.html", context)


PAGES: Final = (Page("/runs", runs, name="Runs", key="r", place=2, default_range="all"),)
