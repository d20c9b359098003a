"""What the gateway recorded, read back."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Server


def events_of(server: Server, run_id: str, count: int) -> list[dict[str, Any]]:
    """Return the events of a run, once there are so many; they are stored a moment later."""
    question = json.dumps({"run_id": run_id, "limit": 100, "sort_order": "asc"}).encode()
    deadline = time.monotonic() + 100
    while True:
        status, text = server.post("/v1/events/query", question)
        assert status == 200, text
        found: list[dict[str, Any]] = json.loads(text)["events"]
        if len(found) >= count or time.monotonic() > deadline:
            return found
