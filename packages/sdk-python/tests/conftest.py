"""A client whose transport is in memory, a collector on a real port, and the contract's bodies."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from collector import Collector
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
