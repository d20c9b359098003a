"""The real engine, the application in process, and real servers, for every test."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from engines import REAL, ClickHouseProcess
from hypothesis import settings
from postgres import running_with_vectors
from starlette.testclient import TestClient
from watchllm_server.address import parse_address
from watchllm_server.app import create_app
from watchllm_server.clock import SystemClock
from watchllm_server.credentials import ProjectKeys
from watchllm_server.metadata import Metadata
from watchllm_server.pricing import Prices
from watchllm_server.secrets import Secret
from watchllm_server.settings import load_settings
from watchllm_server.store.clickhouse import ClickHouseStore
from watchllm_server.store.embedded import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp
    from watchllm_server.store.base import EventStore

pytest_plugins = ["gateways"]
# A deadline would be a time that a test asserts, and a busy machine exceeds any.
settings.register_profile(
    "unhurried",
    settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "default")),
    deadline=None,
)
settings.load_profile("unhurried")

CONTRACT = next(
    folder / "contract" for folder in Path(__file__).parents if (folder / "contract").is_dir()
)
KEY = "wllm_key-of-the-server-tests-0123456789"


@pytest.fixture(autouse=True, scope="session")
def signals_as_in_a_terminal() -> None:
    """Heed the signals that whoever runs the tests may ignore, as nohup does.

    A process that a test starts would inherit that, and never hear Ctrl-C.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def prompt_call(**fields: Any) -> dict[str, Any]:
    """Return a valid prompt call of an id of its own; None takes a field away."""
    event = {
        "event_id": str(uuid.uuid4()),
        "event_type": "prompt_call",
        "run_id": "run-1",
        "timestamp": "2026-11-24T09:30:00.123Z",
        "prompt": "What is machine learning?",
        "response": "A subset of AI.",
        "model": "gpt-4o",
        "tokens_input": 12,
        "tokens_output": 45,
        "latency_ms": 1250,
        "status": "success",
    }
    return {name: value for name, value in (event | fields).items() if value is not None}


@dataclass(frozen=True)
class Account:
    """A project, its key, and the application that serves them."""

    project: str
    key: str
    client: TestClient

    @property
    def headers(self) -> dict[str, str]:
        """Return what authenticates a request."""
        return {"Authorization": f"Bearer {self.key}"}

    def send(self, *events: Any) -> dict[str, Any]:
        """Post events and return the answer, which must be 200."""
        status, answer = self.post("/v1/events/batch", json.dumps({"events": events}).encode())
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
        """Post a body and return status and JSON."""
        answer = self.client.post(path, content=body, headers={**self.headers, **headers})
        return answer.status_code, answer.json()

    def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON of a GET."""
        answer = self.client.get(path, headers=self.headers)
        return answer.status_code, answer.json()

    def query(self, **question: Any) -> dict[str, Any]:
        """Return the answer to a query of events, which must be 200."""
        status, answer = self.post("/v1/events/query", json.dumps(question).encode())
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    def ids(self, **question: Any) -> list[str]:
        """Return the ids of the events that a query finds."""
        return [event["event_id"] for event in self.query(**question)["events"]]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """Open the engine: one a process, so that tests share it and use projects of their own."""
    opened = EmbeddedStore(tmp_path_factory.mktemp("events"), memory_bytes=800_000_000)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def embedded_store(store: EmbeddedStore) -> EmbeddedStore:
    """Return the engine by a name that no file of tests redefines."""
    return store


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    """Run a ClickHouse server; its users take databases of their own."""
    server = ClickHouseProcess(tmp_path_factory.mktemp("clickhouse"))
    yield server
    server.kill()


@pytest.fixture(scope="module", params=["embedded", "clickhouse", *(["real"] if REAL else [])])
def any_store(request: pytest.FixtureRequest) -> Iterator[EventStore]:
    """Open each store in turn: the embedded one, one over HTTP, and one of a real server if set."""
    if request.param == "embedded":
        yield request.getfixturevalue("embedded_store")
        return
    url = REAL if request.param == "real" else request.getfixturevalue("clickhouse").url()
    opened = ClickHouseStore(parse_address(url))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metadata]:
    """Open a database of projects and keys."""
    opened = Metadata(tmp_path_factory.mktemp("metadata") / "metadata.db", SystemClock())
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def prices() -> Prices:
    """Load the price lists once."""
    loaded = Prices()
    loaded.warm()
    return loaded


@pytest.fixture(scope="session")
def app(store: EmbeddedStore, metadata: Metadata, prices: Prices) -> ASGIApp:
    """Wire the application as the server does."""
    return create_app(
        load_settings({}),
        store=store,
        metadata=metadata,
        prices=prices,
        provider_keys=ProjectKeys(metadata, Secret(b"s" * 32)),
    )


@pytest.fixture(scope="session")
def client(app: ASGIApp) -> Iterator[TestClient]:
    """Serve the application in process, to a browser on the same machine."""
    with TestClient(
        app,
        base_url="http://127.0.0.1:8787",
        client=("127.0.0.1", 50_000),
        follow_redirects=False,
        raise_server_exceptions=False,
    ) as opened:
        yield opened


_numbers = itertools.count()


@pytest.fixture
def new_account(client: TestClient, metadata: Metadata) -> Callable[[], Account]:
    """Return what makes accounts, each a new project with a key."""

    def make() -> Account:
        project = metadata.create_project(f"project {next(_numbers)} {uuid.uuid4().hex[:8]}")
        _, secret = metadata.create_key(project.id)
        return Account(project.id, secret, client)

    return make


@pytest.fixture
def account(new_account: Callable[[], Account]) -> Account:
    """Return a new project with a key."""
    return new_account()


class Server:
    """A `watchllm serve` in a process of its own."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "watchllm_server", "serve", "--port", "0"),
                *("--data-dir", str(directory)),
            ],
            env={
                **os.environ,
                "WATCHLLM_INIT_PROJECT_ID": "proj-tests",
                "WATCHLLM_INIT_API_KEY": KEY,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        # The port is open by the time it is named: what asks before all is ready simply waits.
        self.first_line = self.process.stdout.readline()
        self.port = int(self.first_line.split(",")[0].rpartition(":")[2] or 0)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=100)
        return self.process.returncode


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Return what starts servers, which end with the test."""
    started: list[Server] = []

    def start(directory: Path, **environment: str) -> Server:
        server = Server(directory, **environment)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop(signal.SIGKILL)


def utc(text: str) -> datetime:
    """Return a time of day in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(scope="session")
def pgvector_url() -> Iterator[str]:
    """Run a PostgreSQL with pgvector once for all tests that ask for it."""
    with running_with_vectors() as url:
        yield url


@pytest.fixture(scope="session")
def model_source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return a folder with a small model as one is published, and the sums of its files."""
    from tiny_model import write_source  # noqa: PLC0415 - few tests need what it loads

    folder = tmp_path_factory.mktemp("source")
    return folder, write_source(folder)


@pytest.fixture(scope="session")
def model_folder(
    model_source: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder that serves, made from that."""
    from watchllm_server.cache import models  # noqa: PLC0415 - likewise

    source, sums = model_source
    target = tmp_path_factory.mktemp("models") / "made"
    models.build(source, target, sums)
    return target
