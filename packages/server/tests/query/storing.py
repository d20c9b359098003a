"""Events put straight into a store, for tests of questions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Raw
from watchllm_server.events import read_event

if TYPE_CHECKING:
    from decimal import Decimal

    from watchllm_server.store.base import EventStore


def put(
    store: EventStore, project: str, *events: dict[str, Any], cost: Decimal | None = None
) -> None:
    """Store events of a project, each at the same cost."""
    rows = [read_event(Raw(json.dumps(event).encode()), project) for event in events]
    store.insert_group([(row, cost) for row in rows])
