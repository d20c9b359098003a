"""What calls cost: by two of what tells them apart, over time, and of unknown price."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from stored_events import DAY, Stored, call, failed_check, stored_in
from watchllm_server.query.costs import Cost, costs

if TYPE_CHECKING:
    from watchllm_server.query.costs import CostBy
    from watchllm_server.store.base import EventStore


@pytest.fixture
def stored(any_store: EventStore) -> Stored:
    """Return a new project in each store."""
    return stored_in(any_store)


def shown(found: list[Cost]) -> list[tuple[str, str, Decimal | None, int]]:
    """Return what matters of each cost."""
    return [(each.one, each.other, each.usd, each.calls) for each in found]


@pytest.mark.parametrize("minutes", [0, 1])
def test_costs_by_two_dimensions(stored: Stored, minutes: int) -> None:
    """Each pair has its exact sum, the most expensive first, by the hour or by the minute."""
    stored.put(
        call(model="a", env="production"), call(model="a", env="production"),
        call(model="a", env="staging"), call(model="b", env="production", cost="0.1"),
        failed_check("error", error={"message": "costs nothing"}),
    )  # fmt: skip

    found = costs(stored.store, stored.where(minutes=minutes), by="model", across="env")

    assert shown(found) == [
        ("a", "production", Decimal("0.5"), 2),
        ("a", "staging", Decimal("0.25"), 1),
        ("b", "production", Decimal("0.1"), 1),
    ]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("user", [("ann", 2), ("", 1)]),
        ("tag", [("x", 2), ("", 1), ("y", 1)]),
        ("release", [("", 2), ("1", 1)]),
        ("template", [("", 2), ("sum@1", 1)]),
        (None, [("", 3)]),
    ],
)
def test_costs_by_each_dimension(
    stored: Stored, by: CostBy | None, expected: list[tuple[str, int]]
) -> None:
    """Each dimension has its values; a call counts in each of its tags, and in none without."""
    stored.put(
        call(user_id="ann", tags=["x", "y"], release="1", prompt_template_id="sum@1"),
        call(user_id="ann", tags=["x"]),
        call(),
    )

    found = costs(stored.store, stored.where(), by=by)

    assert [(each.one, each.calls) for each in found] == expected


@pytest.mark.parametrize("by", ["model", "tag"])
def test_costs_over_time_among_some(stored: Stored, by: CostBy) -> None:
    """A width gives each stretch its cost; only what is among the wanted values is there."""
    stored.put(
        call(model="a", tags=["a"], timestamp="2026-11-24T01:00:00Z"),
        call(model="a", tags=["a"], timestamp="2026-11-24T07:00:00Z", cost="1"),
        call(model="b", tags=["b"], timestamp="2026-11-24T07:00:00Z"),
    )

    found = costs(stored.store, stored.where(), by=by, among=["a"], width=timedelta(hours=6))

    assert [(each.one, each.at, each.usd) for each in found] == [
        ("a", DAY + timedelta(hours=6), Decimal(1)),
        ("a", DAY, Decimal("0.25")),
    ]


def test_a_sampled_call_stands_for_its_like(stored: Stored) -> None:
    """A call that was sampled counts and costs 1 / sample_rate-fold."""
    stored.put(call(model="a", sample_rate=0.25), call(model="a"))

    [found] = costs(stored.store, stored.where(), by="model")

    assert (found.usd, found.calls) == (Decimal("1.25"), 5)


def test_an_unknown_price_is_none_and_named(stored: Stored) -> None:
    """A model that nobody could price has None and not 0, and is found by that."""
    stored.put(call(model="mine", cost=None), call(model="mine", cost=None), call(model="known"))

    everything = costs(stored.store, stored.where(), by="model")
    unpriced = costs(stored.store, stored.where(), by="model", only_unpriced=True)

    assert [(each.one, each.usd) for each in everything] == [
        ("known", Decimal("0.25")),
        ("mine", None),
    ]
    assert [(each.one, each.unpriced_calls) for each in unpriced] == [("mine", 2)]


def test_costs_are_those_of_the_project_and_the_filter(stored: Stored) -> None:
    """Neither another project's calls nor those that a filter leaves out are summed."""
    stored_in(stored.store).put(call(model="theirs"))
    stored.put(call(model="a", user_id="ann"), call(model="a", user_id="bob"))

    found = costs(stored.store, stored.where(user_id="ann"), by="model")

    assert shown(found) == [("a", "", Decimal("0.25"), 1)]
