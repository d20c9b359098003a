"""The pages: a project's runs, and one run with its events. They read without JavaScript."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from watchllm_server.access import SESSION_SECONDS, Visitor
from watchllm_server.errors import MetadataUnavailableError, Problem, StoreError
from watchllm_server.pages import format as show
from watchllm_server.pages.contexts import LoginPage, ProblemPage, RunPage, RunsPage
from watchllm_server.pages.event_view import event_views
from watchllm_server.query.cursor import CursorError
from watchllm_server.query.events import page_of_events
from watchllm_server.query.filter import Filter
from watchllm_server.query.runs import page_of_runs, run_by_id

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from watchllm_server.access import Access
    from watchllm_server.metadata import Metadata, Project
    from watchllm_server.store.base import EventStore

_RUNS = 50
_EVENTS = 200
_MAX_FORM = 10_000
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_HTTPS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}


class _NotFoundError(Exception):
    """There is no such project or run."""


class Pages:
    """Show what a store holds to whom `access` lets in."""

    def __init__(self, store: EventStore, metadata: Metadata, access: Access) -> None:
        self._access = access
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
            Route("/login", self.login_form, methods=["GET"]),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/logout", self.log_out, methods=["POST"]),
            Route("/projects/{project_id}/runs", self.runs, methods=["GET"]),
            Route("/projects/{project_id}/runs/{run_id:path}", self.run, methods=["GET"]),
            Mount("/static", StaticFiles(directory=static)),
        ]

    async def home(self, request: Request) -> Response:
        """Lead to the runs of the first project."""
        return await self._show(request, self._home)

    async def login_form(self, request: Request) -> Response:
        """Ask for the password."""
        if not self._access.needs_login:
            return RedirectResponse("/", 303, headers=self._headers(request))
        return self._login_page(request, request.query_params.get("next", ""))

    async def log_in(self, request: Request) -> Response:
        """Begin a session when the password is right."""
        try:
            fields = await _form(request)
            self._access.check_login_form(request)
            wanted = fields.get("next", "")
            if not self._access.knows_password(request, fields.get("password", "")):
                return self._login_page(request, wanted, "That is not the password.", 401)
            token = await run_in_threadpool(self._access.open_session)
        except Problem as problem:
            return self._refusal(request, problem)
        answer = RedirectResponse(_own_address(wanted), 303, headers=self._headers(request))
        self._set_cookie(request, answer, token, SESSION_SECONDS)
        return answer

    async def log_out(self, request: Request) -> Response:
        """End the session."""
        try:
            self._access.check_form(request, await _form(request))
        except Problem as problem:
            return self._refusal(request, problem)
        await run_in_threadpool(self._access.log_out, request)
        answer = RedirectResponse("/login", 303, headers=self._headers(request))
        self._set_cookie(request, answer, "", 0)
        return answer

    async def runs(self, request: Request) -> Response:
        """Show a project's runs, the newest first."""
        return await self._show(request, self._runs)

    async def run(self, request: Request) -> Response:
        """Show one run and its events in order."""
        return await self._show(request, self._run)

    async def _show(self, request: Request, page: Any) -> Response:
        try:
            return await run_in_threadpool(self._answer, request, page)
        except _NotFoundError as error:
            return self._problem(request, "Not found", str(error), 404)
        except CursorError:
            message = "This address is no page of the list. Start again at its beginning."
            return self._problem(request, "No such page", message, 400)
        except Problem as problem:
            return self._refusal(request, problem)
        except (StoreError, MetadataUnavailableError):
            message = "The data cannot be read now. Load this page again in a moment."
            return self._problem(request, "Not available", message, 503)

    def _answer(self, request: Request, page: Any) -> Response:
        """Answer with a page, or lead to the login. Nothing is shown that has not come by here."""
        visitor = self._access.visitor(request)
        if visitor is None:
            address = f"/login?{urlencode({'next': _address(request)})}"
            return RedirectResponse(address, 303, headers=self._headers(request))
        request.state.visitor = visitor
        answer: Response = page(request)
        return answer

    def _home(self, request: Request) -> Response:
        projects = self._metadata.projects()
        if not projects:
            message = "There is no project yet. Make one with: watchllm projects create NAME"
            return self._problem(request, "No project", message, 404)
        return RedirectResponse(runs_url(projects[0].id), 307, headers=self._headers(request))

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
        return self._render(request, "runs.html", context)

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
        return self._render(request, "run.html", context)

    def _projects(self, request: Request) -> tuple[Project, list[Project]]:
        projects = self._metadata.projects()
        wanted = request.path_params["project_id"]
        for project in projects:
            if project.id == wanted:
                return project, projects
        raise _NotFoundError("There is no project of this id.")

    def _render(
        self, request: Request, template: str, context: Any, status: int = 200
    ) -> HTMLResponse:
        visitor = getattr(request.state, "visitor", Visitor())
        text = self._templates.get_template(template).render(page=context, visitor=visitor)
        # A lone half of a surrogate pair can be shown but not sent.
        return HTMLResponse(text.encode("utf-8", "replace"), status, headers=self._headers(request))

    def _headers(self, request: Request) -> dict[str, str]:
        return _HEADERS | (_HTTPS_HEADERS if self._access.is_https(request) else {})

    def _problem(self, request: Request, title: str, message: str, status: int) -> HTMLResponse:
        return self._render(request, "problem.html", ProblemPage(title, message), status)

    def _refusal(self, request: Request, problem: Problem) -> Response:
        title = {403: "Not from here", 429: "Too many attempts"}.get(problem.status, "Not possible")
        answer = self._problem(request, title, problem.message, problem.status)
        answer.headers.update(problem.headers)
        return answer

    def _login_page(
        self, request: Request, wanted: str, message: str = "", status: int = 200
    ) -> Response:
        return self._render(request, "login.html", LoginPage(_own_address(wanted), message), status)

    def _set_cookie(self, request: Request, answer: Response, token: str, seconds: int) -> None:
        answer.set_cookie(
            self._access.cookie_name(request),
            token,
            max_age=seconds,
            path="/",
            secure=self._access.is_https(request),
            httponly=True,
            samesite="lax",
        )


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


def _address(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.scope['raw_path'].decode('latin-1')}{query}"


def _own_address(wanted: str) -> str:
    """Return where a login leads: a page of ours, never where a link from elsewhere says."""
    return wanted if re.fullmatch(r"/projects/[!-\[\]-~]*", wanted) else "/"


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a small form."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM:
            raise Problem(413, "body_too_large", "The form is too large.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
