"""Django behind gunicorn and uvicorn, with sync and async views, streams and files."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from watchllm.integrations import _requests
from watchllm.integrations.django import WatchLLMMiddleware

from conftest import EXAMPLES, TRACE_ID, TRACEPARENT, ask, blocks, check_end, free_port, log_call
from served import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from collector import Collector
    from watchllm.testing import CapturedEvents

    from conftest import Program

MIDDLEWARE = ["watchllm.integrations.django.WatchLLMMiddleware"]


def sync_view(_: HttpRequest) -> HttpResponse:
    """Log on the thread of the request."""
    log_call("sync")
    return HttpResponse("sync")


async def async_view(_: HttpRequest) -> HttpResponse:
    """Log in the task of the request."""
    await asyncio.sleep(0)  # a turn, in which others run
    log_call("async")
    return HttpResponse("async")


def sync_stream(_: HttpRequest) -> StreamingHttpResponse:
    """Log while the body is sent."""

    def parts() -> Iterator[str]:
        for part in "abc":
            log_call(part)
            yield part

    return StreamingHttpResponse(parts())


async def async_stream(_: HttpRequest) -> StreamingHttpResponse:
    """Log while the body is sent, in a task."""

    async def parts() -> AsyncIterator[str]:
        for part in "abc":
            log_call(part)
            yield part
            await asyncio.sleep(0)

    return StreamingHttpResponse(parts())


def file_view(_: HttpRequest) -> FileResponse:
    """Send a file."""
    return FileResponse(Path(__file__).open("rb"), content_type="text/plain")


def failing(_: HttpRequest) -> HttpResponse:
    """Raise."""
    raise ValueError("the app's own")


def user_of(request: HttpRequest) -> str | None:
    """Tell the user of a request."""
    user: str | None = request.headers.get("x-user")
    return user


urlpatterns = [
    path("sync", sync_view),
    path("async", async_view),
    path("stream", sync_stream),
    path("async-stream", async_stream),
    path("file", file_view),
    path("fail", failing),
]


@pytest.fixture(scope="session", autouse=True)
def _settings() -> None:
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        LOGGING_CONFIG=None,
        ROOT_URLCONF=__name__,
        SECRET_KEY="of-the-tests",
    )
    django.setup()


class Quiet(WSGIRequestHandler):
    """Print nothing."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def wsgi() -> Iterator[str]:
    """Serve the app with the server of `runserver`."""
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def asgi() -> AbstractContextManager[str]:
    """Serve the app with uvicorn."""
    return serving(get_asgi_application(), lifespan="off")


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")  # as the other kind's
@pytest.mark.parametrize("serving", [wsgi, asgi])
@pytest.mark.parametrize(
    ("view", "prompts"),
    [
        ("sync", ["sync"]),
        ("async", ["async"]),
        ("stream", ["a", "b", "c"]),
        ("async-stream", ["a", "b", "c"]),
    ],
)
def test_all_that_a_request_logs_is_in_its_run(
    serving: Any, view: str, prompts: list[str], watchllm_events: CapturedEvents
) -> None:
    """Views and streamed bodies of both kinds belong to the request, under both protocols."""
    options = {"user": f"{__name__}.user_of", "tags": ["web"], "release": "1.2"}
    with override_settings(MIDDLEWARE=MIDDLEWARE, WATCHLLM=options), serving() as url:
        answer = ask(f"{url}/{view}", x_run_id="run-1", x_user="ada")

    events = watchllm_events.all()
    assert answer == (200, "".join(prompts))
    assert [event["prompt"] for event in events] == prompts
    assert {event["run_id"] for event in events} == {"run-1"}
    assert {event["user_id"] for event in events} == {"ada"}
    assert all((event["tags"], event["release"]) == (["web"], "1.2") for event in events)


def test_a_trace_of_w3c_names_the_run_unless_headers_are_not_read(
    watchllm_events: CapturedEvents,
) -> None:
    """With `read_headers` off, each request is a new run."""
    for options in ({}, {"read_headers": False}):
        with override_settings(MIDDLEWARE=MIDDLEWARE, WATCHLLM=options), wsgi() as url:
            ask(f"{url}/sync", traceparent=TRACEPARENT)

    first, second = (event["run_id"] for event in watchllm_events)
    assert first == TRACE_ID
    assert second.startswith("run-")


@pytest.mark.usefixtures("watchllm_events")
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
@pytest.mark.parametrize("serving", [wsgi, asgi])
@pytest.mark.parametrize("broken", [False, True])
def test_an_app_answers_as_without_it(
    serving: Any, monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    """Statuses and bodies are those of the app alone, also when our code is made to fail."""

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    if broken:
        monkeypatch.setattr(_requests, "run_id_of", fail)
    answers = []
    for middleware in ([], MIDDLEWARE):
        with override_settings(MIDDLEWARE=middleware), serving() as url:
            views = ("sync", "async", "stream", "async-stream", "file", "fail", "missing")
            answers.append([ask(f"{url}/{view}", x_run_id="two words") for view in views])

    assert answers[0] == answers[1]
    assert answers[0][4] == (200, Path(__file__).read_text("utf-8"))


def test_a_file_goes_to_the_server_as_a_file() -> None:
    """The response of a file is left alone, so that a server may send it without reading it."""
    response = WatchLLMMiddleware(file_view)(HttpRequest())

    assert response.file_to_stream is not None
    response.close()


def test_an_option_that_there_is_not_is_told_when_the_app_starts() -> None:
    """A mistake in the setting WATCHLLM names what there is."""
    with (
        override_settings(WATCHLLM={"tag": ["web"]}),
        pytest.raises(ImproperlyConfigured, match="no option 'tag': there are user, tags"),
    ):
        WatchLLMMiddleware(sync_view)


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (
            ["gunicorn", "--preload", "--bind", "127.0.0.1:{port}", "app:application"],
            signal.SIGTERM,
        ),
        ([sys.executable, "app.py", "runserver", "--noreload", "{port}"], signal.SIGINT),
    ],
    ids=["gunicorn", "runserver"],
)
def test_the_example_sends_its_call_before_it_ends(
    command: list[str], number: int, start: Callable[..., Program], collector: Collector
) -> None:
    """A server that is told to end sends what it has logged, in the run that the client named."""
    port = free_port()
    program = start(*(part.format(port=port) for part in command), folder=EXAMPLES / "django")

    check_end(program, port, collector, number)


def test_the_programs_of_the_page_run(
    load: Callable[[str, str], Any], watchllm_events: CapturedEvents
) -> None:
    """The settings and the view of the how-to page make an app that knows its user."""
    options, view = blocks("django")
    views = load(view, "views")
    chosen = load(options, "chosen")
    middleware = [name for name in chosen.MIDDLEWARE if name.startswith("watchllm")]

    class Urls:
        urlpatterns = (path("ask", views.ask),)

    with override_settings(MIDDLEWARE=middleware, WATCHLLM=chosen.WATCHLLM, ROOT_URLCONF=Urls):
        assert len(chosen.MIDDLEWARE) == 3
        with wsgi() as url:
            answer = ask(f"{url}/ask", x_run_id="run-1")

    (event,) = watchllm_events
    assert answer == (200, "4")
    assert (event["run_id"], event["tags"]) == ("run-1", ["web"])
