"""Run the server: take the port, own the data directory, open what is in it, and end in order."""

from __future__ import annotations

import ipaddress
import signal
import socket
import sqlite3
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

import uvicorn
from rich.console import Console
from rich.rule import Rule

from watchllm_server import datadir
from watchllm_server.app import create_app
from watchllm_server.cache import local
from watchllm_server.cache.disk import FOLDER
from watchllm_server.cache.judgements import Judgements
from watchllm_server.cache.questions import Questions
from watchllm_server.cache.rules import Rules
from watchllm_server.cache.semantic import Semantic
from watchllm_server.cache.store import CacheStore
from watchllm_server.clock import SystemClock
from watchllm_server.control import announced
from watchllm_server.credentials import ProjectKeys
from watchllm_server.errors import MetadataError, StartError
from watchllm_server.gateway.endpoint import SECONDS, Endpoints
from watchllm_server.gateway.meaning import PATIENCE
from watchllm_server.gateway.providers.client import Client
from watchllm_server.gateway.providers.known import providers_of
from watchllm_server.gateway.service import GatewayParts
from watchllm_server.heap import (
    give_back_large_blocks,
    give_back_what_the_engine_left,
    look_past_what_stays,
)
from watchllm_server.limits import Limiter
from watchllm_server.metadata import Metadata
from watchllm_server.metadata.database import check_project_id, check_secret
from watchllm_server.observability import set_up_logging
from watchllm_server.provider_settings import ProviderSettings
from watchllm_server.secrets import load_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from watchllm_server.cache.entry import Chosen
    from watchllm_server.cache.pgvector import SharedQuestions
    from watchllm_server.metadata import Project
    from watchllm_server.secrets import Secret
    from watchllm_server.settings import Settings
    from watchllm_server.store.base import EventStore

_HERE = frozenset({"minilm", "none"})
_BACKLOG = 2_048
# Requests in flight get so long; the writer and the store need the rest of five seconds.
_GRACE_SECONDS = 3
_MB = 1_000_000
_FIRST_PROJECT = "default"


def serve_forever(settings: Settings, told: ProviderSettings | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C and return the exit code; `told` is what is said of providers.

    Raises StartError with the one sentence that says why it cannot start.
    """
    set_up_logging(as_json=settings.log_format == "json", level=settings.log_level)
    give_back_large_blocks()
    give_back_what_the_engine_left()
    clock = SystemClock()
    providers = providers_of(told or ProviderSettings(), settings.default_provider)
    with ExitStack() as stack:
        _check_init(settings)
        listener = stack.enter_context(closing(_listen(settings)))
        directory = datadir.prepare(settings.data_dir)
        stack.enter_context(datadir.owned(directory))
        metadata = stack.enter_context(closing(Metadata(settings.metadata_place, clock)))
        _heed_init(metadata, settings)
        store = stack.enter_context(closing(open_store(settings, directory)))
        secret = load_secret(directory, settings.secret_key)
        provider_keys = ProjectKeys(metadata, secret)
        client = Client()
        endpoints = Endpoints(providers, client, clock)
        semantic = _open_semantic(settings, directory, secret, clock, endpoints)
        cache = stack.enter_context(
            closing(_open_cache(settings, directory, secret, clock, semantic.forget))
        )
        address = _address(listener)
        _introduce(metadata, settings, address)
        control = stack.enter_context(announced(directory, address))
        config = uvicorn.Config(
            create_app(
                settings,
                store=store,
                metadata=metadata,
                clock=clock,
                control_token=control.token,
                gateway=GatewayParts(
                    providers,
                    cache,
                    rules=Rules(metadata, settings.cache_ttl, settings.cache_semantic),
                    journal=directory / "journal",
                    journal_seal=secret.seal("journal"),
                    journal_bytes=settings.journal_mb * _MB,
                    body_bytes=settings.gateway_body_mb * _MB,
                    memory_bytes=settings.gateway_memory_mb * _MB,
                    limiter=Limiter(metadata, clock),
                    semantic=semantic,
                    client=client,
                    patience=_patience(settings),
                    compared_share=settings.cache_compared_percent / 100,
                    credentials=provider_keys,
                ),
                provider_keys=provider_keys,
                when_loaded=look_past_what_stays,
            ),
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = uvicorn.Server(config)
        _stop_on_signals(server)
        server.run(sockets=[listener])
        return 0 if server.started else 1


def open_store(settings: Settings, directory: Path) -> EventStore:
    """Open the store that is set, whose engine alone is loaded; raise StartError."""
    if settings.store is not None:
        from watchllm_server.store.clickhouse import ClickHouseStore  # noqa: PLC0415

        return ClickHouseStore(settings.store)
    from watchllm_server.store.embedded import EmbeddedStore  # noqa: PLC0415

    return EmbeddedStore(directory / "events", memory_bytes=settings.memory_mb * _MB)


def _share(url: str, secret: Secret, clock: SystemClock) -> SharedQuestions:
    try:
        from watchllm_server.cache.pgvector import SharedQuestions  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise StartError(
            f"The package {error.name} is missing: install watchllm-server[semantic]."
        ) from None
    return SharedQuestions(url, secret, clock)


def _patience(settings: Settings) -> float:
    """Return how long a request waits for a lookup, in which models elsewhere may be asked."""
    elsewhere = settings.embedder not in _HERE, bool(settings.cache_reviewer)
    return PATIENCE + SECONDS * sum(elsewhere)


def _open_semantic(
    settings: Settings,
    directory: Path,
    secret: Secret,
    clock: SystemClock,
    endpoints: Endpoints,
) -> Semantic:
    """Open what is known of questions; their model is loaded once there is use for it."""
    folder = directory / FOLDER
    url, named = settings.cache_questions_url, settings.embedder
    embedder = None if named in _HERE else endpoints.embedder(named)
    reviewer = endpoints.reviewer(settings.cache_reviewer) if settings.cache_reviewer else None
    try:
        decided = Judgements(folder)
        shared = _share(url, secret, clock) if url else None
        questions = Questions(folder, secret) if shared is None else shared
    except (sqlite3.Error, OSError) as error:
        raise StartError(f"The cache in {folder} cannot be used: {error}.") from None
    load = partial(local.load, directory / local.FOLDER, embedder, shared)
    used = None if named == "none" else load
    wanted = settings.cache_semantic.mode == "serve"
    return Semantic(used, questions, decided, clock, reviewer=reviewer, wanted=wanted)


def _open_cache(
    settings: Settings,
    directory: Path,
    secret: Secret,
    clock: SystemClock,
    also: Callable[[str, Chosen], object],
) -> CacheStore:
    try:
        return CacheStore(
            directory / FOLDER, secret, max_bytes=settings.cache_mb * _MB, clock=clock, also=also
        )
    except (sqlite3.Error, OSError) as error:
        raise StartError(f"The cache in {directory / FOLDER} cannot be used: {error}.") from None


def _check_init(settings: Settings) -> None:
    """Refuse a first project or key that cannot be, before anything is made."""
    try:
        check_project_id(settings.init_project_id or None)
        if settings.init_api_key:
            check_secret(settings.init_api_key)
    except MetadataError as error:
        raise StartError(f"WATCHLLM_INIT_PROJECT_ID or WATCHLLM_INIT_API_KEY: {error}") from None


def _listen(settings: Settings) -> socket.socket:
    """Take the port before anything else is touched, so that a clash costs nothing."""
    host, port = settings.host, settings.port
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        message = f"There is no address {host!r} to listen on: choose another --host."
        raise StartError(message) from None
    if not settings.admin_password and not ipaddress.ip_address(str(address[0])).is_loopback:
        raise StartError(
            f"Others could reach the pages at {host}: set WATCHLLM_ADMIN_PASSWORD to 12 characters "
            "or more, or listen with --host 127.0.0.1."
        )
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(
            f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port or "
            "--host, or stop the process that listens there."
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _heed_init(metadata: Metadata, settings: Settings) -> None:
    """Make the project and key that the environment asks for, where they are not there yet."""
    if not (settings.init_project_id or settings.init_api_key):
        return
    project = _project(metadata, settings.init_project_id or _FIRST_PROJECT)
    if settings.init_api_key:
        metadata.create_key(project.id, name="from the environment", secret=settings.init_api_key)


def _introduce(metadata: Metadata, settings: Settings, address: str) -> None:
    """Make the first project and key where there are none, and say how to reach the server."""
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    say(f"WatchLLM listens on {address}, and keeps its data in {settings.data_dir}.")
    if settings.store is not None:
        say(f"It keeps its events in the ClickHouse server at {settings.store}.")
    if settings.init_api_key or (metadata.projects() and not settings.init_project_id):
        return
    project = _project(metadata, settings.init_project_id or _FIRST_PROJECT)
    if metadata.all_keys(project.id):
        return
    _, secret = metadata.create_key(project.id, name="first key")
    console.print(Rule("Paste this where your app runs. The key is shown this once.", style="dim"))
    say(f"export WATCHLLM_BASE_URL={address}/v1")
    say(f"export WATCHLLM_PROJECT_ID={project.id}")
    say(f"export WATCHLLM_API_KEY={secret}")
    console.print(Rule(style="dim"))


def _project(metadata: Metadata, name: str) -> Project:
    return metadata.project(name) or metadata.create_project(name, project_id=name)


def _stop_on_signals(server: uvicorn.Server) -> None:
    """End with exit code 0 on SIGTERM and Ctrl-C.

    While it serves, uvicorn has handlers of its own; when it has ended it raises the signal again,
    for the handlers that were there before. These are those.
    """

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
        if not server.started:
            raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
