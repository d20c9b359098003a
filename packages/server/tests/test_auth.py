"""From a key to its project: memory of a second, scopes, rate limits, last use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.auth import Authenticator, Keyring, RateLimiter
from watchllm_server.errors import MetadataUnavailableError, Problem
from watchllm_server.metadata import SCOPES, Grant

if TYPE_CHECKING:
    from watchllm_server.metadata import Scope

DAY = datetime(2026, 11, 24, tzinfo=UTC)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """Return a fixed day."""
        return DAY

    def monotonic(self) -> float:
        """Return the seconds that it was moved by."""
        return self.seconds


class Keys:
    """Keys in memory, which count how often they are asked."""

    def __init__(self) -> None:
        self.known: dict[str, Grant] = {}
        self.asked = 0
        self.away = False

    def add(self, secret: str, *scopes: Scope, rate_limit: int | None = None) -> None:
        """Add a key of project p."""
        self.known[secret] = Grant(
            len(self.known), "p", frozenset(scopes or SCOPES), rate_limit=rate_limit
        )

    def grant_of(self, secret: str) -> Grant | None:
        """Return what a key opens."""
        self.asked += 1
        if self.away:
            raise MetadataUnavailableError
        return self.known.get(secret)


def refusal(authenticator: Authenticator, key: str) -> Problem:
    """Return the problem that a key meets."""
    with pytest.raises(Problem) as refused:
        authenticator.project(f"Bearer {key}")
    return refused.value


def test_a_key_that_is_made_or_removed_counts_after_a_second() -> None:
    """An answer is remembered for less than a second, whether the key was known or not."""
    keys, clock = Keys(), Clock()
    authenticator = Authenticator(Keyring(keys, clock), "read")

    refusal(authenticator, "k")
    keys.add("k")
    clock.seconds = 1.0
    assert authenticator.project("bearer  k ") == "p"
    del keys.known["k"]
    clock.seconds = 1.9
    assert authenticator.project("Bearer k") == "p"
    clock.seconds = 2.0
    refused = refusal(authenticator, "k")

    assert (refused.status, refused.code) == (401, "unknown_key")
    assert keys.asked == 3


def test_what_is_remembered_is_bounded() -> None:
    """After many unknown keys the first are forgotten, and asked for again."""
    keys = Keys()
    authenticator = Authenticator(Keyring(keys, Clock()), "read")

    for number in [*range(5_000), 0]:
        refusal(authenticator, str(number))

    assert keys.asked == 5_001


@pytest.mark.parametrize("needed", SCOPES)
@pytest.mark.parametrize("held", SCOPES)
def test_a_key_does_what_its_scope_names_and_no_more(needed: Scope, held: Scope) -> None:
    """A key of one scope opens routes of that scope; any other answers 403 and names it."""
    keys = Keys()
    keys.add("k", held)
    authenticator = Authenticator(Keyring(keys, Clock()), needed)

    if needed == held:
        assert authenticator.project("Bearer k") == "p"
    else:
        refused = refusal(authenticator, "k")
        assert (refused.status, refused.code) == (403, "missing_scope")
        assert repr(needed) in refused.message


def test_a_key_beyond_its_rate_is_told_when_to_come_back() -> None:
    """A fourth request at once of a key of 3 a minute is answered 429, and admitted 20 s later."""
    keys, clock = Keys(), Clock()
    keys.add("k", rate_limit=3)
    keys.add("other", rate_limit=0)
    authenticator = Authenticator(Keyring(keys, clock, rate_limit=1), "read")

    for _ in range(3):
        authenticator.project("Bearer k")
    refused = refusal(authenticator, "k")
    for _ in range(10):
        authenticator.project("Bearer other")

    assert (refused.status, refused.code) == (429, "rate_limited")
    assert refused.headers == {"Retry-After": "20"}
    clock.seconds = 20.0
    assert authenticator.project("Bearer k") == "p"
    refusal(authenticator, "k")


def test_a_key_without_a_limit_takes_the_servers() -> None:
    """The server's setting limits the keys that have no limit of their own."""
    keys = Keys()
    keys.add("k")
    authenticator = Authenticator(Keyring(keys, Clock(), rate_limit=1), "read")

    authenticator.project("Bearer k")

    assert refusal(authenticator, "k").status == 429


@given(
    per_minute=st.integers(1, 1_000),
    gaps=st.lists(st.floats(0, 30, allow_nan=False), max_size=200),
)
def test_no_minute_admits_more_than_a_burst_and_its_rate(
    per_minute: int, gaps: list[float]
) -> None:
    """However requests are spread, any stretch of time admits a minute's worth plus its rate."""
    clock = Clock()
    limiter = RateLimiter(clock)
    admitted = []
    for gap in gaps:
        clock.seconds += gap
        if limiter.wait(1, per_minute) == 0:
            admitted.append(clock.seconds)

    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            stretch = admitted[last] - start
            assert last - first + 1 <= per_minute + stretch * per_minute / 60 + 1


def test_uses_are_noted_once_and_handed_out() -> None:
    """What was used since the last time is told by key, and an unused or refused key is not."""
    keys = Keys()
    keys.add("a", "read")
    keys.add("b", "ingest")
    keyring = Keyring(keys, Clock())
    authenticator = Authenticator(keyring, "read")

    authenticator.project("Bearer a")
    authenticator.project("Bearer a")
    refusal(authenticator, "b")

    assert keyring.uses() == {0: DAY}
    assert keyring.uses() == {}


def test_a_database_that_is_away_is_503() -> None:
    """A key that cannot be looked up is answered 503 with Retry-After, and not remembered."""
    keys = Keys()
    keys.add("k")
    keys.away = True
    authenticator = Authenticator(Keyring(keys, Clock()), "read")

    refused = refusal(authenticator, "k")
    keys.away = False

    assert (refused.status, refused.code) == (503, "metadata_unavailable")
    assert "Retry-After" in refused.headers
    assert authenticator.project("Bearer k") == "p"
