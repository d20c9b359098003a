"""The routes of the gateway's cache: what a project has there, what was wrong, forgetting it."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from watchllm_server.api.bodies import json_answer, read_json
from watchllm_server.cache.calibrate import NEVER
from watchllm_server.cache.entry import Chosen
from watchllm_server.cache.judgements import Total
from watchllm_server.errors import Problem
from watchllm_server.query.events import format_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from watchllm_server.auth import Authenticator
    from watchllm_server.cache.evidence import Group
    from watchllm_server.cache.rules import Rules
    from watchllm_server.cache.semantic import Semantic
    from watchllm_server.cache.store import CacheStore

_MOST_GROUPS = 20
_COUNTED = (
    *("hits", "would_be_hits", "candidates", "same", "different", "untold"),
    *("reported_right", "reported_wrong"),
)
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Invalidation(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/cache/invalidate: `all`, or conditions that must all be true.

    Answers made earlier than `before` are meant, and those made at `after` or later; `event_id` is
    that of the call which made the answer.
    """

    all: bool | None = None
    model: str | None = None
    namespace: str | None = None
    before: _Moment | None = None
    after: _Moment | None = None
    event_id: str | None = None

    def chosen(self) -> Chosen:
        """Return the answers that are meant; raise the Problem that answers 400 to none or both."""
        before, after = (
            None if moment is None else moment.timestamp() for moment in (self.before, self.after)
        )
        chosen = Chosen(self.model, self.namespace, before, after, self.event_id)
        if bool(self.all) == (chosen != Chosen()):
            message = (
                'Say {"all": true}, or which answers are meant by `model`, `namespace`, `before`, '
                "`after` and `event_id`."
            )
            raise Problem(400, "invalid_request", message)
        return chosen


class Feedback(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/cache/feedback: whether a semantic hit's answer was the right one."""

    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    correct: bool


class CacheApi:
    """Answer about the cache of the key's project.

    `readers` may see what there is, `callers` may forget it: they can ask for it again.
    """

    def __init__(
        self,
        store: CacheStore,
        rules: Rules,
        semantic: Semantic,
        readers: Authenticator,
        callers: Authenticator,
    ) -> None:
        self._store = store
        self._rules = rules
        self._semantic = semantic
        self._readers = readers
        self._callers = callers

    def routes(self) -> list[Route]:
        """Return the routes, for the application."""
        return [
            Route("/v1/cache/stats", self.stats, methods=["GET"]),
            Route("/v1/cache/invalidate", self.invalidate, methods=["POST"]),
            Route("/v1/cache/feedback", self.feedback, methods=["POST"]),
        ]

    async def stats(self, request: Request) -> Response:
        """Answer how many answers are kept, and what those that were served again have saved."""
        project_id = self._readers.project(request.headers.get("authorization"))
        sums = await _do(self._store.stats, project_id)
        return json_answer(
            {
                "entries": sums.entries,
                "bytes": sums.bytes,
                "oldest_at": _time(sums.oldest),
                "newest_at": _time(sums.newest),
                "hits": sums.hits,
                "saved_usd": round(sums.saved_usd, 10),
                "semantic": await self._matched(project_id),
            }
        )

    async def invalidate(self, request: Request) -> Response:
        """Forget the answers that the body means, and answer how many those were."""
        project_id = self._callers.project(request.headers.get("authorization"))
        chosen = (await read_json(request, Invalidation)).chosen()
        count = await _do(self._store.invalidate, project_id, chosen)
        return json_answer({"entries_invalidated": count})

    async def feedback(self, request: Request) -> Response:
        """Take a user's word for a semantic hit: what was wrongly served is forgotten at once."""
        project_id = self._callers.project(request.headers.get("authorization"))
        said = await read_json(request, Feedback)
        decision = await self._semantic.judged(project_id, said.event_id, correct=said.correct)
        if not decision:
            message = "No semantic hit of this event, or would-be hit, is known in the project."
            raise Problem(404, "not_found", message)
        count = 0
        if decision.served and not said.correct:
            wrong = Chosen(event_id=decision.stored_event_id)
            count = await _do(self._store.invalidate, project_id, wrong)
        return json_answer({"entries_invalidated": count})

    async def _matched(self, project_id: str) -> dict[str, Any]:
        """Return what is known of a project's hits by meaning."""
        rule = self._rules.matching(project_id, "")
        found = await self._semantic.stats(project_id, rule.max_error_rate, _MOST_GROUPS)
        counted = {name: found.totals.get(name, Total()) for name in _COUNTED}
        groups = [told(group) for group in found.groups]
        return {
            "status": self._semantic.status,
            "mode": rule.mode,
            "max_error_rate": rule.max_error_rate,
            "hits": counted["hits"].times,
            "saved_usd": round(counted["hits"].usd, 10),
            "would_be_hits": counted["would_be_hits"].times,
            "missed_usd": round(counted["would_be_hits"].usd, 10),
            "candidates": counted["candidates"].times,
            "compared": counted["same"].times + counted["different"].times,
            "different": counted["different"].times,
            "untold": counted["untold"].times,
            "reported_right": counted["reported_right"].times,
            "reported_wrong": counted["reported_wrong"].times,
            "groups": groups,
        }


def told(group: Group) -> dict[str, Any]:
    """Return what is known of a group, as it is answered."""
    share, low, high, compared = group.error
    return {
        "name": group.name,
        "threshold": None if group.threshold == NEVER else group.threshold,
        "error": {"share": share, "low": low, "high": high, "comparisons": compared},
        "reported": group.reported,
        "restarts": group.restarts,
    }


async def _do(work: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return await run_in_threadpool(work, *arguments)
    except sqlite3.Error as error:
        message = "The cache cannot use its file now. Try again later."
        raise Problem(503, "cache_unavailable", message, retry_after=5) from error


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else format_time(datetime.fromtimestamp(seconds, UTC))
