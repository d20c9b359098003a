"""What stands before all routes: it leads requests to the gateway, counts, times and logs them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import Mount, Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from watchllm_server.clock import Clock
    from watchllm_server.gateway.routes import Gateway
    from watchllm_server.observability import Metrics

_log = logging.getLogger(__name__)
_requests = logging.getLogger("watchllm_server.requests")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# What a request counts as whose sender did not wait for the answer.
_GONE = 499


class Front:
    """Lead what is the gateway's to it, past the router and its cost, and all else to the app."""

    def __init__(self, gateway: Gateway, app: ASGIApp) -> None:
        self._gateway = gateway
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http" and self._gateway.handles(scope):
            await self._gateway(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class Guard:
    """Count and time each request, and log what nothing else caught: never a word of its content.

    Addresses may name users and runs, so that a request goes by the pattern of its route.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[BaseRoute],
        metrics: Metrics,
        clock: Clock,
        more: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock
        # What is served past the router goes by its own name.
        self._patterns: dict[Any, str] = {path: path for path in more}
        for route in routes:
            if isinstance(route, Route):
                self._patterns[route.endpoint] = route.path
            elif isinstance(route, Mount):
                self._patterns[route.app] = route.path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, which has answered 500 when its failure comes by here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = self._clock.monotonic(), _GONE

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        try:
            await self._app(scope, receive, note)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the last place where it can be caught
            name, place = type(error).__name__, _place(error)
            _log.error("A %s request failed: %s at %s", scope["method"], name, place)
        finally:
            self._count(scope, status, self._clock.monotonic() - begun)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = self._patterns.get(scope.get("endpoint"), "other")
        self._metrics.request(method, route, status, seconds)
        if _requests.isEnabledFor(logging.INFO):
            milliseconds = round(1_000 * seconds, 1)
            _requests.info(
                "%s %s %d in %s ms",
                method,
                route,
                status,
                milliseconds,
                extra={"method": method, "route": route, "status": status, "ms": milliseconds},
            )


def _place(error: BaseException) -> str:
    """Return the file and line that failed; the text of an error may hold a user's data."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown"
