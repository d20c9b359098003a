"""The routes that read: events, runs and totals of the key's project."""

from __future__ import annotations

from datetime import UTC
from itertools import chain
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from watchllm_server.api.answers import (
    ErrorsAnswer,
    EventsAnswer,
    RunAnswer,
    RunsAnswer,
    SeriesAnswer,
    StatsAnswer,
    StatusAnswer,
    json_answer,
)
from watchllm_server.api.openapi import document
from watchllm_server.api.params import (
    ERROR_PARAMETERS,
    EVENT_PARAMETERS,
    EXPORT_PARAMETERS,
    MAX_BODY,
    RUN_EVENTS_PARAMETERS,
    RUN_PARAMETERS,
    SERIES_PARAMETERS,
    STATS_PARAMETERS,
    Parameters,
    Question,
    question_of_body,
    question_of_url,
)
from watchllm_server.api.stretches import stretches
from watchllm_server.errors import Problem, StoreError, invalid_query, store_unavailable
from watchllm_server.observability import note_store_failure
from watchllm_server.query.cursor import CursorError
from watchllm_server.query.errors import error_groups
from watchllm_server.query.events import EventPage, event_by_id, page_of_events
from watchllm_server.query.export import MEDIA_TYPES, export
from watchllm_server.query.filter import Filter
from watchllm_server.query.runs import Run, Whole, page_of_runs, run_by_id
from watchllm_server.query.stretches import recently
from watchllm_server.query.totals import series, totals, totals_with_groups
from watchllm_server.query.tree import parents_of, tree_of

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.requests import Request

    from watchllm_server.auth import Authenticator
    from watchllm_server.clock import Clock
    from watchllm_server.store.base import EventStore


class Api:
    """Answer questions from a store. The project is the key's and never the request's."""

    def __init__(self, store: EventStore, keys: Authenticator, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._document = document()

    def routes(self) -> list[Route]:
        """Return the routes, for the application."""
        return [
            Route("/v1/events/query", self.events, methods=["POST"]),
            Route("/v1/events/{event_id:path}", self.event, methods=["GET"]),
            Route("/v1/runs", self.runs, methods=["GET"]),
            Route("/v1/runs/{run_id:path}", self.run, methods=["GET"]),
            Route("/v1/analytics/stats", self.stats, methods=["GET"]),
            Route("/v1/analytics/timeseries", self.timeseries, methods=["GET"]),
            Route("/v1/analytics/errors", self.errors, methods=["GET"]),
            Route("/v1/export", self.export, methods=["GET"]),
            Route("/healthz", self.healthy, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
        ]

    async def events(self, request: Request) -> Response:
        """Answer POST /v1/events/query."""
        project_id = self._project(request)
        question = question_of_body(await _small_body(request), EVENT_PARAMETERS)
        page: EventPage = await _ask(
            page_of_events,
            self._store,
            question.filter(project_id),
            limit=question["limit"],
            cursor=question["cursor"],
            sort_by=question["sort_by"],
            sort_order=question["sort_order"],
        )
        events = [event.to_wire() for event in page.events]
        return json_answer(EventsAnswer(events, **_next(page)))

    async def event(self, request: Request) -> Response:
        """Answer GET /v1/events/{event_id}."""
        project_id = self._project(request)
        event_id = request.path_params["event_id"]
        event = await _ask(event_by_id, self._store, project_id, event_id)
        if event is None:
            raise Problem(404, "not_found", "There is no event of this id in the project.")
        return json_answer(event.to_wire())

    async def runs(self, request: Request) -> Response:
        """Answer GET /v1/runs."""
        project_id = self._project(request)
        question = _question(request, RUN_PARAMETERS)
        page = await _ask(
            page_of_runs,
            self._store,
            question.filter(project_id, whole_runs=True),
            Whole(statuses=question["status"] or ()),
            limit=question["limit"],
            cursor=question["cursor"],
        )
        return json_answer(RunsAnswer(page.runs, **_next(page)))

    async def run(self, request: Request) -> Response:
        """Answer GET /v1/runs/{run_id} with the summary and the events in order."""
        project_id = self._project(request)
        question = _question(request, RUN_EVENTS_PARAMETERS)
        run_id = request.path_params["run_id"]
        run, page = await _ask(_run, self._store, project_id, run_id, question)
        if run is None:
            raise Problem(404, "not_found", "There is no run of this id in the project.")
        events = [event.to_wire() for event in page.events]
        tree = tree_of(parents_of(page.events))
        return json_answer(RunAnswer(run, events, tree, **_next(page)))

    async def stats(self, request: Request) -> Response:
        """Answer GET /v1/analytics/stats."""
        where, question = self._recently(request, STATS_PARAMETERS)
        group_by = question["group_by"]
        if group_by:
            limit = question["limit"]
            found, groups = await _ask(
                totals_with_groups, self._store, where, group_by, limit=limit
            )
        else:
            found, groups = await _ask(totals, self._store, where), []
        until = question["date_to"]
        return json_answer(StatsAnswer(where.date_from, until, found, group_by, groups))

    async def timeseries(self, request: Request) -> Response:
        """Answer GET /v1/analytics/timeseries."""
        project_id = self._project(request)
        question = _question(request, SERIES_PARAMETERS)
        metric, group_by = question["metric"], question["group_by"]
        start, end, width = stretches(question, self._now())
        found = await _ask(
            series,
            self._store,
            question.filter(project_id, date_from=start, date_to=end),
            metric,
            width=width,
            group_by=group_by,
            limit=question["limit"] if group_by else 1,
        )
        seconds = int(width.total_seconds())
        return json_answer(SeriesAnswer(metric, group_by, start, end, seconds, found))

    async def errors(self, request: Request) -> Response:
        """Answer GET /v1/analytics/errors."""
        where, question = self._recently(request, ERROR_PARAMETERS)
        found = await _ask(error_groups, self._store, where, limit=question["limit"])
        return json_answer(ErrorsAnswer(where.date_from, question["date_to"], found))

    async def export(self, request: Request) -> Response:
        """Answer GET /v1/export, a piece at a time."""
        project_id = self._project(request)
        question = _question(request, EXPORT_PARAMETERS)
        form = question["format"]
        pieces = export(self._store, question.filter(project_id), form)
        # What can fail fails in the first piece, while there still is a status to say so.
        first = await _ask(next, pieces, b"")
        return StreamingResponse(
            chain([first], pieces),
            media_type=MEDIA_TYPES[form],
            headers={"Content-Disposition": f'attachment; filename="events.{form}"'},
        )

    async def healthy(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Answer that the process lives."""
        return json_answer(StatusAnswer("ok"))

    async def ready(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Answer that the store takes events and questions."""
        await _ask(self._store.ping)
        return json_answer(StatusAnswer("ready"))

    async def openapi(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Answer the OpenAPI document."""
        return json_answer(self._document)

    def _recently(self, request: Request, parameters: Parameters) -> tuple[Filter, Question]:
        """Return what is asked, over the last 30 days where it does not say since when."""
        project_id = self._project(request)
        question = _question(request, parameters)
        start = question["date_from"] or recently(self._now())
        return question.filter(project_id, date_from=start), question

    def _project(self, request: Request) -> str:
        return self._keys.project(request.headers.get("authorization"))

    def _now(self) -> datetime:
        return self._clock.now().astimezone(UTC)


def _question(request: Request, parameters: Parameters) -> Question:
    return question_of_url(request.query_params.multi_items(), parameters)


def _run(
    store: EventStore, project_id: str, run_id: str, question: Question
) -> tuple[Run | None, EventPage]:
    run = run_by_id(store, project_id, run_id)
    if run is None:
        return None, EventPage([], None)
    where = Filter(project_id=project_id, run_id=run_id, date_from=run.started_at)
    page = page_of_events(
        store, where, limit=question["limit"], cursor=question["cursor"], sort_order="asc"
    )
    return run, page


async def _ask(question: Any, *arguments: Any, **options: Any) -> Any:
    """Ask on a thread, and turn what can go wrong into the answer's status."""
    try:
        return await run_in_threadpool(question, *arguments, **options)
    except CursorError as error:
        raise invalid_query(f"`cursor` cannot be used: {error}.") from None
    except StoreError as error:
        note_store_failure(error)
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
