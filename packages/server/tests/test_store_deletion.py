"""Erasure and retention on every store: the embedded engine, and ClickHouse over HTTP."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from conftest import prompt_call
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from watchllm_server.errors import StoreError
from watchllm_server.events import read_event
from watchllm_server.keeping.retention import expire
from watchllm_server.metadata import Project
from watchllm_server.query.events import page_of_events
from watchllm_server.query.filter import Filter
from watchllm_server.query.runs import run_by_id
from watchllm_server.store.deletion import erase, purge

if TYPE_CHECKING:
    from watchllm_server.store.base import EventStore
    from watchllm_server.store.deletion import Subject

# An erasure rewrites the parts that it touches: fifteen of them take half a minute.
pytestmark = pytest.mark.timeout(240)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
HOSTILE = [
    'Jane\'s \\ "d\\n" \n; DROP TABLE events --',
    "日本%_",
    "\\N",
    "{subject:String}",
    "a\tb",
]


@pytest.fixture(scope="module")
def store(any_store: EventStore) -> EventStore:
    """Put the tests of this file to each store."""
    return any_store


@pytest.fixture
def project() -> str:
    """Return the id of a project that no other test uses."""
    return f"deletion-{uuid.uuid4()}"


def insert(store: EventStore, project: str, *events: dict[str, Any]) -> None:
    """Store events, as the writer does once it has priced them."""
    rows = [read_event(Raw(json.dumps(event).encode()), project) for event in events]
    store.insert_group([(row, None) for row in rows])


def ids(store: EventStore, project: str) -> list[str]:
    """Return the ids of all events of a project, in order."""
    page = page_of_events(store, Filter(project), limit=1_000)
    return sorted(event.event_id for event in page.events)


@pytest.mark.parametrize("subject", ["user", "run", "project"])
def test_an_erasure_takes_all_of_its_subject_and_nothing_else(
    store: EventStore, project: str, subject: Subject
) -> None:
    """Once it returns no list and no run has the events, in any month; others are as they were."""
    mine = {"user_id": "jane", "run_id": "r1"}
    insert(
        store, project,
        prompt_call(event_id="march", timestamp="2026-03-05T00:00:00Z", **mine),
        prompt_call(event_id="november", **mine),
    )  # fmt: skip
    other = f"{project}-other"
    insert(store, other, prompt_call(event_id="theirs", **mine))
    kept = [] if subject == "project" else ["stays"]
    if kept:
        insert(store, project, prompt_call(event_id="stays", user_id="joe", run_id="r2"))

    name = {"user": "jane", "run": "r1", "project": project}[subject]
    found = erase(store, project, subject, name)

    assert found == 2
    assert ids(store, project) == kept
    assert run_by_id(store, project, "r1") is None
    assert ids(store, other) == ["theirs"]
    assert erase(store, project, subject, name) == 0


def test_an_event_that_two_servers_stored_is_erased_in_both_copies(
    store: EventStore, project: str
) -> None:
    """It counts once, and neither of its rows comes back, after a merge of the disk either."""
    event = prompt_call(event_id="twice", user_id="jane")
    for _ in range(2):
        insert(store, project, event)

    assert erase(store, project, "user", "jane") == 1
    before = ids(store, project)
    purge(store, wait=True)

    assert before == ids(store, project) == []


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=NAMES | st.sampled_from(HOSTILE), other=NAMES)
def test_any_name_erases_exactly_what_bears_it(store: EventStore, name: str, other: str) -> None:
    """Whatever characters a name has, it is a value and never a part of the statement."""
    project = f"deletion-{uuid.uuid4()}"
    insert(
        store, project,
        prompt_call(event_id="named", user_id=name),
        prompt_call(event_id="other", user_id=f"{other}!{name}"),
    )  # fmt: skip

    assert erase(store, project, "user", name) == 1
    assert ids(store, project) == ["other"]


def test_a_purge_leaves_nothing_deleted_on_the_disk(store: EventStore, project: str) -> None:
    """Masked rows are known until a purge that waits has taken them away."""
    insert(store, project, *(prompt_call(user_id=user) for user in ("jane", "joe", "jane")))
    erase(store, project, "user", "jane")

    masked = store.query("deletion_unpurged", {})
    done = purge(store, wait=True)

    assert masked
    assert done
    assert store.query("deletion_unpurged", {}) == []
    assert purge(store, wait=False)
    assert len(ids(store, project)) == 1


def test_retention_keeps_what_each_project_asks_for(store: EventStore, project: str) -> None:
    """Days of its own, the server's days, or for ever: each project loses its own old events."""
    days = {f"{project}-own": 7, f"{project}-default": None, f"{project}-ever": 0}
    ages = [0, 6, 8, 89, 92, 400]
    for name in days:
        times = [(NOW - timedelta(days=age)).isoformat().replace("+00:00", "Z") for age in ages]
        insert(store, name, *(prompt_call(timestamp=time) for time in times))
    projects = [
        Project(id=name, name="", created_at=NOW, retention_days=kept)
        for name, kept in days.items()
    ]

    done = expire(store, projects, default_days=90, now=NOW)
    again = expire(store, projects, default_days=90, now=NOW)

    assert [len(ids(store, name)) for name in days] == [2, 4, 6]
    assert done.events == 6
    assert (again.months, again.events) == (0, 0)


def test_a_month_that_is_too_old_for_all_in_it_is_dropped_whole(
    store: EventStore, project: str
) -> None:
    """It goes in one step, and not while another project keeps an event of it."""
    names = [f"{project}-{n}" for n in range(2)]
    for name in names:
        insert(store, name, prompt_call(timestamp="1998-06-05T00:00:00Z"))
    one, two = (Project(id=name, name="", created_at=NOW, retention_days=30) for name in names)

    alone = expire(store, [one], default_days=0, now=NOW)
    left = ids(store, names[1])
    both = expire(store, [one, two], default_days=0, now=NOW)

    assert (alone.months, alone.events, len(left)) == (0, 1, 1)
    assert (both.months, both.events) == (1, 0)
    assert ids(store, names[1]) == []


def test_a_statement_that_cannot_be_carried_out_is_an_error(store: EventStore) -> None:
    """What the engine refuses is raised as the store's own error, and the store goes on."""
    with pytest.raises(StoreError):
        store.run("deletion", {}, {"condition": "no_such_column = 1"})

    store.ping()
