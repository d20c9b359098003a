"""The questions whose answers are kept, and what became of hits: a SQLite file, encrypted rows."""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from watchllm_server.cache.calibrate import Comparison
from watchllm_server.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from watchllm_server.cache.embed import Vector
    from watchllm_server.secrets import Secret

FILE_NAME: Final = "questions.db"
_VERSION: Final = 1
_SCHEMA: Final = f"""
    CREATE TABLE questions (
        key BLOB PRIMARY KEY, scope BLOB NOT NULL, embedder TEXT NOT NULL, expires REAL NOT NULL,
        sealed BLOB NOT NULL
    );
    CREATE INDEX questions_by_end ON questions (expires);
    CREATE TABLE comparisons (
        number INTEGER PRIMARY KEY, names TEXT NOT NULL, confidence REAL NOT NULL,
        wrong INTEGER NOT NULL, weight REAL NOT NULL, served INTEGER NOT NULL,
        reported INTEGER NOT NULL
    );
    PRAGMA user_version = {_VERSION};
"""
_KEPT_COMPARISONS: Final = 200_000


class Row(NamedTuple):
    """A kept question: the key of its answer, its scope, its vector."""

    key: bytes
    scope: bytes
    vector: Vector


class Judged(NamedTuple):
    """A comparison, the groups that it speaks of, and whether a user reported it."""

    groups: tuple[str, ...]
    comparison: Comparison
    reported: bool


class Questions:
    """Keep questions on disk. Safe to use from any thread, one at a time; it waits for the disk.

    A row is there as a whole or not at all, whatever kills the process. A file that is damaged is
    set aside, and an empty one takes its place: what was in it is asked for again. Otherwise what
    SQLite raises comes out.
    """

    def __init__(self, folder: Path, secret: Secret) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / FILE_NAME
        self._seal = secret.seal("questions")
        self._lock = threading.Lock()
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            for suffix in ("-wal", "-shm"):
                self._path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
            self._path.replace(self._path.with_suffix(".damaged"))
            self._open()

    def _open(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._disk = sqlite3.connect(
            self._path, timeout=5, isolation_level=None, check_same_thread=False
        )
        try:
            version = self._disk.execute("PRAGMA user_version").fetchone()[0]
            self._disk.execute("PRAGMA journal_mode = WAL")
            self._disk.execute("PRAGMA synchronous = NORMAL")
            if version == 0:
                self._disk.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
            elif version != _VERSION:
                raise sqlite3.DatabaseError("written by another version")  # noqa: TRY301 - as damage is told
            self._disk.execute("SELECT count(*) FROM questions").fetchone()
        except BaseException:
            self._disk.close()
            raise

    def put(self, row: Row, embedder: str, text: str, expires: float) -> None:
        """Keep a question until its answer expires, in seconds since 1970."""
        plain = msgspec.msgpack.encode((text, row.vector.astype(np.float16).tobytes()))
        sealed = self._seal.close(plain, row.key + row.scope)
        with self._lock:
            self._disk.execute(
                "INSERT OR REPLACE INTO questions VALUES (?, ?, ?, ?, ?)",
                (row.key, row.scope, embedder, expires, sealed),
            )

    def text(self, key: bytes) -> str | None:
        """Return the text of a question, None where it is not there or cannot be opened."""
        with self._lock:
            found = self._disk.execute(
                "SELECT scope, sealed FROM questions WHERE key = ?", (key,)
            ).fetchone()
        opened = found and self._opened(key, *found)
        return opened[0] if opened else None

    def load(self, embedder: str, now: float) -> Iterator[Row]:
        """Yield the questions of an embedder that are not expired, the latest to expire last."""
        with self._lock:
            self._disk.execute("DELETE FROM questions WHERE expires <= ?", (now,))
            found = self._disk.execute(
                "SELECT key, scope, sealed FROM questions WHERE embedder = ? ORDER BY expires",
                (embedder,),
            ).fetchall()
        for key, scope, sealed in found:
            opened = self._opened(key, scope, sealed)
            if opened is not None:
                yield Row(key, scope, np.frombuffer(opened[1], np.float16).astype(np.float32))

    def remove(self, keys: Iterable[bytes]) -> None:
        """Forget questions."""
        with self._lock:
            self._disk.executemany("DELETE FROM questions WHERE key = ?", [(key,) for key in keys])

    def note(self, judged: Judged) -> None:
        """Write a comparison down; the newest 200,000 are kept."""
        names = msgspec.json.encode(judged.groups).decode()
        values = (*judged.comparison, judged.reported)
        with self._lock:
            number = self._disk.execute(
                "INSERT INTO comparisons (names, confidence, wrong, weight, served, reported)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (names, *values),
            ).lastrowid
            self._disk.execute(
                "DELETE FROM comparisons WHERE number <= ?", ((number or 0) - _KEPT_COMPARISONS,)
            )

    def judged(self) -> list[Judged]:
        """Return all comparisons in the order in which they came."""
        with self._lock:
            found = self._disk.execute(
                "SELECT names, confidence, wrong, weight, served, reported FROM comparisons"
                " ORDER BY number"
            ).fetchall()
        return [
            Judged(
                tuple(msgspec.json.decode(names)),
                Comparison(confidence, bool(wrong), weight, bool(served)),
                bool(reported),
            )
            for names, confidence, wrong, weight, served, reported in found
        ]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._disk.close()

    def _opened(self, key: bytes, scope: bytes, sealed: bytes) -> tuple[str, bytes] | None:
        try:
            return _decode(self._seal.open(sealed, key + scope))
        except (SealError, msgspec.DecodeError):
            return None


_decode: Final = msgspec.msgpack.Decoder(tuple[str, bytes]).decode
