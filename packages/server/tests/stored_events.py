"""Events put into a store without HTTP, for questions that both stores must answer alike."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from conftest import prompt_call
from msgspec import Raw
from watchllm_server.events import read_event
from watchllm_server.query.filter import Filter

if TYPE_CHECKING:
    from watchllm_server.store.base import EventStore

DAY = datetime(2026, 11, 24, tzinfo=UTC)
"""The day on which events happen that have no time of their own, at half past nine."""


@dataclass(frozen=True)
class Stored:
    """A project of its own in a store."""

    store: EventStore
    project: str

    def put(self, *events: dict[str, Any]) -> None:
        """Store events; `cost` is what a call cost in US dollars, and is not part of it."""
        rows = []
        for event in events:
            cost = event.pop("cost", None)
            row = read_event(Raw(json.dumps(event).encode()), self.project)
            rows.append((row, None if cost is None else Decimal(cost)))
        self.store.insert_group(rows)

    def where(self, *, days: int = 1, minutes: int = 0, **narrowed: Any) -> Filter:
        """Return a filter of the project from DAY on, `minutes` after midnight."""
        start = DAY + timedelta(minutes=minutes)
        return Filter(self.project, date_from=start, date_to=DAY + timedelta(days), **narrowed)


def stored_in(store: EventStore) -> Stored:
    """Return a new project in a store."""
    return Stored(store, f"proj-{uuid.uuid4().hex[:12]}")


def call(*, cost: str | None = "0.25", **fields: Any) -> dict[str, Any]:
    """Return a prompt call with what it costs in US dollars; None is an unknown price."""
    return {"cost": cost} | prompt_call(**fields)


def failed_check(kind: str, **fields: Any) -> dict[str, Any]:
    """Return an event of a type that is not a call: error, failed assertion, hallucination."""
    return {
        "event_id": str(uuid.uuid4()),
        "event_type": kind,
        "run_id": "run-1",
        "timestamp": "2026-11-24T09:30:00Z",
    } | fields
