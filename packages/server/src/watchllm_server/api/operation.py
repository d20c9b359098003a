"""GET /metrics, for whoever keeps the server running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from watchllm_server.observability import Metrics
    from watchllm_server.store.base import EventStore


class Operation:
    """Answer what the server counts of itself. It needs no key and tells of no project."""

    def __init__(self, store: EventStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """Return the route, for the application."""
        return [Route("/metrics", self.metrics, methods=["GET"])]

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Answer all metrics in the text that Prometheus reads."""
        text = await run_in_threadpool(self._metrics.text, self._store)
        return Response(text, media_type=CONTENT_TYPE_LATEST)
