"""Totals of all events beside those of groups, in each store."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from conftest import prompt_call, utc
from storing import put
from watchllm_server.query.filter import Filter
from watchllm_server.query.totals import totals, totals_by_group, totals_with_groups

if TYPE_CHECKING:
    from watchllm_server.query.totals import GroupBy
    from watchllm_server.store.base import EventStore

HOUR, MINUTE = utc("2026-11-24T09:00:00"), utc("2026-11-24T09:15:00")


def in_all(name: str, **fields: Any) -> dict[str, Any]:
    """Return a call of a model, user, tag, release and environment of one name, if of any."""
    if name:
        fields |= {"model": name, "user_id": name, "tags": [name], "release": name, "env": name}
    return prompt_call(**fields)


@pytest.fixture(scope="module")
def project(any_store: EventStore) -> str:
    """Store four calls of `a`, one of `b` that stands for ten, and two of `c`."""
    found = str(uuid.uuid4())
    put(
        any_store, found,
        *(in_all("a", latency_ms=number) for number in range(1, 5)),
        in_all("b", latency_ms=1_000, sample_rate=0.1, status="error"),
        in_all("c", latency_ms=50), in_all("c", latency_ms=60),
    )  # fmt: skip
    return found


@pytest.mark.parametrize("since", [HOUR, MINUTE])
@pytest.mark.parametrize("group_by", ["model", "user", "tag", "release", "env"])
def test_few_groups_are_shown_and_all_events_summed_up(
    any_store: EventStore, project: str, group_by: GroupBy, since: Any
) -> None:
    """The groups that stand for the most events come first, and the whole is of the others too."""
    where = Filter(project_id=project, date_from=since)

    whole, groups = totals_with_groups(any_store, where, group_by, limit=2)

    assert whole == totals(any_store, where)
    assert whole.requests == 16
    assert [(each.group, each.totals.requests) for each in groups] == [("b", 10), ("a", 4)]
    assert groups == totals_by_group(any_store, where, group_by, limit=2)
    assert groups[0].totals.latency_p50_ms == 1_000
    assert groups[1].totals.latency_p50_ms == pytest.approx(2.5, abs=0.5)


@pytest.mark.parametrize("group_by", ["model", "user"])
def test_the_group_without_a_name_is_not_the_whole(
    any_store: EventStore, group_by: GroupBy
) -> None:
    """What has no model or user is a group of its own beside the sum of all."""
    project = str(uuid.uuid4())
    unnamed = {
        "event_id": str(uuid.uuid4()), "event_type": "error", "run_id": "r",
        "timestamp": "2026-11-24T09:30:00Z", "error": {"message": "Boom", "type": "ValueError"},
    }  # fmt: skip
    put(any_store, project, in_all("a"), in_all("a"), unnamed)

    whole, groups = totals_with_groups(any_store, Filter(project_id=project), group_by, limit=9)

    assert whole.events == 3
    assert [(each.group, each.totals.events) for each in groups] == [("a", 2), (None, 1)]


def test_nothing_has_no_groups(any_store: EventStore) -> None:
    """Without events the sums are zero and no group is shown."""
    where = Filter(project_id=str(uuid.uuid4()))

    whole, groups = totals_with_groups(any_store, where, "model", limit=9)

    assert whole == totals(any_store, where)
    assert whole.events == 0
    assert groups == []
