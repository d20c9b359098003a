"""The pages: a project's runs, and one run with its events. They read without JavaScript."""

from __future__ import annotations

import ipaddress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from watchllm_server.errors import StoreError
from watchllm_server.pages import format as show
from watchllm_server.pages.contexts import ProblemPage, RunPage, RunsPage
from watchllm_server.pages.event_view import event_views
from watchllm_server.query.cursor import CursorError
from watchllm_server.query.events import page_of_events
from watchllm_server.query.filter import Filter
from watchllm_server.query.runs import page_of_runs, run_by_id

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from watchllm_server.metadata import Metadata, Project
    from watchllm_server.store.base import EventStore

_RUNS = 50
_EVENTS = 200
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _NotFoundError(Exception):
    """There is no such project or run."""


class Pages:
    """Show what a store holds to a browser on the same machine."""

    def __init__(self, store: EventStore, metadata: Metadata) -> None:
        self._store = store
        self._metadata = metadata
        self._templates = Environment(
            loader=PackageLoader("watchllm_server.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "cost": show.cost,
            "milliseconds": show.milliseconds,
            "count": show.count,
            "moment": show.moment,
        }
        self._templates.globals |= {"runs_url": runs_url, "run_url": run_url}

    def routes(self) -> list[BaseRoute]:
        """Return the routes, for the application."""
        static = Path(str(files("watchllm_server.pages") / "static"))
        return [
            Route("/", self.home, methods=["GET"]),
            Route("/projects/{project_id}/runs", self.runs, methods=["GET"]),
            Route("/projects/{project_id}/runs/{run_id:path}", self.run, methods=["GET"]),
            Mount("/static", StaticFiles(directory=static)),
        ]

    async def home(self, request: Request) -> Response:
        """Lead to the runs of the first project."""
        if refused := self._refuse(request):
            return refused
        projects = await run_in_threadpool(self._metadata.projects)
        if not projects:
            message = "There is no project yet. Make one with: watchllm projects create NAME"
            return self._problem("No project", message, 404)
        return RedirectResponse(runs_url(projects[0].id), 307, headers=_HEADERS)

    async def runs(self, request: Request) -> Response:
        """Show a project's runs, the newest first."""
        return await self._show(request, self._runs)

    async def run(self, request: Request) -> Response:
        """Show one run and its events in order."""
        return await self._show(request, self._run)

    async def _show(self, request: Request, page: Any) -> Response:
        if refused := self._refuse(request):
            return refused
        try:
            return await run_in_threadpool(page, request)
        except _NotFoundError as error:
            return self._problem("Not found", str(error), 404)
        except CursorError:
            message = "This address is no page of the list. Start again at its beginning."
            return self._problem("No such page", message, 400)
        except StoreError:
            message = "The event store cannot answer now. Load this page again in a moment."
            return self._problem("Not available", message, 503)

    def _runs(self, request: Request) -> Response:
        project, projects = self._projects(request)
        cursor = request.query_params.get("before")
        where = Filter(project_id=project.id)
        page = page_of_runs(self._store, where, limit=_RUNS, cursor=cursor)
        older = page.next_cursor
        context = RunsPage(
            project=project,
            projects=projects,
            runs=page.runs,
            older_url=_with(runs_url(project.id), before=older) if older else None,
            first_page=cursor is None,
            losses=self._metadata.losses(project.id),
            base_url=f"{request.base_url}v1",
        )
        return self._render("runs.html", context)

    def _run(self, request: Request) -> Response:
        project, projects = self._projects(request)
        run_id = request.path_params["run_id"] or request.query_params.get("id", "")
        run = run_by_id(self._store, project.id, run_id)
        if run is None:
            raise _NotFoundError("There is no run of this id in the project.")
        cursor = request.query_params.get("after")
        where = Filter(project_id=project.id, run_id=run_id)
        page = page_of_events(self._store, where, limit=_EVENTS, cursor=cursor, sort_order="asc")
        views, span = event_views(page.events, run.started_at)
        after = page.next_cursor
        address = run_url(project.id, run_id)
        context = RunPage(
            project=project,
            projects=projects,
            run=run,
            events=views,
            duration=show.milliseconds(span.total_seconds() * 1_000),
            next_url=_with(address, after=after) if after else None,
            first_page=cursor is None,
        )
        return self._render("run.html", context)

    def _projects(self, request: Request) -> tuple[Project, list[Project]]:
        projects = self._metadata.projects()
        wanted = request.path_params["project_id"]
        for project in projects:
            if project.id == wanted:
                return project, projects
        raise _NotFoundError("There is no project of this id.")

    def _render(self, template: str, context: Any, status: int = 200) -> Response:
        text = self._templates.get_template(template).render(page=context)
        # A lone half of a surrogate pair can be shown but not sent.
        return HTMLResponse(text.encode("utf-8", "replace"), status, headers=_HEADERS)

    def _problem(self, title: str, message: str, status: int) -> Response:
        return self._render("problem.html", ProblemPage(title, message), status)

    def _refuse(self, request: Request) -> Response | None:
        """Refuse what does not come from this machine under one of its own names.

        The name matters: a page elsewhere may give its own name our address (DNS rebinding) and
        have its reader's browser fetch from here.
        """
        client = request.client.host if request.client else ""
        if _is_loopback(client) and _is_loopback(_host_name(request.headers.get("host", ""))):
            return None
        message = (
            "The pages are open only to a browser on the server's own machine, at "
            "http://127.0.0.1 or http://localhost."
        )
        return self._problem("Not from here", message, 403)


def runs_url(project_id: str) -> str:
    """Return the address of the page of runs."""
    return f"/projects/{quote(project_id, safe='')}/runs"


def run_url(project_id: str, run_id: str) -> str:
    """Return the address of the page of one run; a run's id may be any text."""
    text = quote(run_id.encode("utf-8", "replace"), safe="")
    # A browser takes the segments . and .. out of an address, percent-encoded or not.
    return f"{runs_url(project_id)}/{f'?id={text}' if text in {'.', '..'} else text}"


def _with(address: str, **values: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(values)}"


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
