"""Journals of the gateway's events for tests, and what they hand over to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conftest import prompt_call
from watchllm_server.errors import Problem
from watchllm_server.gateway.journal import Journal
from watchllm_server.gateway.lines import Lines
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from watchllm_server.gateway.journal import Commit
    from watchllm_server.metadata import Erasure
    from watchllm_server.redaction import Redaction
    from watchllm_server.rows import Row

PLENTY = 100_000_000
SEAL = Secret(b"of the tests").seal("journal")


def known() -> dict[str, Redaction | None]:
    """Return the one project there is, in whose events nothing is replaced."""
    return {"p": None}


def journal_in(folder: Path, commit: Commit, **fields: Any) -> Journal:
    """Return a journal, by default with room for all and with one project."""
    told: dict[str, Any] = {
        "capacity": PLENTY,
        "seal": SEAL,
        "redactions": known,
        "erasures": none,
    }
    return Journal(folder, commit, **(told | fields))


def none(since: datetime) -> list[Erasure]:
    """Return that nothing was erased."""
    return []


class Shelf:
    """What takes rows, unless it is away or they have an id that it never takes."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.models: list[Any] = []
        self.away = False
        self.refused: set[str] = set()
        self.asked = 0

    async def add(self, rows: Sequence[Row], size: int, redaction: Redaction | None = None) -> None:
        self.asked += 1
        ids = [row.event_id for row in rows]
        if self.away or self.refused.intersection(ids):
            raise Problem(503, "store_unavailable", "Not now.", retry_after=1)
        self.ids += ids
        self.models += [row.columns.model for row in rows]


def line(event_id: str, **fields: Any) -> bytes:
    """Return the line of an event."""
    return json.dumps(prompt_call(event_id=event_id, project_id="p", **fields)).encode()


def sealed(*events: bytes) -> bytes:
    """Return what a file holds of events."""
    return b"".join(map(Lines(SEAL).close, events))


def files(folder: Path) -> list[str]:
    """Return the names of the files that wait."""
    return sorted(path.name for path in folder.iterdir())
