"""ASGI apps of FastAPI, Starlette and Litestar behind a real uvicorn."""

from __future__ import annotations

import asyncio
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import watchllm
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from watchllm.integrations import _requests, asgi
from watchllm.integrations.asgi import WatchLLMMiddleware
from websockets.sync.client import connect

from conftest import EXAMPLES, TRACE_ID, TRACEPARENT, ask, blocks, check_end, free_port, log_call
from served import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector import Collector
    from watchllm.testing import CapturedEvents

    from conftest import Program


def fastapi_app() -> FastAPI:
    """Return an app that logs in each way in which FastAPI runs code."""
    app = FastAPI()

    @app.get("/async")
    async def asynchronous() -> str:
        log_call("async")
        await asyncio.sleep(0)  # a turn, in which others run
        return "async"

    @app.get("/thread")
    def in_a_thread() -> str:
        log_call("thread")
        return "thread"

    @app.get("/stream")
    def stream() -> StreamingResponse:
        def parts() -> Iterator[str]:
            for part in "abc":
                log_call(part)
                yield part

        return StreamingResponse(parts())

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(log_call, "background")
        return "soon"

    @app.get("/fail")
    async def fail() -> None:
        log_call("fail")
        raise ValueError("the app's own")

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        while await socket.receive_text() != "end":
            log_call("socket")
            await socket.send_text("logged")
        await socket.close()

    return app


def run_ids(events: CapturedEvents) -> set[str]:
    """Return the runs of all events."""
    return {event["run_id"] for event in events}


@pytest.mark.parametrize(
    ("path", "prompts"),
    [
        ("async", ["async"]),
        ("thread", ["thread"]),
        ("stream", ["a", "b", "c"]),
        ("background", ["background"]),
        ("fail", ["fail"]),
    ],
)
def test_all_that_a_request_logs_is_in_the_run_of_its_header(
    path: str, prompts: list[str], watchllm_events: CapturedEvents
) -> None:
    """Coroutines, threads, streamed bodies and background tasks belong to the request."""
    app = fastapi_app()
    app.add_middleware(
        WatchLLMMiddleware,
        user=lambda scope: dict(scope["headers"])[b"x-user"].decode(),
        tags=["web"],
        release="1.2",
    )

    with serving(app) as url:
        ask(f"{url}/{path}", x_run_id="run-1", x_user="ada")

    events = watchllm_events.all()
    assert [event["prompt"] for event in events] == prompts
    assert run_ids(watchllm_events) == {"run-1"}
    assert all(event["user_id"] == "ada" for event in events)
    assert all(event["tags"] == ["web"] for event in events)
    assert all(event["release"] == "1.2" for event in events)


def test_requests_at_once_are_each_in_their_own_run(watchllm_events: CapturedEvents) -> None:
    """What several clients ask at the same time is kept apart."""
    app = WatchLLMMiddleware(fastapi_app())
    names = [f"run-{number}" for number in range(8)]

    with serving(app) as url:
        threads = [
            threading.Thread(target=ask, args=(f"{url}/stream",), kwargs={"x_run_id": name})
            for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    found = sorted((event["run_id"], event["prompt"]) for event in watchllm_events)
    assert found == [(name, part) for name in names for part in "abc"]


def test_a_trace_of_w3c_names_the_run_and_without_headers_each_request_is_a_new_one(
    watchllm_events: CapturedEvents,
) -> None:
    """The trace id of `traceparent` is the run; one that is malformed is as if not there."""
    with serving(WatchLLMMiddleware(fastapi_app())) as url:
        ask(f"{url}/async", traceparent=TRACEPARENT)
        ask(f"{url}/async", traceparent="00-nonsense")
        ask(f"{url}/async")

    runs = [event["run_id"] for event in watchllm_events]
    assert runs[0] == TRACE_ID
    assert len(set(runs)) == 3
    assert all(run.startswith("run-") for run in runs[1:])


def test_a_connection_of_a_websocket_is_a_run(watchllm_events: CapturedEvents) -> None:
    """All that is logged while the connection is open is in the run of its handshake."""
    with serving(WatchLLMMiddleware(fastapi_app())) as url:
        address = url.replace("http", "ws") + "/socket"
        with connect(address, additional_headers={"x-run-id": "run-1"}) as socket:
            for _ in range(2):
                socket.send("go on")
                assert socket.recv() == "logged"
            socket.send("end")

    assert [event["run_id"] for event in watchllm_events] == ["run-1", "run-1"]


def test_starlette_and_litestar_take_it_too(watchllm_events: CapturedEvents) -> None:
    """It is plain ASGI: as middleware of an app, and around any app."""

    async def home(_: object) -> PlainTextResponse:
        log_call()
        return PlainTextResponse("home")

    @get("/")
    async def root() -> str:
        log_call()
        return "root"

    starlette = Starlette(routes=[Route("/", home)])
    starlette.add_middleware(WatchLLMMiddleware)
    for app in (starlette, WatchLLMMiddleware(Litestar([root]))):
        with serving(app, lifespan="on") as url:
            assert ask(f"{url}/", x_run_id="run-1")[0] == 200

    assert [event["run_id"] for event in watchllm_events] == ["run-1", "run-1"]


def answers(
    app: Any, paths: list[str], *, http: Any = "auto", **headers: str
) -> list[tuple[int, str]]:
    """Return what an app answers to requests."""
    with serving(app, http=http) as url:
        return [ask(f"{url}/{path}", **headers) for path in paths]


@pytest.mark.usefixtures("watchllm_events")
@pytest.mark.parametrize(
    "headers", [{}, {"x_run_id": "two words"}, {"x_run_id": "r" * 1_000, "traceparent": "\xff"}]
)
@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_an_app_answers_as_without_it(headers: dict[str, str], http: str) -> None:
    """Whatever the headers are, statuses and bodies are those of the app alone."""
    paths = ["async", "thread", "stream", "background", "fail", "missing"]

    bare = answers(fastapi_app(), paths, http=http, **headers)
    watched = answers(WatchLLMMiddleware(fastapi_app()), paths, http=http, **headers)

    assert watched == bare


@pytest.mark.usefixtures("watchllm_events")
def test_a_header_of_megabytes_does_no_harm() -> None:
    """The server or the app answers to it as it does alone, and serves the next request."""

    async def app(scope: Any, _: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})

    answered = []
    for each in (app, WatchLLMMiddleware(app)):
        with serving(
            each, lifespan="off", h11_max_incomplete_event_size=1 << 25, http="h11"
        ) as url:
            answered += [ask(url, x_run_id="r" * 10_000_000), ask(url)]

    assert answered == [(200, "served")] * 4


class Watching:
    """Stand around an app, and keep the exceptions that come out of it."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.seen: list[BaseException] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except BaseException as error:
            self.seen.append(error)
            raise


def frames(error: BaseException) -> list[tuple[str, str]]:
    """Return file and function of each line of a traceback that is not ours."""
    found = traceback.extract_tb(error.__traceback__)
    return [(line.filename, line.name) for line in found if line.filename != asgi.__file__]


@pytest.mark.usefixtures("watchllm_events")
def test_exceptions_come_out_as_they_are() -> None:
    """Type, message, cause and traceback of an exception stay, but for one line of ours."""
    seen = []
    for app in (fastapi_app(), WatchLLMMiddleware(fastapi_app())):
        watching = Watching(app)
        assert answers(watching, ["fail"]) == [(500, "Internal Server Error")]
        seen += watching.seen

    bare, watched = seen
    assert (type(watched), str(watched)) == (type(bare), str(bare))
    assert (watched.__cause__, watched.__context__) == (bare.__cause__, bare.__context__)
    assert frames(watched) == frames(bare)


def test_an_app_is_served_when_our_code_fails(
    monkeypatch: pytest.MonkeyPatch, watchllm_events: CapturedEvents
) -> None:
    """With our code made to fail, requests are answered as ever, and their calls are logged."""

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    paths = ["async", "thread", "stream"]
    bare = answers(fastapi_app(), paths)
    monkeypatch.setattr(_requests, "run_id_of", fail)
    monkeypatch.setattr(_requests, "Trace", fail)

    assert answers(WatchLLMMiddleware(fastapi_app()), paths, x_run_id="r") == bare
    assert len(watchllm_events) == 2 * 5


def test_what_is_logged_is_sent_when_the_app_is_shut_down(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client given is flushed before the server hears that the shutdown is complete."""
    client = watchllm.WatchLLMClient(
        "k", "p", collector.base_url, flush_interval_seconds=3_600, durability="memory"
    )
    monkeypatch.setattr(watchllm, "get_client", lambda: client)

    with serving(WatchLLMMiddleware(fastapi_app(), client=client), lifespan="on") as url:
        ask(f"{url}/async", x_run_id="run-1")
        assert collector.events() == []

    assert [event["run_id"] for event in collector.events()] == ["run-1"]
    client.close()


def test_the_example_streams_an_answer_and_sends_its_call_before_it_ends(
    start: Callable[..., Program], collector: Collector
) -> None:
    """A server that SIGTERM ends has sent what was logged, in the run that the client named."""
    port = free_port()
    program = start("uvicorn", "app:app", "--port", str(port), folder=EXAMPLES / "fastapi")

    check_end(program, port, collector)


@pytest.mark.parametrize("number", range(len(blocks("asgi"))))
def test_the_programs_of_the_page_run(
    number: int, load: Callable[[str], Any], watchllm_events: CapturedEvents
) -> None:
    """Each program of the how-to page is an app whose calls are in the run of the request."""
    page = load(blocks("asgi")[number])

    with serving(page.app) as url:
        assert ask(f"{url}/ask", x_run_id="run-1")[0] == 200

    assert [event["run_id"] for event in watchllm_events] == ["run-1"]
