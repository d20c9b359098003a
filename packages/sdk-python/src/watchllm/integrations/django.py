"""Django, under WSGI and ASGI: each request is a run.

MIDDLEWARE = [..., "watchllm.integrations.django.WatchLLMMiddleware"]
WATCHLLM = {"user": "myapp.users.id_of", "tags": ["web"]}    # not needed
"""

from __future__ import annotations

from watchllm.integrations._requests import Items, Requests

try:
    from asgiref.sync import iscoroutinefunction, markcoroutinefunction
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.utils.module_loading import import_string
except ImportError as missing:
    raise ImportError(
        "watchllm.integrations.django needs Django 4.2 or newer: pip install 'django>=4.2'"
    ) from missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncIterator, Callable

    from watchllm._context import Inside

__all__ = ["WatchLLMMiddleware"]

_OPTIONS = ("user", "tags", "release", "read_headers")


class WatchLLMMiddleware:
    """Put all that is logged during a request into one run; for sync and async views.

    The run is the one that the header `x-run-id` names, else the trace of `traceparent`, else a new
    one. The setting WATCHLLM is a dict of options: `user`, a function or its dotted path, takes the
    request and returns a user id or None; `tags` and `release` are those of `watchllm.trace()`;
    `read_headers` False makes every run a new one. Put it after AuthenticationMiddleware if `user`
    looks at `request.user`. Raises ImproperlyConfigured for an option that there is not.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._requests = Requests(**_options())
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Answer a request; a coroutine where the rest of Django is asynchronous."""
        if iscoroutinefunction(self):
            return self._answer(request)
        inside = self._inside(request)
        with inside:
            response = self._get_response(request)
        return _streaming_inside(response, inside)

    async def _answer(self, request: Any) -> Any:
        inside = self._inside(request)
        with inside:
            response = await self._get_response(request)
        return _streaming_inside(response, inside)

    def _inside(self, request: Any) -> Inside:
        return self._requests.inside(request.headers.get, request)


def _options() -> dict[str, Any]:
    options = dict(getattr(settings, "WATCHLLM", {}))
    for name in options:
        if name not in _OPTIONS:
            raise ImproperlyConfigured(
                f"The setting WATCHLLM has no option {name!r}: there are {', '.join(_OPTIONS)}."
            )
    if isinstance(options.get("user"), str):
        options["user"] = import_string(options["user"])
    return options


def _streaming_inside(response: Any, inside: Inside) -> Any:
    """Return the response so that what it streams is made inside the run of its request."""
    # Of a file there is nothing to log, and servers send it without reading it.
    is_file = getattr(response, "file_to_stream", None) is not None
    if getattr(response, "streaming", False) and not is_file:
        content = response.streaming_content
        items = _async_items if response.is_async else Items
        response.streaming_content = items(content, inside)
    return response


async def _async_items(content: Any, inside: Inside) -> AsyncIterator[Any]:
    items = content.__aiter__()
    while True:
        try:
            with inside:
                item = await items.__anext__()
        except StopAsyncIteration:
            return
        yield item
