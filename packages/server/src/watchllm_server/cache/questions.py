"""The questions whose answers are kept: a SQLite file of encrypted rows."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from watchllm_server.cache.disk import delete_chosen
from watchllm_server.cache.sqlitefile import open_file
from watchllm_server.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from watchllm_server.cache.entry import Chosen, Kept
    from watchllm_server.secrets import Secret

FILE_NAME: Final = "questions.db"
_VERSION: Final = 2
_SCHEMA: Final = """
    CREATE TABLE questions (
        key BLOB PRIMARY KEY, scope BLOB NOT NULL, embedder TEXT NOT NULL, project TEXT NOT NULL,
        namespace TEXT NOT NULL, model TEXT NOT NULL, event_id TEXT NOT NULL, created REAL NOT NULL,
        expires REAL NOT NULL, sealed BLOB NOT NULL
    );
    CREATE INDEX questions_by_end ON questions (expires);
    CREATE INDEX questions_of_project ON questions (project, created);
"""


class Row(NamedTuple):
    """A kept question: the key of its answer, its scope, its vector as float16."""

    key: bytes
    scope: bytes
    vector: bytes


class QuestionStore(Protocol):
    """Keep questions on disk or in a database. Safe to use from any thread; it waits.

    Raises sqlite3.Error or ModelError.
    """

    def put(self, row: Row, embedder: str, text: str, kept: Kept) -> None:
        """Keep a question for as long as its answer is."""
        ...

    def text(self, key: bytes) -> str | None:
        """Return the text of a question, None where it is not there or cannot be opened."""
        ...

    def answer(self, key: bytes) -> Kept | None:
        """Return an answer that another node has kept, None where there is none."""
        ...

    def load(self, embedder: str, now: float) -> Iterator[Row]:
        """Yield the questions of an embedder that an index in memory has to know."""
        ...

    def expire(self, now: float) -> list[bytes]:
        """Forget what has expired, and return the keys."""
        ...

    def remove(self, keys: Iterable[bytes]) -> None:
        """Forget questions."""
        ...

    def forget(self, project: str, chosen: Chosen) -> set[bytes]:
        """Forget a project's chosen questions; return the keys."""
        ...

    def close(self) -> None:
        """Let go of the file or the connection."""
        ...


class Questions:
    """Keep questions on disk. Safe to use from any thread, one at a time; it waits for the disk.

    What decides about a row stands beside it in the clear, as for its answer; the text and the
    vector are encrypted. See `open_file` for a file that is damaged.
    """

    def __init__(self, folder: Path, secret: Secret) -> None:
        self._seal = secret.seal("questions")
        self._lock = threading.Lock()
        self._disk = open_file(folder / FILE_NAME, _SCHEMA, _VERSION)

    def put(self, row: Row, embedder: str, text: str, kept: Kept) -> None:
        """Keep a question for as long as its answer is."""
        sealed = self._seal.close(msgspec.msgpack.encode((text, row.vector)), row.key + row.scope)
        project, namespace, entry = kept
        with self._lock:
            self._disk.execute(
                "INSERT OR REPLACE INTO questions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (row.key, row.scope, embedder, project, namespace, entry.model, entry.event_id,
                 entry.created_at, entry.expires_at, sealed),
            )  # fmt: skip

    def text(self, key: bytes) -> str | None:
        """Return the text of a question, None where it is not there or cannot be opened."""
        with self._lock:
            found = self._disk.execute(
                "SELECT scope, sealed FROM questions WHERE key = ?", (key,)
            ).fetchone()
        opened = found and self._opened(key, *found)
        return opened[0] if opened else None

    def answer(self, key: bytes) -> Kept | None:  # noqa: ARG002 - as where nodes share them
        """Return None: on one node the answers are in the cache itself."""
        return None

    def load(self, embedder: str, now: float) -> Iterator[Row]:
        """Yield the questions of an embedder that are not expired, the latest to expire last."""
        self.expire(now)
        with self._lock:
            found = self._disk.execute(
                "SELECT key, scope, sealed FROM questions WHERE embedder = ? ORDER BY expires",
                (embedder,),
            ).fetchall()
        for key, scope, sealed in found:
            opened = self._opened(key, scope, sealed)
            if opened is not None:
                yield Row(key, scope, opened[1])

    def expire(self, now: float) -> list[bytes]:
        """Forget what has expired, and return the keys."""
        with self._lock:
            found = self._disk.execute(
                "DELETE FROM questions WHERE expires <= ? RETURNING key", (now,)
            ).fetchall()
        return [key for (key,) in found]

    def remove(self, keys: Iterable[bytes]) -> None:
        """Forget questions."""
        with self._lock:
            self._disk.executemany("DELETE FROM questions WHERE key = ?", [(key,) for key in keys])

    def forget(self, project: str, chosen: Chosen) -> set[bytes]:
        """Forget a project's chosen questions, in the journal of the file too; return the keys."""
        with self._lock:
            keys = delete_chosen(self._disk, "questions", project, chosen)
            self._disk.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return keys

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
