"""How to send a first event: the lines to paste, and a light that goes on when it has arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchllm_server.pages.site import Page, Visit, run_url
from watchllm_server.query.events import page_of_events
from watchllm_server.query.filter import Filter

if TYPE_CHECKING:
    from starlette.responses import Response

# What htmx takes as the last answer of a question that it repeats.
_STOP: Final = 286


@dataclass(frozen=True, slots=True)
class Start:
    """What an app needs to send to this server."""

    base_url: str
    """What it takes as WATCHLLM_BASE_URL."""
    run_url: str
    """The page of the run of the newest event; empty while there is none."""
    key: str = ""
    """The secret of a key that was just made, which is shown this once."""


def start_of(visit: Visit, key: str = "") -> Start:
    """Return what an app needs to send to this server's project."""
    newest = page_of_events(
        visit.services.store, Filter(project_id=visit.project.id), limit=1
    ).events
    return Start(
        base_url=f"{visit.request.base_url}v1",
        run_url=run_url(visit.project.id, newest[0].run_id) if newest else "",
        key=key,
    )


def first_run(visit: Visit) -> Response:
    """Show the lines to paste."""
    return visit.render("first_run.html", start_of(visit))


def arrival(visit: Visit) -> Response:
    """Answer the part of the page that says whether an event has arrived, as htmx asks for it."""
    start = start_of(visit)
    return visit.render("arrival.html", start, _STOP if start.run_url else 200)


PAGES: Final = (Page("/start", first_run), Page("/start/arrival", arrival))
