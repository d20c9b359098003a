"""Events of the gateway are stored with the redaction of their project."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from conftest import prompt_call
from journals import PLENTY, Shelf, files, journal_in, line
from watchllm_server.errors import MetadataUnavailableError
from watchllm_server.redaction import redaction_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from watchllm_server.redaction import Redaction
    from watchllm_server.rows import Row


def test_events_are_redacted_as_their_project_says(tmp_path: Path) -> None:
    """Events go with the redaction of their project, and nowhere when that is no more."""
    taken: list[tuple[str, Redaction | None]] = []

    class Noted:
        async def add(
            self, rows: Sequence[Row], size: int, redaction: Redaction | None = None
        ) -> None:
            taken.extend((row.event_id, redaction) for row in rows)

    on = redaction_of("on")
    journal = journal_in(tmp_path, Noted(), redactions=lambda: {"open": None, "shut": on})
    for number, project in enumerate(["open", "shut", "gone", "open"]):
        event = prompt_call(event_id=f"e{number}", project_id=project)
        journal.append(json.dumps(event).encode())

    assert asyncio.run(journal.hand_over())
    assert on is not None
    assert sorted(taken, key=lambda each: each[0]) == [("e0", None), ("e1", on), ("e3", None)]
    assert files(tmp_path) == []


def test_events_wait_while_nobody_knows_how_to_redact_them(tmp_path: Path) -> None:
    """When the database of projects is away, nothing is stored and nothing is lost."""

    def away() -> dict[str, Redaction | None]:
        raise MetadataUnavailableError("It is away.")

    shelf = Shelf()
    journal = journal_in(tmp_path, shelf, capacity=PLENTY, redactions=away)
    journal.append(line("e1"))

    assert not asyncio.run(journal.hand_over())
    assert asyncio.run(journal_in(tmp_path, shelf).hand_over())
    assert shelf.ids == ["e1"]
