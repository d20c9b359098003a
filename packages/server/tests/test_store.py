"""What every event store does, on real engines."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest
from conftest import prompt_call
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from watchllm_server.errors import StartError, StoreError
from watchllm_server.events import read_event
from watchllm_server.query.events import event_by_id
from watchllm_server.store.embedded import EmbeddedStore
from watchllm_server.store.files import migrations
from watchllm_server.store.inserts import insert_statement
from watchllm_server.store.parameters import format_parameters

if TYPE_CHECKING:
    from pathlib import Path

    from watchllm_server.rows import Row
    from watchllm_server.store.base import EventStore

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ON_ONE_ENGINE = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def store(any_store: EventStore) -> EventStore:
    """Put the tests of this file to each store."""
    return any_store


def row(project: str, text: str) -> Row:
    """Return the row of an event given as JSON text."""
    return read_event(Raw(text.encode()), project)


@ON_ONE_ENGINE
@given(text=TEXTS, texts=st.lists(TEXTS))
def test_parameters_arrive_as_they_are(store: EventStore, text: str, texts: list[str]) -> None:
    """Any text and any list of texts pass through a query's parameters unchanged."""
    project = str(uuid.uuid4())
    ids = [f"{number}{text}" for number, text in enumerate([text, *texts])]
    rows = [row(project, json.dumps(prompt_call(event_id=event_id))) for event_id in ids]
    store.insert_group([(each, None) for each in rows])

    found = store.query(
        "stored_ids",
        {"project_id": project, "from_us": 0, "to_us": 2**62, "event_ids": ids},
    )

    assert sorted(each[0] for each in found) == sorted(ids)
    assert event_by_id(store, project, ids[0]) is not None


def test_null_is_a_parameter_of_its_own() -> None:
    """None is sent as ClickHouse's null, and a text that looks like it is not."""
    assert format_parameters({"a": None, "b": "\\N", "c": 3}) == {
        "a": "\\N",
        "b": "\\\\N",
        "c": "3",
    }


@ON_ONE_ENGINE
@given(prompt=TEXTS, response=TEXTS, user=TEXTS)
def test_texts_come_back_as_they_were(
    store: EventStore, prompt: str, response: str, user: str
) -> None:
    """Any Unicode text survives the way into the store and back, also an empty one."""
    project = str(uuid.uuid4())
    event = prompt_call(prompt=prompt, response=response, user_id=user)
    store.insert_group([(row(project, json.dumps(event)), None)])

    found = event_by_id(store, project, event["event_id"])

    assert found is not None
    assert (found.prompt, found.response) == (prompt, response)
    assert json.loads(msgspec.json.encode(found.to_wire()))["user_id"] == user


def test_a_group_of_many_months_is_stored_whole(store: EventStore) -> None:
    """A sender's backlog of more than a hundred months is one insert."""
    project = str(uuid.uuid4())
    times = [f"{year}-{month:02}-01T00:00:00Z" for year in range(2000, 2015) for month in (1, 5, 9)]
    times += [
        f"{year}-{month:02}-01T00:00:00Z" for year in range(2000, 2015) for month in range(2, 9)
    ]
    rows = [row(project, json.dumps(prompt_call(timestamp=time))) for time in times]

    store.insert_group([(each, Decimal("0.5")) for each in rows])

    found = store.query(
        "stored_ids",
        {
            "project_id": project,
            "from_us": 0,
            "to_us": 2**62,
            "event_ids": [each.event_id for each in rows],
        },
    )
    assert len(found) == len(rows)


def test_a_group_that_cannot_be_read_is_an_error_and_stores_nothing(store: EventStore) -> None:
    """A value that the engine refuses fails its group, and no row of it is visible."""
    project = str(uuid.uuid4())
    good = row(project, json.dumps(prompt_call(event_id="good")))
    bad = row(project, json.dumps(prompt_call(event_id="bad")))
    bad.columns.tokens_input = Raw(b'"many"')

    with pytest.raises(StoreError):
        store.insert_group([(good, None), (bad, None)])

    assert event_by_id(store, project, "good") is None
    store.insert_group([(good, None)])
    assert event_by_id(store, project, "good") is not None


def test_without_a_build_of_the_engine_the_other_store_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the engine's package is the empty one, the sentence says what to use instead."""
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.0.1")

    with pytest.raises(StartError, match="--store clickhouse://"):
        EmbeddedStore(tmp_path, memory_bytes=800_000_000)


def test_indexes_over_words_are_left_to_merges() -> None:
    """An insert names the indexes over words that it shall not build, where there are any."""
    assert "exclude_materialize_skip_indexes_on_insert = 'a,b'" in insert_statement(["a", "b"])
    assert "exclude_materialize" not in insert_statement([])


def test_each_step_of_the_schema_has_a_number_of_its_own() -> None:
    """Migrations are applied in the order of numbers that none shares with another."""
    versions = [step.version for step in migrations()]

    assert versions == sorted(set(versions))


def test_rows_and_their_directory_are_synced_before_an_insert_returns() -> None:
    """The table of events carries both of the engine's fsync settings."""
    sql = next(text for step in migrations() for text in step.statements if "TABLE" in text)

    assert "fsync_after_insert = 1" in sql
    assert "fsync_part_directory = 1" in sql
