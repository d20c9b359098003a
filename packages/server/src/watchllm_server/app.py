"""The only place where the parts of the server are wired together."""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Mount, Route

from watchllm_server.access import Access
from watchllm_server.api.admin import Admin
from watchllm_server.api.cache import CacheApi
from watchllm_server.api.decisions import DecisionsAdmin
from watchllm_server.api.gateway_admin import GatewayAdmin
from watchllm_server.api.operation import Operation
from watchllm_server.api.routes import Api
from watchllm_server.auth import Authenticator, Keyring
from watchllm_server.budget import Budget
from watchllm_server.clock import SystemClock
from watchllm_server.errors import MetadataUnavailableError, Problem, metadata_unavailable
from watchllm_server.gateway.service import GatewayService
from watchllm_server.guard import Front, Guard
from watchllm_server.ingest.batch import BatchIngest
from watchllm_server.ingest.commit import GroupCommit
from watchllm_server.ingest.otlp.routes import TracesIngest
from watchllm_server.keeping.backup import Backup
from watchllm_server.keeping.erasure import Eraser
from watchllm_server.keeping.keeper import Keeper
from watchllm_server.keeping.refresher import Refresher
from watchllm_server.observability import CountedLosses, MeasuredStore, Metrics
from watchllm_server.own_prices import OwnPrices
from watchllm_server.pages.routes import page_routes
from watchllm_server.pages.services import Services
from watchllm_server.pages.site import compile_templates
from watchllm_server.pricing import Prices
from watchllm_server.redaction import redaction_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from decimal import Decimal

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from watchllm_server.clock import Clock
    from watchllm_server.credentials import ProjectKeys
    from watchllm_server.gateway.service import GatewayParts
    from watchllm_server.metadata import Metadata
    from watchllm_server.rows import Call
    from watchllm_server.settings import Settings
    from watchllm_server.store.base import EventStore

_MB = 1_000_000


def create_app(
    settings: Settings,
    *,
    store: EventStore,
    metadata: Metadata,
    clock: Clock | None = None,
    prices: Prices | None = None,
    control_token: str = "",
    gateway: GatewayParts | None = None,
    provider_keys: ProjectKeys | None = None,
    when_loaded: Callable[[], object] = lambda: None,
) -> ASGIApp:
    """Return the application. Its lifespan starts the writer, and ends by storing what it has.

    `control_token` admits the commands of this machine. Without the parts of a gateway there is
    none, and without `provider_keys` projects cannot store any. `when_loaded` is called on a thread
    once price lists and templates are there. The store and the metadata stay the caller's to close.
    """
    pricing = OwnPrices(metadata, prices or Prices())
    clock = clock or SystemClock()
    keyring = Keyring(metadata, clock, rate_limit=settings.rate_limit)
    metrics = Metrics(clock)
    commit = GroupCommit(
        MeasuredStore(store, metrics, clock),
        pricing,
        group_events=settings.group_events,
        group_bytes=settings.group_mb * _MB,
        group_seconds=settings.group_ms / 1_000,
        clock=clock,
    )
    keys = Authenticator(keyring, "ingest")
    budget = Budget(settings.queue_mb * _MB)
    metrics.watch_queue(lambda: budget.used)
    ingest = BatchIngest(
        keys,
        commit,
        budget,
        CountedLosses(metadata, metrics),
        body_seconds=settings.body_seconds,
        counts=metrics,
    )
    traces = TracesIngest(keys, commit, budget, body_seconds=settings.body_seconds, counts=metrics)
    access = Access(
        metadata,
        keyring,
        clock,
        password=settings.admin_password,
        public_url=settings.public_url,
        control_token=control_token,
    )
    keeper = Keeper(store, metadata, keyring, clock, retention_days=settings.retention_days)
    service: GatewayService | None = None

    def settle() -> None:
        commit.settle()
        if service:
            service.settle()

    eraser = Eraser(
        store,
        metadata,
        keeper.purge_soon,
        gateway.cache.forget if gateway else None,
        settle,
        removed=gateway.semantic.remove if gateway else None,
    )
    backup = Backup(store, metadata, clock)
    refresh = [pricing.refresh]
    if provider_keys is not None:
        refresh.append(provider_keys.refresh)
    if gateway is not None:
        refresh += [gateway.limiter.refresh, gateway.rules.refresh]
    refresher = Refresher(refresh)
    routes = [
        *ingest.routes(),
        *traces.routes(),
        *Api(store, Authenticator(keyring, "read"), clock).routes(),
        *Admin(access, metadata, eraser, backup, keyring.forget).routes(),
        *GatewayAdmin(access, metadata, pricing, provider_keys).routes(),
        *Operation(store, metrics).routes(),
        *page_routes(
            Services(
                settings=settings,
                store=store,
                metadata=metadata,
                access=access,
                clock=clock,
                keyring=keyring,
                pricing=pricing,
                eraser=eraser,
                provider_keys=provider_keys,
                cache=gateway.cache if gateway else None,
                rules=gateway.rules if gateway else None,
                semantic=gateway.semantic if gateway else None,
            )
        ),
    ]
    if gateway:
        callers = Authenticator(keyring, "gateway")
        routes += _cache_routes(
            gateway, Authenticator(keyring, "read"), callers, access=access, store=store
        )
        service = GatewayService(
            gateway,
            callers,
            commit,
            _cost_at_once(pricing),
            clock,
            redactions=lambda: {
                project.id: redaction_of(project.redact) for project in metadata.projects()
            },
            erasures=metadata.erasures.since,
            body_seconds=settings.body_seconds,
            own=_names_under_v1(routes),
            counts=metrics,
        )
        _watch(metrics, service)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:  # noqa: ARG001 - Starlette's signature
        commit.start()
        keeper.start()
        refresher.start()
        # Loading the price lists takes seconds that no sender should wait for, nor should a visitor
        # wait for the compiling of templates.
        threading.Thread(
            target=_call_each,
            args=(pricing.warm, compile_templates, when_loaded),
            name="warm",
            daemon=True,
        ).start()
        if service:
            service.start()
        yield
        if service:
            await service.close()
        commit.close()
        keeper.close()
        refresher.close()

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            Problem: _answer_problem,
            HTTPException: _answer_http,
            MetadataUnavailableError: _answer_no_metadata,
            Exception: _answer_failure,
        },
    )
    app.router.redirect_slashes = False
    app.state.metrics = metrics
    if service is None:
        return Guard(app, routes, metrics, clock)
    front = Front(service.gateway, app)
    return Guard(front, routes, metrics, clock, service.gateway.paths)


def _call_each(*steps: Callable[[], object]) -> None:
    for step in steps:
        step()


def _cache_routes(
    gateway: GatewayParts,
    readers: Authenticator,
    callers: Authenticator,
    *,
    access: Access,
    store: EventStore,
) -> list[Route]:
    semantic = gateway.semantic
    return [
        *CacheApi(gateway.cache, gateway.rules, semantic, readers, callers).routes(),
        *DecisionsAdmin(access, semantic, store).routes(),
    ]


def _watch(metrics: Metrics, service: GatewayService) -> None:
    metrics.watch_requests(lambda: service.request_bytes)
    metrics.watch_journal(lambda: service.waiting_bytes, lambda: service.lost)


def _names_under_v1(routes: Iterable[BaseRoute]) -> frozenset[str]:
    """Return the first names of what the server itself answers under /v1."""
    paths = [route.path.split("/") for route in routes if isinstance(route, Route | Mount)]
    return frozenset(path[2] for path in paths if path[1:2] == ["v1"])


def _cost_at_once(pricing: OwnPrices) -> Callable[[Call, str], Decimal | None]:
    """Return what prices calls on the event loop, which must not wait for the lists to load."""
    return lambda call, project: pricing.cost(call, project) if pricing.is_warm else None


def _response(problem: Problem) -> Response:
    content = msgspec.json.encode(problem.body)
    return Response(content, problem.status, problem.headers, "application/json")


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for nothing else
    request.app.state.metrics.problem(error.code)
    return _response(error)


async def _answer_no_metadata(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    return _response(metadata_unavailable())


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    if error.status_code == 405:  # noqa: PLR2004 - the status itself
        allowed = ", ".join(_methods(request))
        message = f"{request.method} is not answered here: use {allowed}."
        problem = _response(Problem(405, "method_not_allowed", message))
        problem.headers["Allow"] = allowed
        return problem
    if error.status_code == 404:  # noqa: PLR2004 - the status itself
        message = f"There is nothing at {request.url.path[:200]}."
        return _response(Problem(404, "not_found", message))
    return _response(Problem(error.status_code, "invalid_request", str(error.detail)))


def _methods(request: Request) -> list[str]:
    """Return the methods of the resource at an address; each of them may be a route of its own."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    path = next(each.path for each in routes if each.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for each in routes if each.path == path for method in each.methods or ()})


async def _answer_failure(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    message = "The server made a mistake. Its log says where."
    return _response(Problem(500, "internal_error", message))
