"""The store of answers under damage: nothing false is served, and no call fails for it."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from keeping import entry, key, opened
from watchllm_server.cache.disk import FILE_NAME
from watchllm_server.cache.entry import Chosen
from watchllm_server.errors import StoreError


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


def test_reading_waits_for_no_writer(tmp_path: Path) -> None:
    """While something is written, be it by another program, answers are found on disk."""
    with closing(opened(tmp_path)) as store:
        store.put(key(1), "p", "", entry())
    with (
        closing(opened(tmp_path, hot_bytes=1)) as store,
        closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM entries")
        found = store.get(key(1))
        other.execute("ROLLBACK")

    assert found == entry()


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
