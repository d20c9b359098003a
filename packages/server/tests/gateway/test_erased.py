"""What was erased while it waited for the event store."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from conftest import prompt_call
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.gateway.erased import without_erased
from watchllm_server.gateway.journal import Journal
from watchllm_server.gateway.lines import row_of
from watchllm_server.metadata.keys import hash_secret
from watchllm_server.metadata.models import Erasure
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from watchllm_server.redaction import Redaction
    from watchllm_server.rows import Row

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
_NAMES = st.sampled_from(["jane", "joe", 'j"\\n日'])
_MOMENTS = st.integers(0, 3).map(lambda hours: NOON + timedelta(hours=hours))


def erased(project: str, reason: str, name: str, at: datetime = NOON) -> Erasure:
    """Return the note of an erasure."""
    return Erasure(
        project_id=project,
        reason=reason,
        subject_hash=hash_secret(name),
        events=0,
        created_at=at,
    )


def event(at: datetime, project: str = "p", **fields: Any) -> bytes:
    """Return the JSON of a call that began at a moment."""
    moment = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
    return json.dumps(prompt_call(project_id=project, timestamp=moment, **fields)).encode()


def row(at: datetime, project: str = "p", **fields: Any) -> Row:
    """Return the row of such a call."""
    found = row_of(event(at, project, **fields))
    assert found is not None
    return found


calls = st.lists(
    st.tuples(_MOMENTS, st.sampled_from("pq"), _NAMES, _NAMES | st.none()), max_size=12
)
notes = st.lists(
    st.tuples(st.sampled_from("pq"), st.sampled_from(["user", "run"]), _NAMES, _MOMENTS), max_size=6
)


@given(calls, notes)
def test_calls_that_began_before_an_erasure_of_theirs_are_left_out(
    calls: list[tuple[datetime, str, str, str | None]],
    notes: list[tuple[str, str, str, datetime]],
) -> None:
    """A call stays if no erasure of its project, and its user or run, came after it began."""
    rows = [
        row(at, project, run_id=run, **({} if user is None else {"user_id": user}))
        for at, project, run, user in calls
    ]

    left = without_erased(rows, [erased(*note) for note in notes])

    assert left == [
        each
        for each, (at, project, run, user) in zip(rows, calls, strict=True)
        if not any(
            project == of and at < moment and name == {"user": user, "run": run}[reason]
            for of, reason, name, moment in notes
        )
    ]


def test_an_erased_project_that_is_made_again_has_only_what_came_later() -> None:
    """The id of a project can come back; what was recorded before it was erased does not."""
    before, after = row(NOON - timedelta(seconds=1)), row(NOON + timedelta(seconds=1))

    assert without_erased([before, after], [erased("p", "project", "p")]) == [after]


@pytest.mark.parametrize("user", [None, "jane"])
def test_a_journal_hands_over_nothing_that_was_erased(tmp_path: Path, user: str | None) -> None:
    """Events of an erased user go from the disk and nowhere; those beside them are stored."""
    taken: list[str] = []
    asked: list[datetime] = []

    async def add(rows: Sequence[Row], size: int, redaction: Redaction | None = None) -> None:
        taken.extend(each.event_id for each in rows)

    def erasures(since: datetime) -> list[Erasure]:
        asked.append(since)
        return [] if user is None else [erased("p", "user", user)]

    early = NOON - timedelta(hours=1)
    journal = journal_in(tmp_path, add, erasures)
    journal.append(event(early, event_id="e1", user_id="jane"))
    journal.append(event(early + timedelta(minutes=1), event_id="e2", user_id="joe"))

    assert asyncio.run(journal.hand_over())

    assert taken == ["e1", "e2"] if user is None else ["e2"]
    assert asked == [early]
    assert list(tmp_path.iterdir()) == []


def journal_in(folder: Path, add: Any, erasures: Callable[[datetime], list[Erasure]]) -> Journal:
    """Return the journal of one project."""
    return Journal(
        folder,
        SimpleNamespace(add=add),
        capacity=1_000_000,
        seal=Secret(b"of the tests").seal("journal"),
        redactions=lambda: {"p": None},
        erasures=erasures,
    )


def test_settling_waits_for_what_is_on_its_way(tmp_path: Path) -> None:
    """An erasure that has settled finds in the store what was looked up before it was noted."""
    happened: list[str] = []

    async def run() -> None:
        arrived, released = asyncio.Event(), asyncio.Event()

        async def add(rows: Sequence[Row], size: int, redaction: Redaction | None = None) -> None:
            arrived.set()
            await released.wait()
            happened.append("stored")

        async def settle() -> None:
            await journal.settle()
            happened.append("settled")

        journal = journal_in(tmp_path, add, lambda _: [])
        await settle()
        journal.append(event(NOON))
        storing = asyncio.create_task(journal.hand_over())
        await arrived.wait()
        settling = asyncio.create_task(settle())
        # It gets every chance to end too early.
        for _ in range(100):
            await asyncio.sleep(0)
        released.set()
        await asyncio.gather(storing, settling)

    asyncio.run(run())

    assert happened == ["settled", "stored", "settled"]
