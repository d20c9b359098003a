"""How the cache took part in calls: what it saved, what it would have, and for whom."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from stored_events import DAY, Stored, call, stored_in
from watchllm_server.query.cached import CacheTotals, cache_totals, matches, sum_of_totals

if TYPE_CHECKING:
    from watchllm_server.query.cached import Which
    from watchllm_server.store.base import EventStore


@pytest.fixture
def stored(any_store: EventStore) -> Stored:
    """Return a new project in each store."""
    return stored_in(any_store)


def cached(outcome: str, **fields: Any) -> dict[str, Any]:
    """Return a call that came by the cache; what is told of it beside its outcome is in `told`."""
    told = fields.pop("told", {})
    return call(response_metadata={"cache": outcome, **told}, **fields)


def test_the_cache_is_summed_up_by_stretches_of_time(stored: Stored) -> None:
    """Hits by words and by meaning are told apart, with what each saved; misses count as calls."""
    late = "2026-11-24T13:00:00Z"
    stored.put(
        cached("HIT", told={"saved_usd": 0.5}, cost="0"),
        cached("HIT-COALESCED", told={"saved_usd": 0.25}, cost="0"),
        cached("HIT-SEMANTIC", told={"saved_usd": 0.125}, cost="0", timestamp=late),
        cached("HIT-SEMANTIC", cost="0", timestamp=late),
        cached("MISS", timestamp=late), cached("BYPASS", timestamp=late),
        call(),
    )  # fmt: skip

    found = cache_totals(stored.store, stored.where(), width=timedelta(hours=12))

    noon = DAY + timedelta(hours=12)
    assert found == [
        CacheTotals(at=DAY, calls=2, exact_hits=2, exact_saved_usd=0.75),
        CacheTotals(at=noon, calls=4, semantic_hits=2, semantic_saved_usd=0.125),
    ]
    assert sum_of_totals(found, DAY).hit_rate == pytest.approx(4 / 6)
    assert sum_of_totals([], DAY).hit_rate is None


def near(event_id: str, **told: Any) -> dict[str, Any]:
    """Return what is told of a stored answer to another wording."""
    return {"event_id": event_id, "serves": True, **told}


def test_a_would_be_hit_is_shown_beside_what_it_would_have_got(stored: Stored) -> None:
    """A would-be hit has both questions and answers, how sure it was, and what it cost."""
    told = {"would_hit": near("earlier", confidence=0.93, similarity=0.97)}
    stored.put(
        cached("MISS", event_id="earlier", prompt="Where is Rome?", response="In Italy."),
        cached(
            "MISS", told=told, event_id="later", prompt="In which country is Rome?",
            response="Italy.", timestamp="2026-11-24T10:00:00Z",
        ),
        cached("MISS", told={"would_hit": near("gone")}, cost=None),
    )  # fmt: skip

    later, lonely = matches(stored.store, stored.where(), limit=10)

    assert (later.event_id, later.other_event_id) == ("later", "earlier")
    assert (later.prompt, later.other_prompt) == ("In which country is Rome?", "Where is Rome?")
    assert (later.response, later.other_response) == ("Italy.", "In Italy.")
    assert (later.served, later.would_hit) == (False, True)
    assert (later.confidence, later.similarity, later.usd) == (0.93, 0.97, 0.25)
    assert (lonely.other_prompt, lonely.confidence, lonely.usd) == (None, None, None)


@pytest.mark.parametrize(
    ("which", "ids"),
    [("served", ["served"]), ("would", ["would"]), ("unsure", ["unsure"]),
     (None, ["served", "would", "unsure"])],
)  # fmt: skip
def test_matches_are_told_apart(stored: Stored, which: Which | None, ids: list[str]) -> None:
    """What was given out, what would have been, and what was not sure enough are found apart."""
    hit = {"saved_usd": 0.5, "hit": near("other", similarity=0.99)}
    stored.put(
        cached("HIT-SEMANTIC", event_id="served", timestamp="2026-11-24T12:00:00Z", told=hit),
        cached(
            "MISS", event_id="would", timestamp="2026-11-24T11:00:00Z",
            told={"would_hit": near("other")},
        ),
        cached("MISS", event_id="unsure", told={"would_hit": near("other", serves=False)}),
        cached("MISS"), cached("HIT"),
    )  # fmt: skip

    found = matches(stored.store, stored.where(), limit=10, which=which)

    assert [each.event_id for each in found] == ids
    assert [(each.usd, each.similarity) for each in found if each.served] == [(0.5, 0.99)] * (
        "served" in ids
    )


def test_would_be_hits_are_money_that_was_missed(stored: Stored) -> None:
    """What would-be hits cost is summed up as missed; what one of unknown price cost is not."""
    told = {"would_hit": near("earlier")}
    stored.put(
        cached("MISS", told=told), cached("MISS", told=told, cost=None), cached("MISS"),
        cached("MISS", told={"would_hit": near("earlier", serves=False)}),
    )  # fmt: skip

    [found] = cache_totals(stored.store, stored.where(), width=timedelta(days=1))

    assert (found.calls, found.would_hits, found.missed_usd) == (4, 2, 0.25)


def test_the_answer_of_another_project_is_not_shown(stored: Stored) -> None:
    """A would-be hit that names an event of another project shows nothing of it."""
    stored_in(stored.store).put(cached("MISS", event_id="theirs", prompt="Secret?"))
    stored.put(cached("MISS", told={"would_hit": near("theirs")}))

    [found] = matches(stored.store, stored.where(), limit=10)

    assert (found.other_event_id, found.other_prompt) == ("theirs", None)
