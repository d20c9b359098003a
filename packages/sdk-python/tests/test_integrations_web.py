"""The middleware of WSGI and ASGI on every Python, by what the standard library brings."""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

from conftest import log_call

from watchllm._context import current_run
from watchllm.integrations import asgi, wsgi

if TYPE_CHECKING:
    from typing import Iterator

    from conftest import App


class Quiet(WSGIRequestHandler):
    """Print nothing."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_a_request_of_wsgi_is_in_the_run_of_its_header(app: App) -> None:
    """What an app logs, before and while its body is sent, is together; WSGI's rules are kept."""

    def served(environ: Any, start_response: Any) -> Iterator[bytes]:
        log_call(app.client, run_id=None, prompt="begun")
        start_response("200 OK", [("Content-Type", "text/plain")])

        def body() -> Iterator[bytes]:
            for part in (b"a", b"b"):
                log_call(app.client, run_id=None, prompt=part.decode())
                yield part

        return body()

    watched = validator(wsgi.WatchLLMMiddleware(validator(served), tags=["web"]))
    with make_server("127.0.0.1", 0, watched, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        request = urllib.request.Request(url, headers={"x-run-id": "run-1"})
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            text = answer.read()
        thread.join()

    assert text == b"ab"
    assert [event["prompt"] for event in app.sent()] == ["begun", "a", "b"]
    assert {(event["run_id"], *event["tags"]) for event in app.sent()} == {("run-1", "web")}


def test_a_request_of_asgi_is_in_the_run_of_its_header(app: App) -> None:
    """What an app logs across its messages is together, and the messages are the app's."""
    sent: list[Any] = []

    async def served(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == {"type": "http.request"}
        log_call(app.client, run_id=None, prompt="begun")
        await send({"type": "http.response.start", "status": 200})
        await asyncio.sleep(0)  # a turn, in which others run
        log_call(app.client, run_id=None, prompt="sent")

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def serve() -> None:
        headers = [(b"x-other", b"y"), (b"X-Run-Id", b"run-1")]
        await asgi.WatchLLMMiddleware(served)({"type": "http", "headers": headers}, receive, send)
        assert current_run() is None

    asyncio.run(serve())

    assert sent == [{"type": "http.response.start", "status": 200}]
    assert [event["run_id"] for event in app.sent()] == ["run-1", "run-1"]


def test_an_app_of_asgi_is_flushed_before_its_shutdown_is_told(app: App) -> None:
    """When the server hears that the app has shut down, all is sent."""
    told: list[tuple[str, int]] = []

    async def served(scope: Any, receive: Any, send: Any) -> None:
        log_call(app.client)
        for message in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            await send({"type": message})

    async def receive() -> Any:
        raise AssertionError("the app asks for nothing")

    async def send(message: Any) -> None:
        told.append((message["type"], len(app.transport.events)))

    middleware = asgi.WatchLLMMiddleware(served, client=app.client)
    asyncio.run(middleware({"type": "lifespan"}, receive, send))

    assert told[-1] == ("lifespan.shutdown.complete", 1)
