"""The entries on disk: a SQLite file of encrypted rows, bounded in size.

What decides about rows stands beside them in the clear (project, namespace, model, times, the id
of an event); what was asked and answered is in the encrypted part alone.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from watchllm_server.cache.entry import Chosen

FOLDER: Final = "cache"
"""Where in the data directory the file is."""
FILE_NAME: Final = "cache.db"
SMALL: Final = 65_536
"""Bytes of a row that may be read where nothing may wait."""

_log = logging.getLogger(__name__)
_VERSION: Final = 1
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_EVICTED_AT_ONCE: Final = 200
# What a row takes besides its bytes, of the table and the three indexes.
_OVERHEAD: Final = 600
_SCHEMA: Final = f"""
    CREATE TABLE entries (
        key BLOB PRIMARY KEY, project TEXT NOT NULL, namespace TEXT NOT NULL, model TEXT NOT NULL,
        event_id TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL, used REAL NOT NULL,
        size INTEGER NOT NULL, sealed BLOB NOT NULL
    );
    CREATE INDEX entries_of_project ON entries (project, created, size);
    CREATE INDEX entries_by_use ON entries (used, size);
    CREATE INDEX entries_by_end ON entries (expires);
    CREATE TABLE totals (project TEXT PRIMARY KEY, hits INTEGER NOT NULL, saved_usd REAL NOT NULL);
    PRAGMA user_version = {_VERSION};
"""


class Row(NamedTuple):
    """One row to write."""

    key: bytes
    project: str
    namespace: str
    model: str
    event_id: str
    created: float
    expires: float
    used: float
    size: int
    sealed: bytes


class Listed(NamedTuple):
    """What is known of a row without its key's seal; times are in seconds since 1970."""

    namespace: str
    model: str
    event_id: str
    created: float
    expires: float
    used: float
    size: int


class Sums(NamedTuple):
    """What a project has in the cache, and what was served from there."""

    entries: int
    bytes: int
    oldest: float | None
    newest: float | None
    hits: int
    saved_usd: float


class Disk:
    """Read and write the rows of one file. Safe to use from any thread.

    One writes at a time; reading never waits for that. Whatever SQLite raises comes out, and
    `is_damaged` says whether only `set_aside` helps.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / FILE_NAME
        self._max_bytes = max_bytes
        self._reading = threading.Lock()
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            self._begin_anew()

    def _open(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._writer = self._connect()
        try:
            version = self._version()
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = NORMAL")
            self._writer.execute(f"PRAGMA journal_size_limit = {4_000_000}")
            if version == 0:
                self._writer.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
            # Where nothing may wait, a file that another program has locked is a miss.
            self._reader = self._connect(wait=0)
        except BaseException:
            self._writer.close()
            raise

    def _version(self) -> int:
        found: int = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, _VERSION):
            raise sqlite3.DatabaseError(_OTHER_VERSION)
        return found

    def _connect(self, wait: float = 5.0) -> sqlite3.Connection:
        """Open the file; what finds it locked waits so many seconds, and then fails."""
        return sqlite3.connect(
            self._path, timeout=wait, isolation_level=None, check_same_thread=False
        )

    def set_aside(self) -> None:
        """Keep a damaged file beside an empty one that takes its place. The writer calls it."""
        with self._reading:
            self._close()
            self._begin_anew()

    def _begin_anew(self) -> None:
        aside = self._path.with_name(f"{FILE_NAME}.damaged")
        for suffix in ("-wal", "-shm"):
            self._path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
        self._path.replace(aside)
        _log.warning(
            "The file of the cache, %s, is damaged or of another version: it is now %s, and the "
            "cache begins empty.",
            self._path,
            aside.name,
        )
        self._open()

    def read(self, key: bytes) -> tuple[bytes | None] | None:
        """Return the sealed bytes of a row, None in place of more than 64 kB; None for no row."""
        statement = "SELECT CASE WHEN size <= ? THEN sealed END FROM entries WHERE key = ?"
        with self._reading:
            rows = self._reader.execute(statement, (SMALL, key)).fetchall()
        return rows[0] if rows else None

    def read_large(self, key: bytes) -> tuple[bytes] | None:
        """Return the sealed bytes of a row however many, over a connection of its own."""
        with closing(self._connect()) as connection:
            rows = connection.execute("SELECT sealed FROM entries WHERE key = ?", (key,)).fetchall()
        return rows[0] if rows else None

    def write(
        self, rows: Iterable[Row], removed: Iterable[bytes], used: Mapping[bytes, float],
        served: Mapping[str, tuple[int, float]], now: float,
    ) -> None:  # fmt: skip
        """Write in one transaction: new rows, removed ones, when rows were used, what they saved.

        Rows that have expired, then those used longest ago, make place first.
        """
        rows = list(rows)
        with self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany("DELETE FROM entries WHERE key = ?", [(k,) for k in removed])
            moments = [(moment, key) for key, moment in used.items()]
            self._writer.executemany("UPDATE entries SET used = ? WHERE key = ?", moments)
            sums = [(project, hits, saved) for project, (hits, saved) in served.items()]
            self._writer.executemany(
                "INSERT INTO totals VALUES (?, ?, ?) ON CONFLICT (project) DO UPDATE SET "
                "hits = hits + excluded.hits, saved_usd = saved_usd + excluded.saved_usd",
                sums,
            )
            self._writer.execute("DELETE FROM entries WHERE expires <= ?", (now,))
            self._make_place(sum(row.size + _OVERHEAD for row in rows))
            self._writer.executemany(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    def _make_place(self, needed: int) -> None:
        while self._used() + needed > self._max_bytes:
            oldest = self._writer.execute(
                "SELECT rowid, size FROM entries ORDER BY used LIMIT ?", (_EVICTED_AT_ONCE,)
            ).fetchall()
            if not oldest:
                return
            # A little more than needed, so that not each write has to drive out.
            excess = self._used() + needed - self._max_bytes + self._max_bytes // 50
            gone = []
            for rowid, size in oldest:
                gone.append((rowid,))
                excess -= size
                if excess <= 0:
                    break
            self._writer.executemany("DELETE FROM entries WHERE rowid = ?", gone)

    def _used(self) -> int:
        pragmas = ("page_count", "freelist_count", "page_size")
        pages, free, size = (
            int(self._writer.execute(f"PRAGMA {name}").fetchone()[0]) for name in pragmas
        )
        return (pages - free) * size

    def delete(self, project: str, chosen: Chosen) -> set[bytes]:
        """Delete the chosen rows of a project and return their keys."""
        return delete_chosen(self._writer, "entries", project, chosen)

    def sums(self, project: str) -> Sums:
        """Return what a project has, over a connection of its own: it may read for a while."""
        with closing(self._connect()) as connection:
            entries, size, oldest, newest = connection.execute(
                "SELECT count(*), coalesce(sum(size), 0), min(created), max(created) "
                "FROM entries WHERE project = ?",
                (project,),
            ).fetchone()
            served = connection.execute(
                "SELECT hits, saved_usd FROM totals WHERE project = ?", (project,)
            ).fetchone()
        return Sums(entries, size, oldest, newest, *(served or (0, 0.0)))

    def newest(self, project: str, most: int) -> list[Listed]:
        """Return a project's newest rows, over a connection of its own."""
        with closing(self._connect()) as connection:
            rows = connection.execute(
                "SELECT namespace, model, event_id, created, expires, used, size "
                "FROM entries WHERE project = ? ORDER BY created DESC LIMIT ?",
                (project, most),
            ).fetchall()
        return [Listed(*row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._reading:
            self._close()

    def _close(self) -> None:
        self._reader.close()
        self._writer.close()


def delete_chosen(disk: sqlite3.Connection, table: str, project: str, chosen: Chosen) -> set[bytes]:
    """Delete a project's chosen rows of a table that has what decides; return their keys."""
    conditions = {
        "model = ?": chosen.model,
        "namespace = ?": chosen.namespace,
        "created < ?": chosen.before,
        "created >= ?": chosen.after,
        "event_id = ?": chosen.event_id,
    }
    given = {text: value for text, value in conditions.items() if value is not None}
    where = " AND ".join(["project = ?", *given])
    statement = f"DELETE FROM {table} WHERE {where} RETURNING key"  # noqa: S608 - fixed texts
    rows = disk.execute(statement, [project, *given.values()]).fetchall()
    return {key for (key,) in rows}


_OTHER_VERSION: Final = "The file is of another version."


def is_damaged(error: sqlite3.Error) -> bool:
    """Say whether the file cannot be read, however often one tries."""
    code = getattr(error, "sqlite_errorcode", None)
    return str(error) == _OTHER_VERSION or (code is not None and code & 0xFF in _DAMAGED)
