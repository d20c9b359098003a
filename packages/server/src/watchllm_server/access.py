"""Who may look at the pages and administer: a person on this machine, or one with the password."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from watchllm_server.auth import RateLimiter, bearer
from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from watchllm_server.auth import Keyring
    from watchllm_server.clock import Clock
    from watchllm_server.metadata import Metadata

_FAILURES_A_MINUTE = 10
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
SESSION_SECONDS = 24 * 3_600


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who administers: one project, or with None all of them."""

    project_id: str | None

    def check(self, project_id: str) -> None:
        """Raise the Problem that answers 403 for another project than the administrator's."""
        if self.project_id not in (None, project_id):
            message = f"The API key administers project {self.project_id!r} alone."
            raise Problem(403, "wrong_project", message)

    def check_all(self) -> None:
        """Raise the Problem that answers 403 unless all projects are administered."""
        if self.project_id is not None:
            message = "This needs the password of the server: a key administers its project alone."
            raise Problem(403, "server_admin_only", message)


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser that may look. `csrf` is what its forms must carry; empty without a session."""

    csrf: str = ""


class Access:
    """Tell who may look and administer, and hold guesses of the password to ten a minute.

    Without a password everyone on this machine may, and nobody else. `control_token` opens the
    admin API to whoever can read the data directory. What does not ask the database is for the
    event loop alone.
    """

    def __init__(
        self,
        metadata: Metadata,
        keyring: Keyring,
        clock: Clock,
        *,
        password: str,
        public_url: str = "",
        control_token: str = "",
    ) -> None:
        self._sessions = metadata.sessions
        self._keyring = keyring
        self._failures = RateLimiter(clock)
        self._password = password
        self._control_token = control_token
        self._is_https = public_url.startswith("https:")
        self._public_origin = public_url

    @property
    def needs_login(self) -> bool:
        """Return whether there is a password."""
        return bool(self._password)

    def is_https(self, request: Request) -> bool:
        """Return whether the browser speaks https, to us or to the proxy before us."""
        return self._is_https or request.url.scheme == "https"

    def cookie_name(self, request: Request) -> str:
        """Return the cookie's name; the prefix makes browsers insist on https and this host."""
        return "__Host-watchllm" if self.is_https(request) else "watchllm"

    def visitor(self, request: Request) -> Visitor | None:
        """Return who looks at a page, or None when that needs a login.

        Raises the Problem that answers 403 to anyone elsewhere when there is no password. Asks the
        database.
        """
        if not self.needs_login:
            if is_local(request):
                return Visitor()
            message = (
                "Without a password the pages answer only to a browser on the same machine, at "
                "http://127.0.0.1 or http://localhost. Set WATCHLLM_ADMIN_PASSWORD to open them."
            )
            raise Problem(403, "not_from_here", message)
        token = self._token(request)
        if token and self._sessions.is_open(token, self._password):
            return Visitor(csrf=_csrf(token))
        return None

    def knows_password(self, request: Request, password: str) -> bool:
        """Return whether a login has the password.

        Raises the Problem that answers 429 after ten wrong ones in a minute.
        """
        return self.needs_login and self._guess(request, password)

    def open_session(self) -> str:
        """Return the token of a new session. Asks the database."""
        return self._sessions.open(self._password)

    def log_out(self, request: Request) -> None:
        """End the session of a request. Asks the database."""
        if token := self._token(request):
            self._sessions.end(token, self._password)

    def check_form(self, request: Request, fields: Mapping[str, str]) -> None:
        """Raise the Problem that answers 403 to a form that another site may have sent."""
        self._check_origin(request, strict=True)
        token = self._token(request)
        if token and not _is_csrf(token, fields.get("csrf", "")):
            raise _foreign()

    def check_login_form(self, request: Request) -> None:
        """Raise the Problem that answers 403 to a login that another site has sent."""
        self._check_origin(request, strict=False)

    def administrator(self, request: Request) -> Administrator:
        """Return who administers: by the password, a key of the scope admin, or from this machine.

        Raises the Problem that answers 401, 403, 429 or 503.
        """
        authorization = request.headers.get("authorization")
        if authorization is None and not self.needs_login:
            if is_local(request):
                self._check_origin(request, strict=False)
                return Administrator(None)
            message = "Without a password the admin API answers only on the same machine."
            raise Problem(403, "not_from_here", message)
        secret = bearer(authorization)
        if self._control_token and _same(secret, self._control_token):
            return Administrator(None)
        try:
            grant = self._keyring.admit(authorization, "admin")
        except Problem as problem:
            if problem.code != "unknown_key" or not self._password or not secret:
                raise
            if self._guess(request, secret):
                return Administrator(None)
            raise
        return Administrator(grant.project_id)

    def check_control(self, request: Request) -> None:
        """Raise the Problem that answers 403 to who cannot read the data directory."""
        secret = bearer(request.headers.get("authorization"))
        if not self._control_token or not _same(secret, self._control_token):
            message = "Only commands on the server's machine may do this: see `watchllm --help`."
            raise Problem(403, "control_only", message)

    def _guess(self, request: Request, password: str) -> bool:
        """Compare in constant time; a refused guess costs one of ten a minute."""
        who = _neighbourhood(request)
        if wait := self._failures.wait(who, _FAILURES_A_MINUTE, count=False):
            message = "There were too many wrong passwords. Try again in a while."
            raise Problem(429, "too_many_attempts", message, retry_after=math.ceil(wait))
        if _same(password, self._password):
            return True
        self._failures.wait(who, _FAILURES_A_MINUTE)
        return False

    def _token(self, request: Request) -> str:
        return request.cookies.get(self.cookie_name(request), "")

    def _check_origin(self, request: Request, *, strict: bool) -> None:
        """Refuse what a browser says comes from another site; strictly, also what says nothing."""
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site")
        if site is not None and site not in {"same-origin", "none"}:
            raise _foreign()
        if origin is not None and not self._is_ours(request, origin):
            raise _foreign()
        if strict and origin is None and site is None:
            raise _foreign()

    def _is_ours(self, request: Request, origin: str) -> bool:
        try:
            named = urlsplit(origin).netloc
        except ValueError:  # half of an address in brackets
            return False
        return origin == self._public_origin or named == request.headers.get("host", "") != ""


def is_local(request: Request) -> bool:
    """Return whether a request comes from this machine under one of its own names.

    The name matters: a page elsewhere may give its own name our address (DNS rebinding) and have
    its reader's browser fetch from here. And a proxy on this machine speaks for others.
    """
    client = request.client.host if request.client else ""
    return (
        _is_loopback(client)
        and _is_loopback(_host_name(request.headers.get("host", "")))
        and not any(name in request.headers for name in _FORWARDED)
    )


def _foreign() -> Problem:
    message = "The request seems to come from another site. Load the page again and repeat it."
    return Problem(403, "foreign_request", message)


def _csrf(token: str, nonce: str = "") -> str:
    """Return what shows that a form comes from a page of the session.

    It begins anew with each page, so that its like in packed pages tells nothing of it (BREACH).
    """
    nonce = nonce or secrets.token_hex(8)
    mark = hmac.new(
        token.encode("utf-8", "replace"), f"csrf {nonce}".encode("utf-8", "replace"), hashlib.sha256
    )
    return f"{nonce}.{mark.hexdigest()}"


def _is_csrf(token: str, given: str) -> bool:
    nonce = given.partition(".")[0]
    return bool(nonce) and _same(given, _csrf(token, nonce))


def _same(one: str, other: str) -> bool:
    """Compare in a time that tells neither content nor length."""
    digests = [hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (one, other)]
    return hmac.compare_digest(*digests)


def _neighbourhood(request: Request) -> str:
    """Return whom a guess counts for: an address, or the network that one customer has in IPv6."""
    client = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return client


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
