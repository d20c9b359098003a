"""Fixtures of the gateway: on a real port, in front of providers that each test scripts."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
import uuid
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
import uvicorn
from upstream import Upstream
from watchllm_server.auth import Authenticator, Keyring
from watchllm_server.budget import Budget, too_many_calls
from watchllm_server.cache import local
from watchllm_server.cache.entry import Entry
from watchllm_server.cache.flights import Flights, Leader
from watchllm_server.cache.judgements import Judgements
from watchllm_server.cache.questions import Questions
from watchllm_server.cache.rules import Rules
from watchllm_server.cache.semantic import Semantic
from watchllm_server.cache.store import CacheStore
from watchllm_server.cache_settings import read_matching
from watchllm_server.clock import SystemClock
from watchllm_server.gateway.flow import Flow
from watchllm_server.gateway.forward import Forward
from watchllm_server.gateway.meaning import ByMeaning
from watchllm_server.gateway.providers.ask import Asker
from watchllm_server.gateway.providers.base import NoCredentials, Provider, Providers
from watchllm_server.gateway.providers.client import Client
from watchllm_server.gateway.providers.registry import Registry
from watchllm_server.gateway.relay import Relay
from watchllm_server.gateway.routes import Gateway
from watchllm_server.gateway.service import GatewayParts
from watchllm_server.gateway.shapes import SHAPES
from watchllm_server.limits import Limiter
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send
    from watchllm_server import rows
    from watchllm_server.cache.flights import Follower
    from watchllm_server.gateway.record import Call
    from watchllm_server.metadata import Metadata

LONGEST = 20  # seconds that a test waits for what must happen


@dataclass
class Notes:
    """A ledger that keeps the calls for the test to read."""

    calls: queue.Queue[Call] = field(default_factory=queue.Queue)

    def record(self, call: Call) -> None:
        """Keep a call."""
        self.calls.put(call)

    def next(self) -> Call:
        """Return the next call, waiting for it."""
        return self.calls.get(timeout=LONGEST)


class CountedFlights(Flights[bool, Entry]):
    """Flights that tell a test of each request that follows another's call."""

    def __init__(self) -> None:
        super().__init__()
        self.followers = threading.Semaphore(0)

    def join(self, key: bytes) -> Leader[bool, Entry] | Follower[bool, Entry]:
        """Return the seat of a request."""
        seat = super().join(key)
        if not isinstance(seat, Leader):
            self.followers.release()
        return seat


@dataclass
class Running:
    """A gateway that serves, a key for it, and what it recorded."""

    port: int
    key: str
    notes: Notes
    flights: CountedFlights
    metadata: Metadata
    budget: Budget
    project: str
    cache: CacheStore

    @property
    def url(self) -> str:
        """Return what clients take as their base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def with_another_project(self) -> Running:
        """Return the same gateway with the key of a new project."""
        project = self.metadata.create_project(f"gateway {uuid.uuid4().hex[:8]}")
        return replace(self, key=self.metadata.create_key(project.id)[1], project=project.id)

    def wait_for_followers(self, number: int) -> None:
        """Return when so many requests wait for another's call."""
        for _ in range(number):
            assert self.flights.followers.acquire(timeout=LONGEST)

    def see_all(self) -> None:
        """Return when the gateway has seen all that happened on its connections before this."""
        with self.client() as client:
            client.post("/v1/chat/completions", content=b"no JSON")

    def client(self) -> httpx2.Client:
        """Return a plain HTTP client that has the key."""
        return httpx2.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=LONGEST,
        )

    def post(self, path: str = "/v1/chat/completions", **request: Any) -> httpx2.Response:
        """Post a request; `headers` are headers, all else is the body."""
        headers = request.pop("headers", {})
        with self.client() as client:
            return client.post(path, json=request, headers=headers)


def parts_of(folder: Path, metadata: Metadata, cache: CacheStore) -> GatewayParts:
    """Return the parts of a gateway without providers, whose journal is in a folder."""
    return GatewayParts(
        Providers({}, {}),
        cache,
        rules=Rules(metadata, 3_600),
        journal=folder / "journal",
        journal_seal=Secret(b"of the tests").seal("journal"),
        journal_bytes=1_000_000,
        body_bytes=1_000_000,
        memory_bytes=1_000_000,
        limiter=Limiter(metadata, SystemClock()),
        semantic=without_model(folder),
    )


def without_model(folder: Path) -> Semantic:
    """Return a lookup by meaning that has no model, with its files in a folder."""
    load = partial(local.load, folder / "none")
    secret = Secret(b"of the tests")
    return Semantic(load, Questions(folder, secret), Judgements(folder), SystemClock())


def chat(**fields: Any) -> dict[str, Any]:
    """Return a chat request."""
    messages = [{"role": "user", "content": "Say hello."}]
    return {"model": "gpt-4o", "messages": messages, **fields}


class Server:
    """A uvicorn in a thread. The application is made on its event loop."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._ready = threading.Event()
        self._make = make
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(LONGEST)

    async def _run(self) -> None:
        app, close = self._make()
        listener = socket.create_server(("127.0.0.1", 0))
        # The port is open from here on: what asks before all is ready simply waits.
        self.port: int = listener.getsockname()[1]
        config = uvicorn.Config(app, http="httptools", loop="none", log_config=None, lifespan="off")
        self._server = uvicorn.Server(config)
        self._ready.set()
        await self._server.serve([listener])
        await close()

    def stop(self) -> None:
        """End it; what is under way is cut short."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(LONGEST)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Run a provider that answers every chat with the same words."""
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def other_upstream() -> Iterator[Upstream]:
    """Run a second provider."""
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def start(metadata: Metadata, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Return what starts gateways, which end with the test."""
    started: list[Server] = []
    caches: list[CacheStore] = []

    def run(
        *providers: Provider,
        fallbacks: dict[str, tuple[str, ...]] | None = None,
        body_bytes: int = 1_000_000,
        memory_bytes: int = 20_000_000,
        lifetime: Callable[[str, str], float] = lambda _, __: 3_600,
        cost: Callable[[rows.Call, str], Decimal | None] = lambda _, __: Decimal("0.002"),
        semantic: Semantic | None = None,
        matching: str = "shadow",
    ) -> Running:
        project = metadata.create_project(f"gateway {uuid.uuid4().hex[:8]}")
        _, secret = metadata.create_key(project.id)
        notes = Notes()
        semantic = semantic or without_model(tmp_path / f"meaning-{project.id}")
        budget = Budget(memory_bytes, too_many_calls)
        flights = CountedFlights()
        folder = tmp_path / f"cache-{project.id}"
        cache = CacheStore(
            folder,
            Secret(b"of the tests"),
            max_bytes=10_000_000,
            clock=SystemClock(),
            also=semantic.forget,
        )
        caches.append(cache)
        clock = SystemClock()

        def make() -> Any:
            client = Client()
            known = Providers({each.name: each for each in providers}, fallbacks or {})
            registry, asker = Registry(known, NoCredentials()), Asker(client, clock)
            relay = Relay(asker, cache, cost, clock, lifetime=lifetime)
            rules = Rules(metadata, 3_600, read_matching(matching))
            # Each hit is compared, so that no test depends on chance.
            by_meaning = ByMeaning(semantic, cache, rules, clock, share=1.0, patience=LONGEST)
            flow = Flow(
                registry, relay, cache, notes, clock, by_meaning=by_meaning, flights=flights
            )
            gateway = Gateway(
                SHAPES,
                Authenticator(Keyring(metadata, clock), "gateway"),
                flow,
                Forward(registry, asker, notes, clock),
                registry=registry,
                clock=clock,
                budget=budget,
                body_bytes=body_bytes,
                body_seconds=LONGEST,
            )

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                assert gateway.handles(scope)
                await gateway(scope, receive, send)

            async def close() -> None:
                await by_meaning.close()
                await client.close()

            return app, close

        server = Server(make)
        started.append(server)
        return Running(server.port, secret, notes, flights, metadata, budget, project.id, cache)

    yield run
    for server in started:
        server.stop()
    for cache in caches:
        cache.close()


@pytest.fixture
def gateway(start: Callable[..., Running], upstream: Upstream) -> Running:
    """Run a gateway in front of the first provider."""
    return start(openai_at(upstream))


def openai_client(gateway: Running) -> openai.OpenAI:
    """Return OpenAI's own client with the two settings that lead it to the gateway."""
    return openai.OpenAI(base_url=gateway.url, api_key=gateway.key, max_retries=0)


def openai_at(upstream: Upstream | None, **fields: Any) -> Provider:
    """Return a provider of OpenAI's API that asks a scripted server."""
    told = {"name": "openai", "key": "sk-of-the-server", "models": ("gpt-*",), **fields}
    told.setdefault("configured", bool(told["key"]))
    if upstream is not None:
        told["base_url"] = upstream.url
    return Provider(**told)
