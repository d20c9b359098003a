"""ASGI apps, such as those of FastAPI, Starlette, Litestar and Django: each request is a run.

app.add_middleware(WatchLLMMiddleware)        # FastAPI, Starlette
app = WatchLLMMiddleware(app)                 # any other
"""

from __future__ import annotations

from watchllm.integrations._flush import FLUSH_SECONDS, flush
from watchllm.integrations._requests import Requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, MutableMapping, Sequence

    from watchllm._client import WatchLLMClient
    from watchllm.integrations._requests import Header, User

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["WatchLLMMiddleware"]

_SHUT_DOWN = frozenset(("lifespan.shutdown.complete", "lifespan.shutdown.failed"))


class WatchLLMMiddleware:
    """Put all that is logged during a request, or a connection of a websocket, into one run.

    The run is the one that the header `x-run-id` names, else the trace of `traceparent`, else a new
    one; with `read_headers=False` always a new one. `user` is a function that takes the scope and
    returns a user id or None; `tags` and `release` are those of `watchllm.trace()`. Bodies that
    are streamed and background tasks belong to the request.

    When the server shuts the app down, what `client`, else the client of `get_client()`, holds is
    sent, within two seconds. Raises ConfigurationError if `user` is no function.
    """

    def __init__(
        self,
        app: App,
        *,
        user: User | None = None,
        tags: Sequence[str] | None = None,
        release: str | None = None,
        read_headers: bool = True,
        client: WatchLLMClient | None = None,
    ) -> None:
        self._app = app
        self._requests = Requests(user, tags, release, read_headers=read_headers)
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._flushing(send))
            return
        with self._requests.inside(_header(scope), scope):
            await self._app(scope, receive, send)

    def _flushing(self, send: Send) -> Send:
        async def flushing(message: Message) -> None:
            if message["type"] in _SHUT_DOWN:
                # The loop may stand still: the server has no connection any more. After this it may
                # end the process by a signal, and nothing at exit is called then.
                flush(self._client, FLUSH_SECONDS)
            await send(message)

        return flushing


def _header(scope: Scope) -> Header:
    def header(name: str) -> str | None:
        wanted = name.encode()
        for key, value in scope["headers"]:
            if key.lower() == wanted:
                text: str = value.decode("latin-1")
                return text
        return None

    return header
