"""How a hit by meaning was decided, for administrators: questions, judges, evidence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from watchllm_server.api.bodies import json_answer, run
from watchllm_server.api.cache import told
from watchllm_server.cache.calibrate import NEVER
from watchllm_server.errors import Problem
from watchllm_server.query.events import event_by_id, format_time

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from watchllm_server.access import Access
    from watchllm_server.cache.semantic import Explained, Semantic
    from watchllm_server.store.base import EventStore


class DecisionsAdmin:
    """Answer administrators of a project how its hits by meaning came about."""

    def __init__(self, access: Access, semantic: Semantic, store: EventStore) -> None:
        self._access = access
        self._semantic = semantic
        self._store = store

    def routes(self) -> list[Route]:
        """Return the routes, for the application."""
        path = "/v1/admin/projects/{project_id}/cache/decisions/{event_id}"
        return [Route(path, self.decision, methods=["GET"])]

    async def decision(self, request: Request) -> Response:
        """Answer how the nearest stored answer to an event's question was judged."""
        project_id: str = request.path_params["project_id"]
        event_id: str = request.path_params["event_id"]
        self._access.administrator(request).check(project_id)
        found = await self._semantic.explain(project_id, event_id)
        if found is None:
            message = "Of no such event is known how it was matched by meaning."
            raise Problem(404, "not_found", message)
        event = await run(event_by_id, self._store, project_id, event_id)
        asked = None if event is None else event.to_wire().get("prompt")
        return json_answer(_explained(event_id, found, asked))


def _explained(event_id: str, found: Explained, asked: Any) -> dict[str, Any]:
    decision, outcome, feedback = found.known
    return {
        "event_id": event_id,
        "at": format_time(datetime.fromtimestamp(decision.at, UTC)),
        "asked": asked,
        "stored": found.stored,
        "stored_event_id": decision.stored_event_id,
        "mode": decision.mode,
        "max_error_rate": decision.max_error_rate,
        "served": decision.served,
        "confidence": decision.confidence,
        "similarity": decision.similarity,
        "trees": decision.trees,
        "network": decision.network,
        "vetoes": decision.vetoes,
        "threshold": None if decision.threshold == NEVER else decision.threshold,
        "group": decision.group,
        "saved_usd": decision.saved_usd,
        "outcome": outcome or None,
        "feedback": feedback or None,
        "groups": [told(group) for group in found.groups],
    }
