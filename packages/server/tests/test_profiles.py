"""Users, prompt templates and releases, one beside the other."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import clickhouse_connect
import pytest
from conftest import prompt_call
from stored_events import Stored, call, failed_check, stored_in
from watchllm_server.address import parse_address
from watchllm_server.query.profiles import profiles, template_families, template_family
from watchllm_server.store.clickhouse import ClickHouseStore
from watchllm_server.store.files import migrations
from watchllm_server.store.history import HISTORY, record

if TYPE_CHECKING:
    from engines import ClickHouseProcess
    from watchllm_server.query.profiles import ProfileOrder
    from watchllm_server.store.base import EventStore


@pytest.fixture
def stored(any_store: EventStore) -> Stored:
    """Return a new project in each store."""
    return stored_in(any_store)


def test_a_release_is_summed_up(stored: Stored) -> None:
    """A release has its calls, failures, tokens, cost and latencies, and when it was seen."""
    stored.put(
        call(release="1", latency_ms=100, timestamp="2026-11-24T08:00:00Z"),
        call(release="1", latency_ms=300, status="error", cost=None),
        failed_check("error", release="1", error={"message": "Boom"}),
        call(),
    )

    [found] = profiles(stored.store, stored.where(), "release", limit=10)

    assert (found.name, found.events, found.calls, found.errors) == ("1", 3, 2, 2)
    assert (found.error_rate, found.unpriced_calls) == (0.5, 1)
    assert (found.cost_usd, found.cost_per_call) == (Decimal("0.25"), Decimal("0.25"))
    assert (found.tokens_input, found.tokens_output, found.tokens_per_call) == (24, 90, 57)
    assert found.latency_p50_ms == 200
    assert found.latency_p95_ms == pytest.approx(300, rel=0.1)
    assert f"{found.first_seen:%H:%M} {found.last_seen:%H:%M}" == "08:00 09:30"


def test_what_is_not_known_is_none(stored: Stored) -> None:
    """Without calls there is no rate; a cost that nobody knows is None, and of no calls 0."""
    stored.put(failed_check("error", user_id="ann", error={"message": "Boom"}))
    stored.put(call(user_id="bob", cost=None))

    found = {each.name: each for each in profiles(stored.store, stored.where(), "user", limit=9)}

    ann, bob = found["ann"], found["bob"]
    assert (ann.error_rate, ann.tokens_per_call) == (None, None)
    assert ann.cost_usd == 0
    assert (bob.error_rate, bob.cost_usd, bob.cost_per_call) == (0, None, None)
    assert (bob.latency_p50_ms, bob.latency_p95_ms) == (None, None)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("cost", ["dear", "many", "failing"]), ("calls", ["many", "dear", "failing"]),
        ("errors", ["failing", "many", "dear"]), ("last_seen", ["dear", "many", "failing"]),
    ],
)  # fmt: skip
def test_users_in_each_order(stored: Stored, order: ProfileOrder, names: list[str]) -> None:
    """Users come by what is asked for, the most first."""
    stored.put(
        call(user_id="many", cost="0.1"), call(user_id="many", cost="0.1"),
        call(user_id="failing", cost="0.01", status="error", timestamp="2026-11-24T01:00:00Z"),
        call(user_id="dear", cost="9", timestamp="2026-11-24T11:00:00Z"), call(),
    )  # fmt: skip

    found = profiles(stored.store, stored.where(), "user", limit=10, order=order)

    assert [each.name for each in found] == names


def test_users_are_found_by_a_part_of_their_id(stored: Stored) -> None:
    """A search finds ids that hold the text, in upper or lower case, taken as it is."""
    stored.put(call(user_id="Ann%1"), call(user_id="bob"), call(user_id="annette"))

    found = profiles(stored.store, stored.where(), "user", limit=10, search="ANN%")

    assert [each.name for each in found] == ["Ann%1"]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("summary@3", ("summary", "3")), ("summary-v1.2", ("summary", "v1.2")),
        ("a/b:7", ("a/b", "7")), ("summary_V2b", ("summary", "V2b")), ("summary", ("summary", "")),
        ("gpt4", ("gpt4", "")), ("", ("", "")), ("@3", ("@3", "")),
        ("summary@2026-11", ("summary@2026", "11")), ("one @ two", ("one @ two", "")),
    ],
)  # fmt: skip
def test_a_version_is_a_number_at_the_end(template: str, expected: tuple[str, str]) -> None:
    """The id of a template is a name, and a version where a number follows behind a sign."""
    assert template_family(template) == expected


def test_versions_of_a_template_are_a_family(stored: Stored) -> None:
    """Versions come under the name of their template, in the order in which they were seen."""
    stored.put(
        call(prompt_template_id="sum@10", timestamp="2026-11-24T10:00:00Z"),
        call(prompt_template_id="sum@9", timestamp="2026-11-24T09:00:00Z"),
        call(prompt_template_id="other"), call(),
    )  # fmt: skip

    found = template_families(profiles(stored.store, stored.where(), "template", limit=10))

    names = {name: [each.name for each in versions] for name, versions in found.items()}
    assert names == {"sum": ["sum@9", "sum@10"], "other": ["other"]}


def test_sampled_calls_stand_for_their_like(stored: Stored) -> None:
    """A sampled call counts, fails and costs 1 / sample_rate-fold beside an unsampled one."""
    stored.put(call(release="1", sample_rate=0.25, status="error"), call(release="1"))

    [found] = profiles(stored.store, stored.where(), "release", limit=10)

    assert (found.calls, found.errors, found.error_rate) == (5, 4, 0.8)
    assert (found.cost_usd, found.tokens_input) == (Decimal("1.25"), 60)


def test_what_was_stored_before_has_its_template(clickhouse: ClickHouseProcess) -> None:
    """A store of an earlier schema gives templates and hits of the events that it has already.

    Their runs and users are kept as those of new events are.
    """
    address = parse_address(clickhouse.url())
    client = clickhouse_connect.get_client(
        host=address.host, port=address.port, username=address.user, password=address.password
    )
    client.command(f"CREATE DATABASE {address.database}")
    client.database = address.database
    client.command(HISTORY)
    for step in migrations():
        if step.version < 201:
            for statement in step.statements:
                client.command(statement)
            client.command(record(step))
    told = {"cache": "HIT", "saved_usd": 0.5, "would_hit": {"event_id": "other", "serves": True}}
    attributes = json.dumps({"prompt_template_id": "sum@1", "response_metadata": told})
    row = {
        "project_id": "p",
        "event_id": "e",
        "run_id": "r",
        "user_id": "u",
        "ts": "2026-11-24 09:30:00",
        "attributes": attributes,
    }
    client.raw_insert("events", insert_block=json.dumps(row), fmt="JSONEachRow")

    store = ClickHouseStore(address)

    found = client.query(
        "SELECT template, cache, saved_usd, matched, would_hit, run_id, user_id FROM events"
    ).result_rows
    codecs = client.query(
        "SELECT DISTINCT compression_codec FROM system.columns WHERE database = "
        f"'{address.database}' AND table = 'events' AND name IN ('run_id', 'user_id')"
    ).result_rows
    assert found == [("sum@1", "HIT", 0.5, "other", 1, "r", "u")]
    assert codecs == [("CODEC(LZ4)",)]
    store.close()
    client.close()


def test_an_event_without_them_has_none(stored: Stored) -> None:
    """A call whose attributes only mention such names has neither a template nor a version."""
    event = prompt_call(response_metadata={"note": '"prompt_template_id": "x"', "cache": 5})

    stored.put(event)

    assert profiles(stored.store, stored.where(), "template", limit=10) == []
