"""Flask, and plain WSGI, behind gunicorn and Werkzeug's own server."""

from __future__ import annotations

import threading
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, g, session, stream_with_context
from watchllm import ConfigurationError
from watchllm.integrations import _requests, wsgi
from watchllm.integrations.flask import WatchLLM
from watchllm.integrations.wsgi import WatchLLMMiddleware
from werkzeug.serving import make_server

from conftest import EXAMPLES, TRACE_ID, TRACEPARENT, ask, blocks, check_end, free_port, log_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector import Collector
    from watchllm.testing import CapturedEvents

    from conftest import Program


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an app with a thread for each request; yield its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.log = lambda *_: None  # type: ignore[method-assign] # it prints each request
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def flask_app() -> Flask:
    """Return an app that logs in views and in streamed bodies."""
    app = Flask("tests")
    app.secret_key = "of-the-tests"

    @app.get("/view")
    def view() -> str:
        log_call("view")
        return "view"

    @app.get("/stream")
    def stream() -> Response:
        def parts() -> Iterator[str]:
            for part in "abc":
                log_call(part)
                yield part

        return Response(stream_with_context(parts()))

    @app.get("/fail")
    def fail() -> str:
        log_call("fail")
        raise ValueError("the app's own")

    @app.get("/sign-in")
    def sign_in() -> str:
        session["user"] = "ada"
        return "signed in"

    return app


@pytest.mark.parametrize(
    ("path", "prompts"), [("view", ["view"]), ("stream", ["a", "b", "c"]), ("fail", ["fail"])]
)
def test_all_that_a_request_logs_is_in_its_run(
    path: str, prompts: list[str], watchllm_events: CapturedEvents
) -> None:
    """Views and streamed bodies belong to the request, with the tags and the release given."""
    app = flask_app()
    WatchLLM(app, user=lambda request: request.headers["x-user"], tags=["web"], release="1.2")

    with serving(app) as url:
        ask(f"{url}/{path}", x_run_id="run-1", x_user="ada")

    events = watchllm_events.all()
    assert [event["prompt"] for event in events] == prompts
    assert {event["run_id"] for event in events} == {"run-1"}
    assert {event["user_id"] for event in events} == {"ada"}
    assert all((event["tags"], event["release"]) == (["web"], "1.2") for event in events)


def test_the_user_is_known_from_flasks_own_context(watchllm_events: CapturedEvents) -> None:
    """The function is called where the session and `g` are, and what it raises is left out."""
    app = flask_app()
    WatchLLM(user=lambda _: session["user"]).init_app(app)
    client = app.test_client()

    client.get("/view")
    client.get("/sign-in")
    client.get("/view")

    assert [event.get("user_id") for event in watchllm_events] == [None, "ada"]


def test_what_an_earlier_function_has_found_out_is_there(watchllm_events: CapturedEvents) -> None:
    """`before_request` functions of the app that are older than ours run before it."""
    app = flask_app()

    @app.before_request
    def find_out() -> None:
        g.user = 7

    WatchLLM(app, user=lambda _: g.user)
    app.test_client().get("/view")

    assert watchllm_events[0]["user_id"] == "7"


def test_a_trace_of_w3c_names_the_run_unless_headers_are_not_read(
    watchllm_events: CapturedEvents,
) -> None:
    """With `read_headers=False` each request is a new run."""
    for read in (True, False):
        app = flask_app()
        WatchLLM(app, read_headers=read)
        app.test_client().get("/view", headers={"traceparent": TRACEPARENT})

    first, second = (event["run_id"] for event in watchllm_events)
    assert first == TRACE_ID
    assert second.startswith("run-")


def test_a_user_that_is_no_function_is_refused_when_the_app_is_made() -> None:
    """The mistake is told before any request comes."""
    with pytest.raises(ConfigurationError, match="`user` must be a function"):
        WatchLLM(flask_app(), user="ada")  # type: ignore[arg-type] # the mistake


@pytest.mark.usefixtures("watchllm_events")
@pytest.mark.parametrize("broken", [False, True])
def test_an_app_answers_as_without_it(monkeypatch: pytest.MonkeyPatch, *, broken: bool) -> None:
    """Statuses and bodies are those of the app alone, also when our code is made to fail."""

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    if broken:
        monkeypatch.setattr(_requests, "run_id_of", fail)
    bare, watched = flask_app(), flask_app()
    WatchLLM(watched, user=lambda _: "ada")
    answers = []
    for app in (bare, watched):
        with serving(app) as url:
            paths = ("view", "stream", "fail", "missing")
            answers.append([ask(f"{url}/{path}", x_run_id="r" * 60_000) for path in paths])

    assert answers[0] == answers[1]


@pytest.mark.usefixtures("watchllm_events")
def test_exceptions_come_out_as_they_are() -> None:
    """Type, message and traceback of an exception stay, but for one line of ours."""

    def app(_: object, __: object) -> list[bytes]:
        raise ValueError("the app's own")

    seen = []
    for each in (app, WatchLLMMiddleware(app)):
        try:
            each({}, None)
        except ValueError as error:
            lines = traceback.extract_tb(error.__traceback__)[1:]
            seen.append((str(error), [x.name for x in lines if x.filename != wsgi.__file__]))

    assert seen == [("the app's own", ["app"])] * 2


def test_a_body_that_is_complete_reaches_the_server_as_it_is() -> None:
    """Lists, whose length servers look at, and files, which they send unread, are not wrapped."""

    class OfFiles:
        pass

    for body in ([b"a"], (b"a", b"b"), OfFiles()):
        app = WatchLLMMiddleware(lambda _, __, body=body: body)

        assert app({"wsgi.file_wrapper": OfFiles}, None) is body


@pytest.mark.parametrize("options", [["--preload"], ["--threads", "4"]])
def test_the_example_sends_its_call_before_its_worker_ends(
    options: list[str], start: Callable[..., Program], collector: Collector
) -> None:
    """A worker of gunicorn, forked after the client was made or before, sends what it logged."""
    port = free_port()
    command = ("gunicorn", "--bind", f"127.0.0.1:{port}", *options, "app:app")
    program = start(*command, folder=EXAMPLES / "flask")

    check_end(program, port, collector)


@pytest.mark.parametrize("number", range(len(blocks("flask"))))
def test_the_programs_of_the_page_run(
    number: int, load: Callable[[str], Any], watchllm_events: CapturedEvents
) -> None:
    """Each program of the how-to page is an app whose calls are in the run of the request."""
    page = load(blocks("flask")[number])

    with serving(page.app) as url:
        assert ask(f"{url}/ask", x_run_id="run-1") == (200, "4")

    assert [event["run_id"] for event in watchllm_events] == ["run-1"]
