"""From a key to its project, with a memory of one second."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from watchllm_server.auth import Authenticator
from watchllm_server.errors import Problem


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """Return a fixed day."""
        return datetime(2026, 11, 24, tzinfo=UTC)

    def monotonic(self) -> float:
        """Return the seconds that it was moved by."""
        return self.seconds


class Keys:
    """Keys in memory, which count how often they are asked."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.asked = 0

    def project_of(self, secret: str) -> str | None:
        """Return a key's project."""
        self.asked += 1
        return self.known.get(secret)


def test_a_key_that_is_made_or_removed_counts_after_a_second() -> None:
    """An answer is remembered for less than a second, whether the key was known or not."""
    keys, clock = Keys(), Clock()
    authenticator = Authenticator(keys, clock)

    with pytest.raises(Problem):
        authenticator.project("Bearer k")
    keys.known["k"] = "p"
    clock.seconds = 1.0
    assert authenticator.project("bearer  k ") == "p"
    del keys.known["k"]
    clock.seconds = 1.9
    assert authenticator.project("Bearer k") == "p"
    clock.seconds = 2.0
    with pytest.raises(Problem) as refused:
        authenticator.project("Bearer k")

    assert (refused.value.status, refused.value.code) == (401, "unknown_key")
    assert keys.asked == 3


def test_what_is_remembered_is_bounded() -> None:
    """After many unknown keys the first are forgotten, and asked for again."""
    keys = Keys()
    authenticator = Authenticator(keys, Clock())

    for number in [*range(5_000), 0]:
        with pytest.raises(Problem):
            authenticator.project(f"Bearer {number}")

    assert keys.asked == 5_001
