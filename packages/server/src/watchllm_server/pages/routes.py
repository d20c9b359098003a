"""All pages, in one list. How to add one is written in `site.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchllm_server.pages import (
    cache,
    costs,
    errors,
    event,
    events,
    first_run,
    live,
    overview,
    prices,
    prompts,
    releases,
    run,
    runs,
    settings,
    users,
)
from watchllm_server.pages.login import Login
from watchllm_server.pages.site import Site

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from watchllm_server.pages.services import Services

PAGES: Final = (
    *overview.PAGES,
    *first_run.PAGES,
    *runs.PAGES,
    *run.PAGES,
    *live.PAGES,
    *events.PAGES,
    *event.PAGES,
    *errors.PAGES,
    *costs.PAGES,
    *prices.PAGES,
    *cache.PAGES,
    *users.PAGES,
    *prompts.PAGES,
    *releases.PAGES,
    *settings.PAGES,
)


def page_routes(services: Services) -> list[BaseRoute]:
    """Return the routes of all pages, for the application."""
    site = Site(services, PAGES)
    return [*Login(site).routes(), *site.routes()]
