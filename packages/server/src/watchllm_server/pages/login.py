"""Logging in and out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from watchllm_server.access import SESSION_SECONDS
from watchllm_server.errors import Problem
from watchllm_server.pages.site import read_form

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from watchllm_server.pages.site import Site

_MAX_FORM: Final = 10_000


@dataclass(frozen=True, slots=True)
class LoginPage:
    """The form that asks for the password."""

    next: str
    """Where a login leads."""
    message: str
    """What was wrong with the last attempt, or empty."""


class Login:
    """Begin and end the sessions of browsers."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._access = site.services.access

    def routes(self) -> list[BaseRoute]:
        """Return the routes, for the application."""
        return [
            Route("/login", self.form, methods=["GET"]),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/logout", self.log_out, methods=["POST"]),
        ]

    async def form(self, request: Request) -> Response:
        """Ask for the password."""
        if not self._access.needs_login:
            return RedirectResponse("/", 303, headers=self._site.headers(request))
        return self._page(request, request.query_params.get("next", ""))

    async def log_in(self, request: Request) -> Response:
        """Begin a session when the password is right."""
        try:
            fields = await read_form(request, most=_MAX_FORM)
            self._access.check_login_form(request)
            wanted = fields.get("next", "")
            if not self._access.knows_password(request, fields.get("password", "")):
                return self._page(request, wanted, "That is not the password.", 401)
            token = await run_in_threadpool(self._access.open_session)
        except Problem as problem:
            return self._site.refuse(request, problem)
        answer = RedirectResponse(_own_address(wanted), 303, headers=self._site.headers(request))
        self._set_cookie(request, answer, token, SESSION_SECONDS)
        return answer

    async def log_out(self, request: Request) -> Response:
        """End the session."""
        try:
            self._access.check_form(request, await read_form(request, most=_MAX_FORM))
        except Problem as problem:
            return self._site.refuse(request, problem)
        await run_in_threadpool(self._access.log_out, request)
        answer = RedirectResponse("/login", 303, headers=self._site.headers(request))
        self._set_cookie(request, answer, "", 0)
        return answer

    def _page(
        self, request: Request, wanted: str, message: str = "", status: int = 200
    ) -> Response:
        page = LoginPage(_own_address(wanted), message)
        return self._site.render(request, "login.html", page, status)

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


def _own_address(wanted: str) -> str:
    """Return where a login leads: a page of ours, never where a link from elsewhere says."""
    return wanted if re.fullmatch(r"/projects/[!-\[\]-~]*", wanted) else "/"
