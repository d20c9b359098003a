"""The store of answers: served again, bounded, encrypted, and counted."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from keeping import NOW, TurnedClock, entry, key, opened
from watchllm_server.cache.disk import FILE_NAME
from watchllm_server.cache.entry import Chosen, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from watchllm_server.cache.store import CacheStore


@pytest.fixture
def clock() -> TurnedClock:
    """Return a clock to turn."""
    return TurnedClock()


@pytest.fixture
def store(tmp_path: Path, clock: TurnedClock) -> Iterator[CacheStore]:
    """Return a store that keeps little in memory, so that the disk is asked."""
    with closing(opened(tmp_path, clock=clock, hot_bytes=1)) as made:
        yield made


def test_an_answer_is_served_at_once_and_after_it_is_written(store: CacheStore) -> None:
    """From the moment of putting on, there is no gap in which an answer is not there."""
    kept = entry()
    store.put(key(1), "p", "", kept)

    assert store.get(key(1)) == kept
    store.flush()
    assert store.get(key(1)) == kept
    assert store.get(key(2)) is None


def test_answers_survive_a_restart(tmp_path: Path) -> None:
    """A store that is opened again has what the one before was given, to the last."""
    with closing(opened(tmp_path, max_bytes=50_000_000)) as first:
        for number in range(700):
            first.put(key(number), "p", "", entry(b"%d" % number))
        for number in range(10):
            first.put(key(("large", number)), "p", "", entry(b"x" * 1_000_000))

    with closing(opened(tmp_path, max_bytes=50_000_000)) as second:
        found = [second.get(key(number)) for number in range(700)]
        large = [second.get(key(("large", number))) for number in range(10)]

    assert all(large)
    assert [kept and kept.body for kept in found] == [b"%d" % number for number in range(700)]


def test_the_newest_answer_under_a_key_counts(store: CacheStore) -> None:
    """An answer that is asked for anew takes the place of the one before, written or not."""
    for body in (b"1", b"2"):
        store.put(key(1), "p", "", entry(body))
    store.flush()
    store.put(key(1), "p", "", entry(b"3"))

    assert store.get(key(1)) == entry(b"3")
    store.flush()
    assert store.get(key(1)) == entry(b"3")
    assert store.stats("p").entries == 1


@pytest.mark.parametrize("hot_bytes", [1, 1_000_000])
def test_an_answer_ends_at_its_time(tmp_path: Path, clock: TurnedClock, hot_bytes: int) -> None:
    """What has expired is not served, from memory or disk, and goes with the next write."""
    with closing(opened(tmp_path, clock=clock, hot_bytes=hot_bytes)) as store:
        store.put(key(1), "p", "", entry(expires_at=NOW.timestamp() + 10))
        store.flush()
        clock.passed = 9.9
        before = store.get(key(1))
        clock.passed = 10
        after = store.get(key(1))
        store.put(key(2), "p", "", entry())

        assert before is not None
        assert after is None
        assert store.stats("p").entries == 1


def test_what_has_expired_already_is_not_kept(store: CacheStore) -> None:
    """A time to live of nothing keeps nothing."""
    store.put(key(1), "p", "", entry(expires_at=NOW.timestamp()))

    assert store.get(key(1)) is None
    assert store.stats("p").entries == 0


def test_a_large_answer_is_found_too(store: CacheStore) -> None:
    """The event loop gets an answer of any size, a large one by way of a thread."""
    bodies = {key(size): b"x" * size for size in (10, 65_000, 70_000, 2_000_000)}
    for name, body in bodies.items():
        store.put(name, "p", "", entry(body))
    store.flush()

    async def find_all() -> list[Entry | None]:
        return [await store.find(name) for name in bodies]

    assert asyncio.run(find_all()) == [entry(body) for body in bodies.values()]
    assert [store.get(name) for name in bodies] == [entry(body) for body in bodies.values()]


def test_an_answer_larger_than_a_quarter_of_the_cache_is_not_kept(tmp_path: Path) -> None:
    """One answer does not drive out all others."""
    with closing(opened(tmp_path, max_bytes=1_000_000)) as store:
        store.put(key(1), "p", "", entry(b"x" * 250_001))

        assert store.get(key(1)) is None


def test_the_size_is_held_under_load_and_the_last_used_stay(
    tmp_path: Path, clock: TurnedClock
) -> None:
    """Ten times as much as fits never makes the file larger, and what is asked for stays."""
    path = tmp_path / FILE_NAME
    largest = 0
    with closing(opened(tmp_path, max_bytes=2_000_000, hot_bytes=1, clock=clock)) as store:
        store.put(key("loved"), "p", "", entry(b"loved"))
        for number in range(400):
            clock.passed = number
            store.put(key(number), "p", "", entry(b"x" * 50_000))
            assert store.get(key("loved")) is not None, number
            if number % 10 == 0:
                store.flush()
                largest = max(largest, path.stat().st_size)
        sums = store.stats("p")
        newest = store.get(key(399))

    assert largest <= 2_000_000
    assert path.stat().st_size <= 2_000_000
    assert 1_000_000 < sums.bytes <= 2_000_000
    assert newest is not None


def test_nothing_that_was_asked_or_answered_is_readable_on_disk(tmp_path: Path) -> None:
    """Bodies are encrypted in the file, its journal, and what remains of deleted rows."""
    with closing(opened(tmp_path)) as store:
        store.put(key(1), "p", "ns", entry(b'{"content": "planted secret"}'))
        store.flush()
        while_open = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        store.invalidate("p", Chosen())
    closed = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert b"gpt-4o" in while_open
    for text in (b"planted", b"secret", b"content"):
        assert text not in while_open
        assert text not in closed


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """No other user of the machine may read the file or its journal."""
    with closing(opened(tmp_path / "cache")) as store:
        store.put(key(1), "p", "", entry())
        store.flush()
        modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "cache").iterdir()}

    assert modes == {0}


def test_what_was_served_and_saved_is_summed_up_by_project(tmp_path: Path) -> None:
    """Hits and what they saved are counted for good; an unknown price saves nothing known."""
    with closing(opened(tmp_path)) as store:
        store.put(key(1), "p", "", entry(b"12345", cost=0.5))
        store.put(key(2), "p", "", entry(cost=None))
        store.put(key(3), "q", "", entry(cost=9.0))
        for name in (1, 1, 2, 3):
            store.get(key(name))
        first = store.stats("p")
        store.get(key(1))
        store.invalidate("p", Chosen())
    with closing(opened(tmp_path)) as store:
        second = store.stats("p")
        nothing = store.stats("r")

    assert (first.entries, first.hits, first.saved_usd) == (2, 3, 1.0)
    assert (first.oldest, first.newest) == (NOW.timestamp(), NOW.timestamp())
    assert (second.entries, second.hits, second.saved_usd) == (0, 4, 1.5)
    assert nothing == (0, 0, None, None, 0, 0.0)


def test_a_closed_store_keeps_and_finds_nothing(tmp_path: Path) -> None:
    """A call that ends after the server has closed its cache is served like any other."""
    store = opened(tmp_path, hot_bytes=1)
    store.put(key(1), "p", "", entry())
    store.close()

    store.put(key(2), "p", "", entry())

    assert store.get(key(1)) is None
    assert store.get(key(2)) is None
