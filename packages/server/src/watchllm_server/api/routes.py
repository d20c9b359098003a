"""The routes that read: events and runs of the key's project, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from watchllm_server.api.params import (
    EVENT_PARAMETERS,
    MAX_BODY,
    RUN_EVENTS_PARAMETERS,
    RUN_PARAMETERS,
    Question,
    question_of_body,
    question_of_url,
)
from watchllm_server.errors import Problem, StoreError, invalid_query, store_unavailable
from watchllm_server.query.cursor import CursorError
from watchllm_server.query.events import (
    EventPage,
    event_by_id,
    format_time,
    json_decimal,
    page_of_events,
)
from watchllm_server.query.filter import Filter
from watchllm_server.query.runs import Run, page_of_runs, run_by_id

if TYPE_CHECKING:
    from starlette.requests import Request

    from watchllm_server.auth import Authenticator
    from watchllm_server.store.base import EventStore

_MAX_EVENTS = 1_000
_MAX_RUNS = 1_000
_MAX_RUN_EVENTS = 10_000


class Api:
    """Answer questions from a store. The project is the key's and never the request's."""

    def __init__(self, store: EventStore, keys: Authenticator) -> None:
        self._store = store
        self._keys = keys

    def routes(self) -> list[Route]:
        """Return the routes, for the application."""
        return [
            Route("/v1/events/query", self.events, methods=["POST"]),
            Route("/v1/events/{event_id:path}", self.event, methods=["GET"]),
            Route("/v1/runs", self.runs, methods=["GET"]),
            Route("/v1/runs/{run_id:path}", self.run, methods=["GET"]),
            Route("/healthz", self.healthy, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]

    async def events(self, request: Request) -> Response:
        """Answer POST /v1/events/query."""
        project_id = self._project(request)
        question = question_of_body(await _small_body(request), EVENT_PARAMETERS)
        where = question.filter(project_id, statuses=question.statuses())
        page: EventPage = await _ask(
            page_of_events,
            self._store,
            where,
            limit=question.limit(50, _MAX_EVENTS),
            cursor=question.cursor,
            sort_by=question.sort_by(),
            sort_order=question.sort_order(),
        )
        return _json({"events": [event.to_wire() for event in page.events], **_next(page)})

    async def event(self, request: Request) -> Response:
        """Answer GET /v1/events/{event_id}."""
        project_id = self._project(request)
        event_id = request.path_params["event_id"]
        event = await _ask(event_by_id, self._store, project_id, event_id)
        if event is None:
            raise Problem(404, "not_found", "There is no event of this id in the project.")
        return _json(event.to_wire())

    async def runs(self, request: Request) -> Response:
        """Answer GET /v1/runs."""
        project_id = self._project(request)
        question = question_of_url(request.query_params.multi_items(), RUN_PARAMETERS)
        page = await _ask(
            page_of_runs,
            self._store,
            question.filter(project_id),
            limit=question.limit(50, _MAX_RUNS),
            statuses=question.run_statuses(),
            cursor=question.cursor,
        )
        return _json({"runs": [run_to_wire(run) for run in page.runs], **_next(page)})

    async def run(self, request: Request) -> Response:
        """Answer GET /v1/runs/{run_id} with the summary and the events in order."""
        project_id = self._project(request)
        run_id = request.path_params["run_id"]
        question = question_of_url(request.query_params.multi_items(), RUN_EVENTS_PARAMETERS)
        limit = question.limit(_MAX_RUN_EVENTS, _MAX_RUN_EVENTS)
        run, page = await _ask(_run, self._store, project_id, run_id, limit, question)
        if run is None:
            raise Problem(404, "not_found", "There is no run of this id in the project.")
        events = [event.to_wire() for event in page.events]
        return _json({"run": run_to_wire(run), "events": events, **_next(page)})

    async def healthy(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Answer that the process lives."""
        return _json({"status": "ok"})

    async def ready(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Answer that the store takes events and questions."""
        await _ask(self._store.ping)
        return _json({"status": "ready"})

    def _project(self, request: Request) -> str:
        return self._keys.project(request.headers.get("authorization"))


def run_to_wire(run: Run) -> dict[str, Any]:
    """Return a run's summary as the API answers it."""
    return {
        **asdict(run),
        "started_at": format_time(run.started_at),
        "ended_at": format_time(run.ended_at),
        "cost_usd": json_decimal(run.cost_usd),
    }


def _run(
    store: EventStore, project_id: str, run_id: str, limit: int, question: Question
) -> tuple[Run | None, EventPage]:
    where = Filter(project_id=project_id, run_id=run_id)
    page = page_of_events(store, where, limit=limit, cursor=question.cursor, sort_order="asc")
    return run_by_id(store, project_id, run_id), page


async def _ask(question: Any, *arguments: Any, **options: Any) -> Any:
    """Ask on a thread, and turn what can go wrong into the answer's status."""
    try:
        return await run_in_threadpool(question, *arguments, **options)
    except CursorError as error:
        raise invalid_query(f"`cursor` cannot be used: {error}.") from None
    except StoreError as error:
        raise store_unavailable() from error


async def _small_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Problem(413, "body_too_large", "A query may have 1 MB.")
    return bytes(body)


def _next(page: Any) -> dict[str, Any]:
    return {"has_more": page.next_cursor is not None, "next_cursor": page.next_cursor}


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
