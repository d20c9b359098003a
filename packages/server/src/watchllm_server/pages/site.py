"""The site: what every page goes through, from the request to the answer.

To add a page:

1. Put the question into `query/` (store, filter) → dataclass, its SQL into `store/queries/`.
2. Make `pages/NAME.py`: a documented dataclass of what the template shows, a function that takes a
   `Visit` and returns `visit.render("NAME.html", context)`, and `PAGES`, which lists a `Page` for
   each of its addresses. `name`, `key` and `place` put one into the navigation.
3. Make `templates/NAME.html`, which extends `base.html` and uses the macros of `templates/parts/`.
4. Name the module in `pages/routes.py`.
5. Walk it in `tests/browser/`, where every page of the navigation is looked at as it is.

A function runs on a thread, after the project was found and the visitor let in; for a POST also
after the form was checked, which is then in `visit.form`. What goes wrong is raised: a `Problem`,
`NotFoundError`, `CursorError` and `StoreError` each become a page that says so.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from watchllm_server.access import Visitor
from watchllm_server.errors import MetadataUnavailableError, Problem, StoreError
from watchllm_server.observability import note_store_failure
from watchllm_server.pages import format as show
from watchllm_server.pages.assets import Assets, takes_gzip
from watchllm_server.pages.filters import RANGES, Range, State, read_state
from watchllm_server.pages.words import visible
from watchllm_server.query.cursor import CursorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from watchllm_server.metadata import Project
    from watchllm_server.pages.services import Services

_T = TypeVar("_T")
_MAX_FORM = 100_000
_SMALL = 500
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HTTPS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}
_TITLES = {
    400: "This address cannot be read",
    403: "Not from here",
    404: "Not found",
    429: "Too many attempts",
    503: "Not available",
}


class NotFoundError(Exception):
    """There is no such project, run or whatever a page is about: a sentence that says so."""


@dataclass(frozen=True, slots=True)
class Page:
    """An address below that of a project, and what answers it."""

    path: str
    """Below /projects/{project_id}, such as `/runs/{run_id:path}`."""
    answer: Callable[[Visit], Response]
    name: str = ""
    """What the navigation calls it; empty when it is not there."""
    key: str = ""
    """The letter that leads to it after g."""
    place: int = 0
    """Where the navigation has it, from 1 on."""
    method: Literal["GET", "POST"] = "GET"
    default_range: Range = "24h"
    all_times: bool = False
    """Whether it may be asked for all times, as a list can that has no chart."""
    more: tuple[str, ...] = ()
    """What its address may say that no other's does: see filters.read_state."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for a page by someone who may look, with all that its answer is made from."""

    request: Request
    services: Services
    site: Site
    page: Page
    project: Project
    projects: list[Project]
    """All of them, for the switch between them."""
    state: State
    """What the address says: time, environment and so on."""
    form: Mapping[str, str] = field(default_factory=dict)
    """The checked fields of a POST."""

    @property
    def is_part(self) -> bool:
        """Return whether htmx asks, which puts the content into a page that is shown already."""
        return "hx-request" in self.request.headers

    def chosen(self, actions: Mapping[str, _T]) -> _T:
        """Return what the form's field `do` names; raise the Problem that answers 400 to no such.

        A form is sent to the address of its page, so that the page that answers it has links and
        forms that lead somewhere.
        """
        wanted = self.form.get("do", "")
        if wanted not in actions:
            message = "The form names nothing that can be done here."
            raise Problem(400, "invalid_request", message)
        return actions[wanted]

    def render(self, template: str, context: Any, status: int = 200) -> Response:
        """Return the page that a template makes of a context."""
        return self.site.render(self.request, template, context, status)

    def redirect(self, path: str) -> Response:
        """Return the answer that leads a browser to a page of the project, as after a POST."""
        return RedirectResponse(
            project_url(self.project.id, path), 303, headers=self.site.headers(self.request)
        )

    def url(self, path: str) -> str:
        """Return the address of another page of the project for the same time and environment."""
        return project_url(self.project.id, path) + self.state.shared()

    def link(self, path: str, **changes: str | None) -> str:
        """Return the address of another page with all that narrows this one, and with changes."""
        return replace(self.state, path=project_url(self.project.id, path)).url(**changes)


@dataclass(frozen=True, slots=True)
class ProblemPage:
    """A page that says in a sentence why there is nothing to show."""

    title: str
    message: str
    again: bool = False
    """Whether the page loads itself again after some seconds."""


class Site:
    """Let visitors in, answer with pages, and say in a page what went wrong."""

    def __init__(self, services: Services, pages: Sequence[Page]) -> None:
        self.services = services
        self.assets = Assets()
        self._pages = pages
        self._nav = sorted((page for page in pages if page.name), key=lambda page: page.place)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the pages and of what they load."""
        static = Route("/static/{name:path}", self._static, methods=["GET"])
        pages = [
            Route(
                f"/projects/{{project_id}}{page.path}", self._endpoint(page), methods=[page.method]
            )
            for page in self._pages
        ]
        return [Route("/", self._home, methods=["GET"]), *pages, static]

    def render(
        self,
        request: Request,
        template: str,
        context: Any,
        status: int = 200,
    ) -> Response:
        """Return a page, packed for browsers that unpack it."""
        text = (
            _templates()
            .get_template(template)
            .render(
                page=context,
                asset=self.assets.address,
                visit=getattr(request.state, "visit", None),
                nav=self._nav,
                visitor=getattr(request.state, "visitor", Visitor()),
            )
        )
        # A lone half of a surrogate pair can be shown but not sent.
        content = text.encode("utf-8", "replace")
        headers = self.headers(request) | {"Vary": "Accept-Encoding"}
        if takes_gzip(request) and len(content) > _SMALL:
            content = gzip.compress(content, compresslevel=5, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return Response(content, status, headers, "text/html")

    def headers(self, request: Request) -> dict[str, str]:
        """Return the headers that protect a page."""
        return _HEADERS | (_HTTPS_HEADERS if self.services.access.is_https(request) else {})

    def refuse(self, request: Request, problem: Problem) -> Response:
        """Return the page that says what a problem is."""
        title = _TITLES.get(problem.status, "Not possible")
        again = problem.status == 503  # noqa: PLR2004 - the status itself
        page = ProblemPage(title, problem.message, again)
        answer = self.render(request, "problem.html", page, problem.status)
        answer.headers.update(problem.headers)
        return answer

    async def guarded(self, request: Request, answer: Callable[[Request], Response]) -> Response:
        """Answer on a thread, and turn what can go wrong into a page that says so."""
        try:
            return await run_in_threadpool(answer, request)
        except NotFoundError as error:
            return self.refuse(request, Problem(404, "not_found", str(error)))
        except CursorError:
            message = "This address is no page of the list. Start again at its beginning."
            return self.refuse(request, Problem(400, "invalid_query", message))
        except Problem as problem:
            return self.refuse(request, problem)
        except (StoreError, MetadataUnavailableError) as error:
            if isinstance(error, StoreError):
                note_store_failure(error)
            message = "The data cannot be read now. This page tries again by itself."
            return self.refuse(request, Problem(503, "unavailable", message))

    async def _static(self, request: Request) -> Response:
        return self.assets.answer(request)

    async def _home(self, request: Request) -> Response:
        """Lead to the first page of the first project."""
        return await self.guarded(request, self._first)

    def _endpoint(self, page: Page) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            form: Mapping[str, str] = {}
            if page.method == "POST":
                try:
                    form = await read_form(request, most=_MAX_FORM)
                    self.services.access.check_form(request, form)
                except Problem as problem:
                    return self.refuse(request, problem)
            return await self.guarded(request, lambda request: self._answer(request, page, form))

        return endpoint

    def _answer(self, request: Request, page: Page, form: Mapping[str, str]) -> Response:
        """Answer with a page, or lead to the login. No page of a project is shown past this."""
        visitor = self._visitor(request)
        if isinstance(visitor, Response):
            return visitor
        projects = self.services.metadata.projects()
        wanted = request.path_params["project_id"]
        project = next((each for each in projects if each.id == wanted), None)
        if project is None:
            raise NotFoundError("There is no project of this id.")
        state = read_state(
            request.scope["raw_path"].decode("latin-1"),
            request.query_params,
            self.services.clock.now(),
            default=page.default_range,
            all_times=page.all_times,
            more=page.more,
        )
        visit = Visit(request, self.services, self, page, project, projects, state, form)
        request.state.visit = visit
        return page.answer(visit)

    def _first(self, request: Request) -> Response:
        visitor = self._visitor(request)
        if isinstance(visitor, Response):
            return visitor
        projects = self.services.metadata.projects()
        if not projects:
            message = "There is no project yet. Make one with: watchllm projects create NAME"
            raise NotFoundError(message)
        first = project_url(projects[0].id, self._nav[0].path)
        return RedirectResponse(first, 307, headers=self.headers(request))

    def _visitor(self, request: Request) -> Visitor | Response:
        """Return who looks at a page, or the answer that leads to the login."""
        visitor = self.services.access.visitor(request)
        if visitor is None:
            address = f"/login?{urlencode({'next': _address(request)})}"
            return RedirectResponse(address, 303, headers=self.headers(request))
        request.state.visitor = visitor
        return visitor


def compile_templates() -> None:
    """Compile what pages are made from, so that their first visitors do not wait for it."""
    for name in _templates().list_templates():
        _templates().get_template(name)


@cache
def _templates() -> Environment:
    """Return the templates, each of which a process compiles once."""
    found = Environment(
        loader=PackageLoader("watchllm_server.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= show.FILTERS | {"visible": visible}
    found.globals |= {
        "project_url": project_url,
        "run_url": run_url,
        "event_url": event_url,
        "ranges_of": lambda lists: [each for each in RANGES.items() if lists or each[0] != "all"],
    }
    return found


def project_url(project_id: str, path: str, **query: str) -> str:
    """Return the address of a project's page; what is empty is left out of its query."""
    given = {name: _bytes(text) for name, text in query.items() if text}
    address = f"/projects/{quote(project_id, safe='')}{path}"
    return f"{address}?{urlencode(given)}" if given else address


def run_url(project_id: str, run_id: str, *, below: str = "/runs", **query: str) -> str:
    """Return the address of the page of one run; a run's id may be any text."""
    # A browser takes the segments . and .. out of an address, percent-encoded or not.
    if run_id in {"", ".", ".."}:
        return project_url(project_id, f"{below}/", id=run_id, **query)
    return project_url(project_id, f"{below}/{quote(_bytes(run_id), safe='')}", **query)


def event_url(project_id: str, event_id: str) -> str:
    """Return the address of the page of one event, whose id may be any text."""
    return run_url(project_id, event_id, below="/events")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


async def read_form(request: Request, *, most: int) -> dict[str, str]:
    """Return the fields of a form of at most `most` bytes.

    Raises the Problem that answers 413 to a larger one. Of fields of one name the last counts.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Problem(413, "body_too_large", "The form is too large.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _address(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.scope['raw_path'].decode('latin-1')}{query}"
