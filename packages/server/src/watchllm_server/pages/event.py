"""The page of one event: the address by which it is shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchllm_server.pages.detail import NAMES, detail_of
from watchllm_server.pages.site import Page, Visit

if TYPE_CHECKING:
    from starlette.responses import Response


def event(visit: Visit) -> Response:
    """Show one event in full."""
    event_id = visit.request.path_params["event_id"] or visit.state["id"]
    return visit.render("event.html", detail_of(visit, event_id))


PAGES: Final = (Page("/events/{event_id:path}", event, more=NAMES),)
