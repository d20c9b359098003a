"""The store of answers: served again, bounded, encrypted, and never a reason for a call to fail."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from keeping import NOW, TurnedClock, entry, key, opened
from watchllm_server.cache.disk import FILE_NAME, FOLDER, forget
from watchllm_server.cache.entry import Chosen, Entry
from watchllm_server.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.mark.parametrize("change", ["flipped", "cut", "moved", "empty"])
def test_a_changed_row_is_a_miss(tmp_path: Path, change: str) -> None:
    """Bytes that someone changed, cut, or moved under another key are never served, and go."""
    with closing(opened(tmp_path)) as store:
        store.put(key(1), "p", "", entry(b"one"))
        store.put(key(2), "p", "", entry(b"two"))
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as connection:
        (sealed,) = connection.execute(
            "SELECT sealed FROM entries WHERE key = ?", (key(2 if change == "moved" else 1),)
        ).fetchone()
        changed = {
            "flipped": sealed[:-1] + bytes([sealed[-1] ^ 1]),
            "cut": sealed[:-1],
            "moved": sealed,
            "empty": b"",
        }[change]
        connection.execute("UPDATE entries SET sealed = ? WHERE key = ?", (changed, key(1)))

    with closing(opened(tmp_path)) as store:
        assert store.get(key(1)) is None
        assert store.get(key(2)) == entry(b"two")
        assert store.stats("p").entries == 1


def test_under_another_secret_every_row_is_a_miss(tmp_path: Path) -> None:
    """Whoever has the file without the key has nothing; the rows are written anew in time."""
    with closing(opened(tmp_path)) as store:
        store.put(key(1), "p", "", entry())
    with closing(opened(tmp_path, secret=b"t" * 32)) as store:
        found = store.get(key(1))
        store.put(key(1), "p", "", entry(b"new"))

    assert found is None
    with closing(opened(tmp_path, secret=b"t" * 32)) as store:
        assert store.get(key(1)) == entry(b"new")


@pytest.mark.parametrize("damage", ["noise", "cut", "newer"])
def test_a_damaged_file_is_set_aside(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The cache begins empty beside what cannot be read, says so in one line, and serves."""
    path = tmp_path / FILE_NAME
    with closing(opened(tmp_path)) as store:
        for number in range(100):
            store.put(key(number), "p", "", entry(b"x" * 10_000))
    if damage == "newer":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 99")
    else:
        size = path.stat().st_size
        path.write_bytes(b"\xa5" * size if damage == "noise" else b"SQLite")

    with caplog.at_level(logging.WARNING), closing(opened(tmp_path)) as store:
        found = store.get(key(1))
        store.put(key(1), "p", "", entry())
        store.flush()

        assert found is None
        assert store.get(key(1)) == entry()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{FILE_NAME}.damaged" in caplog.text
    assert (tmp_path / f"{FILE_NAME}.damaged").exists()


def test_damage_that_shows_later_is_set_aside_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file whose inner pages are noise opens, fails when it is read, and is replaced then."""
    path = tmp_path / FILE_NAME
    with closing(opened(tmp_path)) as store:
        for number in range(500):
            store.put(key(number), "p", "", entry(b"x" * 1_000))
    whole = path.read_bytes()
    path.write_bytes(whole[:4_096] + b"\xa5" * (len(whole) - 4_096))

    with caplog.at_level(logging.WARNING), closing(opened(tmp_path)) as store:
        found = [store.get(key(number)) for number in range(500)]
        store.put(key(1), "p", "", entry())
        store.flush()
        again = store.stats("p").entries

    assert found == [None] * 500
    assert again == 1
    assert len(caplog.records) == 1


def test_a_disk_that_refuses_costs_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While every write fails, answers are served from memory, and one line says so."""
    with (
        closing(opened(tmp_path)) as store,
        closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other,
        caplog.at_level(logging.WARNING),
    ):
        other.execute("DROP TABLE totals")
        for number in range(3):
            store.put(key(number), "p", "", entry())
            store.get(key(number))
            store.flush()
        found = store.get(key(0))

    assert found == entry()
    assert len(caplog.records) == 1


def test_a_refusal_to_forget_is_an_error(tmp_path: Path) -> None:
    """Whoever erases must know when answers may still be there."""
    with closing(opened(tmp_path)) as store:
        store.put(key(1), "p", "", entry())
        store.flush()
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
            other.execute("ALTER TABLE entries RENAME TO elsewhere")

        with pytest.raises(sqlite3.OperationalError):
            store.invalidate("p", Chosen())
        with pytest.raises(StoreError, match="cannot forget"):
            store.forget("p")


def test_a_damaged_file_has_nothing_to_forget(tmp_path: Path) -> None:
    """What cannot be read is never served again, so that forgetting it is done."""
    path = tmp_path / FILE_NAME
    with closing(opened(tmp_path)) as store:
        for number in range(500):
            store.put(key(number), "p", "", entry(b"x" * 1_000))
    whole = path.read_bytes()
    path.write_bytes(whole[:4_096] + b"\xa5" * (len(whole) - 4_096))

    with closing(opened(tmp_path)) as store:
        store.put(key("waits"), "p", "", entry())
        forgotten = store.forget("p")
        found = store.get(key("waits"))
        left = store.stats("p").entries

    assert forgotten <= 1
    assert found is None
    assert left == 0


def test_a_file_that_cannot_be_set_aside_costs_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where not even an empty cache can be begun, answers are served from memory."""
    path = tmp_path / FILE_NAME
    with closing(opened(tmp_path)) as store:
        for number in range(500):
            store.put(key(number), "p", "", entry(b"x" * 1_000))
    whole = path.read_bytes()
    path.write_bytes(whole[:4_096] + b"\xa5" * (len(whole) - 4_096))
    (tmp_path / f"{FILE_NAME}.damaged" / "in the way").mkdir(parents=True)

    with caplog.at_level(logging.WARNING), closing(opened(tmp_path)) as store:
        store.get(key(1))
        store.put(key("new"), "p", "", entry())
        store.flush()
        found = store.get(key("new"))

    assert found == entry()
    assert "could not begin anew" in caplog.text


_WRITER = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from keeping import entry, key, opened
store = opened(Path(sys.argv[1]), max_bytes=50_000_000)
for number in range(100_000):
    store.put(key(number), "p", "", entry(b"%d" % number))
    if number % 20 == 19:
        store.flush()
        print(number, flush=True)
"""


def test_a_killed_process_leaves_what_it_had_written(tmp_path: Path) -> None:
    """SIGKILL at any moment leaves a sound file with every answer that was flushed."""
    here = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path), here], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        seen = 0
        while seen < 999:
            seen = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    with closing(opened(tmp_path, max_bytes=50_000_000)) as store:
        missing = [number for number in range(seen + 1) if store.get(key(number)) is None]
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        sound = connection.execute("PRAGMA integrity_check").fetchall()

    assert missing == []
    assert sound == [("ok",)]


def test_invalidating_takes_those_that_are_meant_and_no_others(store: CacheStore) -> None:
    """Every condition counts, together with the others, within the project alone."""
    hour = 3_600
    rows = {
        "a": ("p", "", "gpt-4o", 0, "event-a"),
        "b": ("p", "ns", "gpt-4o", 1, "event-b"),
        "c": ("p", "ns", "claude", 2, "event-c"),
        "d": ("q", "ns", "claude", 2, "event-c"),
    }
    now = NOW.timestamp()
    cases = [
        (Chosen(), "abc"),
        (Chosen(model="gpt-4o"), "ab"),
        (Chosen(namespace="ns"), "bc"),
        (Chosen(namespace=""), "a"),
        (Chosen(model="gpt-4o", namespace="ns"), "b"),
        (Chosen(before=now + hour), "a"),
        (Chosen(after=now + hour), "bc"),
        (Chosen(after=now + hour, before=now + 2 * hour), "b"),
        (Chosen(event_id="event-c"), "c"),
        (Chosen(model="unknown"), ""),
    ]
    for number, (chosen, meant) in enumerate(cases):
        for name, (project, namespace, model, hours, event_id) in rows.items():
            made = now + hours * hour
            kept = entry(model=model, created_at=made, event_id=event_id)
            store.put(key(name), project, namespace, kept)
            if (number + ord(name)) % 2:
                store.flush()

        count = store.invalidate("p", chosen)

        left = "".join(name for name in rows if store.get(key(name)) is not None)
        assert left == "".join(name for name in "abcd" if name not in meant)
        assert count == len(meant)


def test_a_project_is_forgotten_where_no_server_runs(tmp_path: Path) -> None:
    """The commands of a stopped server forget as the server does, and where nothing is kept too."""
    before = forget(tmp_path, "p")
    with closing(opened(tmp_path / FOLDER)) as store:
        for number in range(3):
            store.put(key(number), "p" if number else "q", "", entry())

    counts = [forget(tmp_path, "p"), forget(tmp_path, "p")]

    with closing(opened(tmp_path / FOLDER)) as store:
        found = [store.get(key(number)) is not None for number in range(3)]
        running = store.forget("q")
    assert before == 0
    assert counts == [2, 0]
    assert found == [True, False, False]
    assert running == 1


def test_what_is_invalidated_does_not_come_back(tmp_path: Path) -> None:
    """While many read and write, no answer is served again after it was invalidated."""
    ended = threading.Event()

    def read_on(store: CacheStore) -> None:
        while not ended.is_set():
            for number in range(20):
                store.get(key(number))

    with closing(opened(tmp_path)) as store, ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read_on, store) for _ in range(3)]
        try:
            for _ in range(30):
                for number in range(20):
                    store.put(key(number), "p", "", entry())
                store.invalidate("p", Chosen())
                assert [number for number in range(20) if store.get(key(number))] == []
                store.flush()
                assert [number for number in range(20) if store.get(key(number))] == []
        finally:
            ended.set()
        for reader in readers:
            reader.result()


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
