"""WSGI apps: each request is a run.

app = WatchLLMMiddleware(app)
"""

from __future__ import annotations

from watchllm.integrations._requests import Items, Requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, Sequence

    from watchllm.integrations._requests import Header, User

    Environ = Dict[str, Any]
    App = Callable[[Environ, Any], Iterable[bytes]]

__all__ = ["WatchLLMMiddleware"]


class WatchLLMMiddleware:
    """Put all that is logged during a request into one run.

    The run is the one that the header `x-run-id` names, else the trace of `traceparent`, else a new
    one; with `read_headers=False` always a new one. `user` is a function that takes the environ and
    returns a user id or None; `tags` and `release` are those of `watchllm.trace()`. Bodies that are
    streamed belong to the request. Raises ConfigurationError if `user` is no function.
    """

    def __init__(
        self,
        app: App,
        *,
        user: User | None = None,
        tags: Sequence[str] | None = None,
        release: str | None = None,
        read_headers: bool = True,
    ) -> None:
        self._app = app
        self._requests = Requests(user, tags, release, read_headers=read_headers)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Serve a request."""
        inside = self._requests.inside(_header(environ), environ)
        with inside:
            body = self._app(environ, start_response)
        return body if _is_complete(body, environ) else Items(body, inside)


def _header(environ: Environ) -> Header:
    return lambda name: environ.get(f"HTTP_{name.upper().replace('-', '_')}")


def _is_complete(body: Any, environ: Environ) -> bool:
    """Say whether a body comes to be without code of the app.

    Servers look at the length of lists, and send files without reading them.
    """
    of_files = environ.get("wsgi.file_wrapper")
    return isinstance(body, (list, tuple)) or (
        isinstance(of_files, type) and isinstance(body, of_files)
    )
