"""Flask: each request is a run.

WatchLLM(app)
"""

from __future__ import annotations

from watchllm._context import current_run
from watchllm.integrations._requests import checked, user_id_of
from watchllm.integrations.wsgi import WatchLLMMiddleware

try:
    from flask import request
except ImportError as missing:
    raise ImportError(
        "watchllm.integrations.flask needs Flask 2.2 or newer: pip install 'flask>=2.2'"
    ) from missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from watchllm.integrations._requests import User

__all__ = ["WatchLLM"]


class WatchLLM:
    """Put all that is logged during a request of a Flask app into one run.

    `WatchLLM(app)`, or `WatchLLM()` and later `init_app(app)`. The run is the one that the header
    `x-run-id` names, else the trace of `traceparent`, else a new one; with `read_headers=False`
    always a new one. `user` is a function that takes Flask's request and returns a user id or None;
    it is called before the functions of `before_request` that the app adds later. `tags` and
    `release` are those of `watchllm.trace()`. Raises ConfigurationError if `user` is no function.
    """

    def __init__(
        self,
        app: Any = None,
        *,
        user: User | None = None,
        tags: Sequence[str] | None = None,
        release: str | None = None,
        read_headers: bool = True,
    ) -> None:
        self._user = checked(user)
        self._options: Any = {"tags": tags, "release": release, "read_headers": read_headers}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Any) -> None:
        """Watch an app."""
        app.wsgi_app = WatchLLMMiddleware(app.wsgi_app, **self._options)
        if self._user is not None:
            app.before_request(self._name_user)

    def _name_user(self) -> None:
        # Whom a request is from is known only inside Flask's own context, where sessions are.
        run = current_run()
        if run is not None:
            run.user_id = user_id_of(self._user, request)
