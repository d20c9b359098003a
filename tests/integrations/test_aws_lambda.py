"""AWS Lambda by its own runtime client, which is frozen as soon as it has answered."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import watchllm
from collector import Reply  # of the SDK's own tests
from watchllm import ConfigurationError
from watchllm.integrations import _requests, aws_lambda
from watchllm.integrations.aws_lambda import watched

from conftest import EXAMPLES, PATIENCE_SECONDS, TRACE_ID, TRACEPARENT, blocks, log_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from collector import Collector
    from watchllm.testing import CapturedEvents

    from conftest import Program


class Context:
    """What Lambda tells of an invocation."""

    aws_request_id = "request-1"

    def __init__(self, seconds_left: float = 30) -> None:
        self.seconds_left = seconds_left

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds_left * 1_000)


def answer(event: Any, _: Any) -> str:
    """Log a call, and answer."""
    log_call()
    return f"answer to {event}"


@pytest.mark.parametrize(
    ("event", "run_id"),
    [
        ({"headers": {"X-Run-Id": "run-1"}}, "run-1"),
        ({"headers": {"Traceparent": TRACEPARENT, "x-other": "y"}}, TRACE_ID),
        ({"headers": {"x-run-id": 7, "traceparent": None}}, "request-1"),
        ({"headers": {"x-run-id": "r" * 10_000_000}}, "request-1"),
        ({"headers": None}, "request-1"),
        ({"headers": "nonsense"}, "request-1"),
        ({"headers": {7: "run-1"}}, "request-1"),
        ({}, "request-1"),
        ([], "request-1"),
        ("text", "request-1"),
        (None, "request-1"),
    ],
)
def test_an_invocation_is_in_the_run_of_its_headers_or_of_its_request(
    event: Any, run_id: str, watchllm_events: CapturedEvents
) -> None:
    """Whatever the event is, the handler gets it, and its result is returned."""
    handler = watched(answer)

    assert handler(event, Context()) == f"answer to {event}"
    assert [each["run_id"] for each in watchllm_events] == [run_id]
    assert handler.__name__ == "answer"


def test_user_tags_and_release_are_in_the_run(watchllm_events: CapturedEvents) -> None:
    """With options the decorator takes none of the event's headers, if told so."""
    handler = watched(
        user=lambda event: event["user"], tags=["lambda"], release="1.2", read_headers=False
    )(answer)

    handler({"user": "ada", "headers": {"x-run-id": "run-1"}}, Context())

    (event,) = watchllm_events
    assert (event["run_id"], event["user_id"]) == ("request-1", "ada")
    assert (event["tags"], event["release"]) == (["lambda"], "1.2")


def test_a_user_that_is_no_function_is_refused_when_the_handler_is_made() -> None:
    """The mistake is told before any invocation."""
    with pytest.raises(ConfigurationError, match="`user` must be a function"):
        watched(user="ada")  # type: ignore[call-overload] # the mistake


@pytest.mark.parametrize(
    ("context", "seconds"),
    [(Context(30), 2.0), (Context(1.5), 1.0), (Context(0.1), 0.0), (object(), 2.0)],
)
def test_the_flush_is_bounded_by_the_time_that_is_left(
    context: Any, seconds: float, watchllm_events: CapturedEvents
) -> None:
    """Half a second is left to Lambda; without a clock of its own the bound is two seconds."""
    bounds: list[float] = []

    class Client:
        def flush(self, timeout: float) -> bool:
            bounds.append(max(timeout, 0.0))
            return True

    assert watched(client=Client())(answer)(1, context) == "answer to 1"
    assert bounds == [seconds]
    assert len(watchllm_events) == 1


def test_results_and_exceptions_are_as_without_it(
    watchllm_events: CapturedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when our code is made to fail, before and after the handler."""

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    def failing(_: Any, __: Any) -> None:
        log_call()
        raise ValueError("the app's own")

    seen = []
    for handler in (failing, watched(failing), watched(failing)):
        try:
            handler({}, Context())
        except ValueError as error:
            lines = traceback.extract_tb(error.__traceback__)[1:]
            ours = aws_lambda.__file__
            seen.append(
                (str(error), error.__context__, [x.name for x in lines if x.filename != ours])
            )
        monkeypatch.setattr(_requests, "run_id_of", fail)
        monkeypatch.setattr(watchllm.get_client(), "flush", fail)
    assert watched(answer)(1, Context()) == "answer to 1"
    monkeypatch.undo()

    assert seen == [("the app's own", None, ["failing"])] * 3
    assert len(watchllm_events) == 4


class Lambda:
    """The service, as its runtime sees it: it hands out invocations and takes their answers."""

    def __init__(self) -> None:
        self.invocations: queue.Queue[tuple[str, Any, float]] = queue.Queue()
        self.answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.freeze: Callable[[], None] = lambda: None
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                request_id, event, seconds = service.invocations.get()
                body = json.dumps(event).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
                deadline = int((time.time() + seconds) * 1_000)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(deadline))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu:1:f")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.freeze()
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                service.answers.put((self.path.rpartition("/")[2], body))

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False  # the last question for an invocation has no answer
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def invoke(self, request_id: str, event: Any, seconds: float = 60) -> tuple[str, Any]:
        """Have the function answer an event; return the kind of its answer, and the answer."""
        self.invocations.put((request_id, event, seconds))
        return self.answers.get(timeout=PATIENCE_SECONDS)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def service() -> Iterator[Lambda]:
    """Run the service."""
    running = Lambda()
    yield running
    running.stop()


def deploy(service: Lambda, start: Callable[..., Program], folder: Path, handler: str) -> int:
    """Start Lambda's runtime with a handler, to be frozen once it answers; return its process."""
    command = (sys.executable, "-m", "awslambdaric", handler)
    program = start(*command, folder=folder, AWS_LAMBDA_RUNTIME_API=service.address)
    service.freeze = lambda: os.kill(program.process.pid, signal.SIGSTOP)
    return program.process.pid


def test_the_example_has_sent_its_call_when_lambda_freezes_it(
    service: Lambda, start: Callable[..., Program], collector: Collector
) -> None:
    """Each invocation of one process has its events delivered before it answers."""
    process = deploy(service, start, EXAMPLES / "aws_lambda", "function.handler")

    told = []
    for request_id in ("request-1", "request-2"):
        kind, answered = service.invoke(request_id, {"question": "Rome"})
        told.append((kind, answered, [event["run_id"] for event in collector.events()]))
        os.kill(process, signal.SIGCONT)

    answered = {"text": "Rome is sunny."}
    assert told == [
        ("response", answered, ["request-1"]),
        ("response", answered, ["request-1", "request-2"]),
    ]
    assert all(event["tags"] == ["lambda"] for event in collector.events())


def test_a_collector_that_hangs_does_not_cost_the_function_its_time(
    service: Lambda, start: Callable[..., Program], collector: Collector, tmp_path: Path
) -> None:
    """The answer comes though nobody takes the events, and so does the error of a handler."""
    released = threading.Event()
    collector.replies += [Reply(wait_for=released)] * 10
    (tmp_path / "function.py").write_text(
        "import watchllm\n"
        "from watchllm.integrations.aws_lambda import watched\n"
        "@watched\n"
        "def handler(event, context):\n"
        "    watchllm.get_client().log_prompt_call(None, 'p', 'm', 'r', 1, 1, 1)\n"
        "    return 1 // event\n",
        "utf-8",
    )
    process = deploy(service, start, tmp_path, "function.handler")

    good = service.invoke("request-1", 1, seconds=30)
    os.kill(process, signal.SIGCONT)
    bad = service.invoke("request-2", 0, seconds=30)
    released.set()

    assert good == ("response", 1)
    assert (bad[0], bad[1]["errorType"]) == ("error", "ZeroDivisionError")


@pytest.mark.parametrize("number", range(len(blocks("aws-lambda"))))
def test_the_programs_of_the_page_run(
    number: int, load: Callable[[str], Any], watchllm_events: CapturedEvents
) -> None:
    """Each handler of the how-to page logs a call in the run of the request."""
    page = load(blocks("aws-lambda")[number])

    assert page.handler({"headers": {"x-run-id": "run-1"}}, Context()) == {"text": "4"}
    assert [event["run_id"] for event in watchllm_events] == ["run-1"]
