"""What calls may use, counted in memory and kept in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.errors import MetadataError, Problem
from watchllm_server.limits import Limiter, Who, new_limit, shown_amount
from watchllm_server.metadata import Metadata
from watchllm_server.metadata.limits import Counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ME = Who("p", 7, "ann")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 25, 9, 30, 20, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


@pytest.fixture
def clock() -> Clock:
    """Return a clock at half past nine."""
    return Clock()


@pytest.fixture
def own(tmp_path: Path, clock: Clock) -> Iterator[Metadata]:
    """Open a database of two projects, whose first has the keys 1 to 7."""
    opened = Metadata(tmp_path / "metadata.db", clock)
    for name in ("p", "q"):
        opened.create_project(name)
    for _ in range(7):
        opened.create_key("p")
    yield opened
    opened.close()


def limit(own: Metadata, amount: str, unit: str, per: str, **fields: str) -> None:
    """Set a limit, of project p unless it says otherwise."""
    values = {"scope": "project", "subject": "", "action": "refuse", **fields}
    own.limits.put(new_limit("p", unit=unit, per=per, amount=amount, **values))


def limiter(own: Metadata, clock: Clock) -> Limiter:
    """Return a limiter that has read the limits."""
    made = Limiter(own, clock)
    made.refresh()
    return made


def test_requests_beyond_a_limit_are_refused_until_the_window_ends(
    own: Metadata, clock: Clock
) -> None:
    """The answer names the limit and says after how many seconds there is more."""
    limit(own, "2", "requests", "minute")
    limits = limiter(own, clock)
    for _ in range(2):
        limits.admit(_ME)

    with pytest.raises(Problem, match="has used its 2 requests of this minute") as refused:
        limits.admit(_ME)

    assert (refused.value.status, refused.value.code) == (429, "rate_limited")
    assert refused.value.headers == {"Retry-After": "41"}
    clock.time += timedelta(seconds=41)
    limits.admit(_ME)


def test_money_beyond_a_budget_is_refused_until_the_month_ends(own: Metadata, clock: Clock) -> None:
    """A budget is of what calls cost; unknown costs count as nothing."""
    limit(own, "0.5", "usd", "month")
    limits = limiter(own, clock)
    for usd in (Decimal("0.2"), None, Decimal("0.299999999")):
        limits.admit(_ME)
        limits.count(_ME, 10, usd)
    limits.admit(_ME)
    limits.count(_ME, 10, Decimal("0.000000001"))

    with pytest.raises(Problem, match=r"its 0\.5 US dollars of this month") as refused:
        limits.admit(_ME)

    assert refused.value.code == "budget_exceeded"
    assert "2026-12-01T00:00Z" in refused.value.message
    clock.time = datetime(2026, 12, 1, tzinfo=UTC)
    limits.admit(_ME)


@pytest.mark.parametrize(
    ("fields", "others"),
    [
        ({}, []),
        ({"scope": "key", "subject": "7"}, [Who("p", 8, "ann")]),
        ({"scope": "key", "subject": "*"}, [Who("p", 8, "ann")]),
        ({"scope": "user", "subject": "ann"}, [Who("p", 7, "bob"), Who("p", 7, "")]),
        ({"scope": "user", "subject": "*"}, [Who("p", 7, "bob"), Who("p", 7, "")]),
    ],
)
def test_a_limit_is_of_its_subject_alone(
    own: Metadata, clock: Clock, fields: dict[str, str], others: list[Who]
) -> None:
    """What one key or user has used up is there for others, and always for other projects."""
    limit(own, "100", "tokens", "day", **fields)
    limits = limiter(own, clock)
    limits.count(_ME, 100, None)

    with pytest.raises(Problem, match="100 tokens of this day"):
        limits.admit(_ME)
    for other in [*others, Who("q", 7, "ann")]:
        limits.admit(other)


def test_a_limit_that_warns_refuses_nothing_and_says_so_once(own: Metadata, clock: Clock) -> None:
    """It is reached once in each window, also beside one that refuses later."""
    limit(own, "10", "tokens", "minute", action="warn")
    limit(own, "20", "tokens", "minute")
    limits = limiter(own, clock)

    told = []
    for _ in range(3):
        limits.count(_ME, 6, None)
        limits.admit(_ME)
        told.append([(r.limit.amount, r.used) for r in limits.reached()])
    limits.count(_ME, 6, None)

    assert told == [[], [(10, 12)], []]
    with pytest.raises(Problem):
        limits.admit(_ME)
    clock.time += timedelta(minutes=1)
    limits.count(_ME, 50, None)
    assert len(limits.reached()) == 1


def test_counts_survive_a_restart_and_are_shared(own: Metadata, clock: Clock) -> None:
    """What one server has counted another knows, and what both count adds up."""
    limit(own, "100", "tokens", "day")
    one, other = limiter(own, clock), limiter(own, clock)
    one.count(_ME, 30, None)
    other.count(_ME, 40, None)
    one.refresh()
    other.refresh()
    one.count(_ME, 30, None)
    one.refresh()

    with pytest.raises(Problem):
        one.admit(_ME)
    with pytest.raises(Problem):
        limiter(own, clock).admit(_ME)
    (window,) = own.limits.uses().values()
    assert window.used == 100


def test_nothing_is_counted_twice_by_refreshing(own: Metadata, clock: Clock) -> None:
    """However often it is kept, a count stays what was used."""
    limit(own, "100", "tokens", "day")
    limits = limiter(own, clock)
    limits.count(_ME, 99, None)
    for _ in range(5):
        limits.refresh()

    limits.admit(_ME)
    assert [window.used for window in own.limits.uses().values()] == [99]


def test_old_windows_leave_the_database(own: Metadata, clock: Clock) -> None:
    """Counts of a month that is over are removed, so that users do not add up for ever."""
    limit(own, "100", "tokens", "day", scope="user", subject="*")
    limits = limiter(own, clock)
    for number in range(20):
        limits.count(Who("p", 7, f"user {number}"), 5, None)
    limits.refresh()
    assert len(own.limits.uses()) == 20

    clock.time += timedelta(days=40)
    limits.refresh()

    assert own.limits.uses() == {}


def test_a_removed_limit_and_a_removed_project_limit_nothing(own: Metadata, clock: Clock) -> None:
    """After its removal a limit refuses nothing; a project takes its limits and counts along."""
    limit(own, "0", "requests", "day")
    limits = limiter(own, clock)
    with pytest.raises(Problem):
        limits.admit(_ME)

    place = Counted("p", "project", "", "requests", "day")
    assert own.limits.remove(place, "refuse")
    assert not own.limits.remove(place, "refuse")
    limits.refresh()
    limits.admit(_ME)
    assert not limits.concerns("p")

    limit(own, "5", "requests", "day")
    limits.refresh()
    limits.admit(_ME)
    limits.refresh()
    own.delete_project("p")
    assert (own.limits.all(), own.limits.uses()) == ([], {})


@pytest.mark.parametrize("key", ["8", "9", "007", "9" * 30])
def test_a_limit_of_a_key_that_the_project_has_not_is_refused(own: Metadata, key: str) -> None:
    """Whoever set it would believe that it binds. The key 8 is of another project."""
    assert own.create_key("q")[0].id == 8

    with pytest.raises(MetadataError, match=f"The project has no key {key[:20]}: "):
        limit(own, "1", "usd", "day", scope="key", subject=key)

    assert own.limits.all() == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"scope": "team"}, "scope is one of project, key, user"),
        ({"unit": "eur"}, "unit is one of requests, tokens, usd"),
        ({"per": "year"}, "per is one of minute, day, month"),
        ({"action": "pray"}, "action is one of refuse, warn"),
        ({"subject": "x"}, "one of the project has none"),
        ({"scope": "user"}, "needs its id"),
        ({"scope": "key", "subject": "the web shop"}, "named by its number"),
        ({"amount": "1.5"}, "a whole number"),
        ({"amount": "-1"}, "at least 0"),
        ({"unit": "usd", "amount": "free"}, "an amount of US dollars"),
        ({"unit": "usd", "amount": "0.0000000001"}, "an amount of US dollars"),
        ({"amount": "NaN"}, "a whole number"),
    ],
)
def test_what_is_no_limit_is_refused(fields: dict[str, str], sentence: str) -> None:
    """A limit has known words and an amount that can be counted."""
    values = {
        "scope": "project",
        "subject": "",
        "unit": "tokens",
        "per": "day",
        "amount": "1",
        "action": "refuse",
    }
    with pytest.raises(MetadataError, match=sentence):
        new_limit("p", **(values | fields))


def test_a_limit_needs_a_project(own: Metadata) -> None:
    """No limit is set for a project that does not exist."""
    made = new_limit(
        "none", scope="project", subject="", unit="usd", per="day", amount="1", action="warn"
    )

    with pytest.raises(MetadataError, match="no project 'none'"):
        own.limits.put(made)


@given(st.decimals(min_value=0, max_value=10**6, places=9))
def test_dollars_are_shown_as_they_were_given(usd: Decimal) -> None:
    """An amount of dollars comes back as the same amount."""
    made = new_limit(
        "p", scope="project", subject="", unit="usd", per="day", amount=str(usd), action="warn"
    )

    assert Decimal(shown_amount(made.amount, "usd")) == usd
