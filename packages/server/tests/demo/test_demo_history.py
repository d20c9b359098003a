"""The month that the demo tells of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from watchllm_server.demo.history import DAYS, history

if TYPE_CHECKING:
    from conftest import Account

UNTIL = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_the_same_moment_makes_the_same_events() -> None:
    """A story can be told again: ids, times and texts depend on the moment and the seed alone."""
    one, again = list(history(UNTIL, days=3)), list(history(UNTIL, days=3))

    assert one == again
    assert one != list(history(UNTIL, days=3, seed=8))


def test_the_events_fill_the_days_before_the_moment() -> None:
    """The first events are of the first hour, the last of the last one, and none is later."""
    times = [datetime.fromisoformat(event["timestamp"]) for event in history(UNTIL)]

    assert min(times) < UNTIL - timedelta(days=DAYS, hours=-1)
    assert UNTIL - timedelta(hours=1) < max(times) < UNTIL + timedelta(minutes=2)


def test_the_server_takes_every_event_and_prices_all_but_the_own_model(account: Account) -> None:
    """What is made is what the wire has; only the shop's own model has no known price."""
    events = list(history(UNTIL, days=2))

    answer = account.send(*events)
    _, stats = account.get(
        "/v1/analytics/stats?group_by=model&date_from=2026-11-20&date_to=2026-11-25"
    )

    assert answer["total_errors"] == 0
    unpriced = {
        group["group"]
        for group in stats["groups"]
        if group["group"] and group["totals"]["cost_usd"] is None
    }
    assert unpriced == {"shop-extractor-8b"}
    assert Decimal(str(stats["stats"]["cost_usd"])) > 0


def test_the_story_has_its_turns() -> None:
    """Cache, outage, new release and new model come where the story has them."""
    events = list(history(UNTIL))

    def days_ago(event: dict[str, object]) -> float:
        return (UNTIL - datetime.fromisoformat(str(event["timestamp"]))) / timedelta(days=1)

    hits = [e for e in events if "saved_usd" in e.get("response_metadata", {})]
    limited = [e for e in events if e.get("error", {}).get("code") == "429"]
    dearer = [e for e in events if e.get("model") == "claude-sonnet-4-5"]
    broken = [e for e in events if e.get("error", {}).get("type") == "JSONDecodeError"]

    assert {11} == {int(max(map(days_ago, hits)))}
    assert all(4.9 < days_ago(event) < 5.1 for event in limited)
    assert {e["release"] for e in [*dearer, *broken]} == {"2.5.0"}
    assert min(len(hits), len(limited), len(dearer), len(broken)) > 0
