"""A client whose transport is in memory, a collector on a real port, and the contract's bodies."""

from __future__ import annotations

import http.server
import json
import os
import socket
import struct
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator

from watchllm import WatchLLMClient
from watchllm._config import load
from watchllm._delivery import Delivery
from watchllm._encoding import unpack
from watchllm._log import Problems
from watchllm._spool import DiskSpool, Folder
from watchllm._spool import _disk as disk
from watchllm._worker import Worker
from watchllm.testing import ManualClock, MemoryTransport

if TYPE_CHECKING:
    from typing import Callable, Iterator

    from watchllm._spool import Spool
    from watchllm._stats import Stats
    from watchllm.testing import Clock, Transport

# Whoever else uses the machine, and coverage, stretch times: no example fails by its time.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

CONTRACT = next(
    parent / "contract" for parent in Path(__file__).parents if (parent / "contract").is_dir()
)
_schema = Draft202012Validator(json.loads((CONTRACT / "event.schema.json").read_text("utf-8")))


def cases(kind: str) -> list[Any]:
    """Return the contract's accepted or rejected cases as pytest parameters named by file."""
    return [
        pytest.param(json.loads(path.read_text("utf-8")), id=path.stem)
        for path in sorted((CONTRACT / kind).glob("*.json"))
    ]


def breaches(event: dict[str, Any]) -> list[str]:
    """Return what the contract's schema has against an event."""
    return [f"{list(error.path)}: {error.message}" for error in _schema.iter_errors(event)]


@pytest.fixture(autouse=True)
def _no_settings_from_the_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("WATCHLLM_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WATCHLLM_SPOOL_DIR", str(tmp_path / "spool"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return the folder of a spool's destination."""
    return Folder(str(tmp_path / "spool"), "http://127.0.0.1/v1", "p")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make segments of 4 KiB, the first too."""
    monkeypatch.setattr(disk, "FIRST_BYTES", 4_096)
    monkeypatch.setattr(disk, "SEGMENT_BYTES", 4_096)


@pytest.fixture
def make(folder: Folder) -> Callable[..., DiskSpool]:
    """Return a function that makes a spool of this process."""
    return lambda max_bytes=256 * (1 << 20), clock=None: DiskSpool(
        folder, max_bytes, clock or ManualClock()
    )


class App:
    """A client, and what it sent."""

    def __init__(self, client: WatchLLMClient, transport: MemoryTransport) -> None:
        self.client = client
        self.transport = transport

    def sent(self) -> list[dict[str, Any]]:
        """Flush and return all events delivered."""
        assert self.client.flush()
        return self.transport.events

    def sent_one(self) -> dict[str, Any]:
        """Flush and return the one event delivered, which conforms to the contract."""
        (event,) = self.sent()
        assert breaches(event) == []
        return event


@pytest.fixture
def make_app() -> Iterator[Callable[..., App]]:
    """Return a function that makes clients from options; all are closed afterwards."""
    apps = []

    def make(*, clock: Clock | None = None, **options: Any) -> App:
        transport = options.pop("transport", None) or MemoryTransport()
        given = {"api_key": "key-of-the-test", "project_id": "proj-contract", **options}
        apps.append(App(WatchLLMClient(transport=transport, clock=clock, **given), transport))
        return apps[-1]

    yield make
    for app in apps:
        app.client.close()


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    """Return a client with default settings."""
    return make_app()


def delivery(
    spool: Spool, transport: Transport, clock: Clock, stats: Stats, **options: Any
) -> Delivery:
    """Return a delivery with a worker of its own, whose records are JSON already."""
    config, _ = load({"api_key": "k", "project_id": "p", **options}, {})
    return Delivery(
        config, spool, unpack, transport, Worker(clock), stats, Problems(), options.get("orphans")
    )


def log_call(client: WatchLLMClient, **changes: Any) -> str:
    """Log a prompt call, with some of its arguments changed."""
    arguments: dict[str, Any] = {
        "run_id": "run-1",
        "prompt": "What is machine learning?",
        "model": "gpt-4o",
        "response": "A subset of AI.",
        "tokens_input": 12,
        "tokens_output": 45,
        "latency_ms": 1250,
    }
    return client.log_prompt_call(**{**arguments, **changes})


class Request:
    """What the collector got."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body

    def content(self) -> dict[str, Any]:
        """Return the JSON of the body, unpacked."""
        packed = self.headers.get("Content-Encoding") == "gzip"
        data = zlib.decompress(self.body, 31) if packed else self.body
        content: dict[str, Any] = json.loads(data)
        return content

    def events(self) -> list[dict[str, Any]]:
        """Return the events of the body."""
        events: list[dict[str, Any]] = self.content()["events"]
        return events


class Reply:
    """What the collector answers."""

    def __init__(
        self,
        status: int = 200,
        content: Any = None,
        headers: dict[str, str] | None = None,
        *,
        hang_up: bool = False,
        reset: bool = False,
        wait_for: threading.Event | None = None,
    ) -> None:
        self.status = status
        self.headers = headers or {}
        self.hang_up = hang_up
        self.reset = reset  # in the middle of the body
        self.wait_for = wait_for
        self.body = content if isinstance(content, bytes) else json.dumps(content or {}).encode()


class Collector:
    """A collector on a loopback port that answers as told, then with 200."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self.connections: list[socket.socket] = []
        self._arrived = threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections.append(self.connection)

            def do_POST(self) -> None:
                reply = outer.reply()
                if reply.reset:
                    self.rfile.read(10)
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.take(Request(self.path, dict(self.headers.items()), body))
                if reply.wait_for is not None:
                    reply.wait_for.wait(30)
                if reply.hang_up:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def take(self, request: Request) -> None:
        """Keep a request and tell those who wait for its events."""
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    def wait_for_events(self, number: int) -> None:
        """Wait until so many different events came; raises TimeoutError after 30 seconds."""

        def have_come() -> bool:
            return len({event["event_id"] for event in self.events()}) >= number

        with self._arrived:
            if not self._arrived.wait_for(have_come, 30):
                raise TimeoutError(f"not all of {number} events came")

    def reply(self) -> Reply:
        """Return the next answer."""
        return self.replies.pop(0) if self.replies else Reply(content={"success": True})

    def events(self) -> list[dict[str, Any]]:
        """Return the events of all requests."""
        return [event for request in self.requests for event in request.events()]

    def stop(self) -> None:
        """End the server and its connections."""
        self._server.shutdown()
        for connection in self.connections:
            with suppress(OSError):  # most have ended by themselves
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run a collector."""
    running = Collector()
    yield running
    running.stop()


def prompts(app: App) -> list[str]:
    """Return the prompts delivered, in order."""
    return [event["prompt"] for event in app.transport.events]


def adds_up(app: App) -> bool:
    """Say whether every event logged is accounted for."""
    stats = app.client.stats()
    gone = stats["sent"] + stats["refused"] + sum(stats["dropped"].values())
    return bool(stats["logged"] == stats["sampled_out"] + gone + stats["queued"])
