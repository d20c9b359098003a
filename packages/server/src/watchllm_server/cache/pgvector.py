"""Questions that several nodes share, and their answers: rows in PostgreSQL.

The extension pgvector compares a question with each of its scope and of no other: that finds all
there is to find, however the scopes are filled. Text and answer are encrypted under the key that
the nodes share; the vector is not, for the database has to read it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import msgspec

from watchllm_server.cache.entry import Entry, Kept
from watchllm_server.cache.index import MAX_ENTRIES, Near
from watchllm_server.errors import ModelError, SealError, StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import psycopg

    from watchllm_server.cache.embed import Vector
    from watchllm_server.cache.entry import Chosen
    from watchllm_server.cache.questions import Row
    from watchllm_server.clock import Clock
    from watchllm_server.secrets import Secret

    Connection = psycopg.Connection[tuple[Any, ...]]

_LOCK: Final = 7_248_810_255
_SCHEMA: Final = """
    CREATE EXTENSION IF NOT EXISTS vector;
    CREATE TABLE IF NOT EXISTS watchllm_questions (
        key bytea PRIMARY KEY, scope bytea NOT NULL, embedder text NOT NULL, project text NOT NULL,
        namespace text NOT NULL, model text NOT NULL, event_id text NOT NULL,
        created double precision NOT NULL, expires double precision NOT NULL,
        used double precision NOT NULL, sealed bytea NOT NULL, vector halfvec NOT NULL
    );
    CREATE INDEX IF NOT EXISTS watchllm_questions_of_scope ON watchllm_questions (scope, embedder);
    CREATE INDEX IF NOT EXISTS watchllm_questions_of_project
        ON watchllm_questions (project, created);
    CREATE INDEX IF NOT EXISTS watchllm_questions_by_use ON watchllm_questions (used);
    CREATE INDEX IF NOT EXISTS watchllm_questions_by_end ON watchllm_questions (expires)
"""
_PUT: Final = """
    INSERT INTO watchllm_questions VALUES (
        %(key)s, %(scope)s, %(embedder)s, %(project)s, %(namespace)s, %(model)s, %(event_id)s,
        %(created)s, %(expires)s, %(used)s, %(sealed)s, %(vector)s::halfvec
    ) ON CONFLICT (key) DO UPDATE SET
        scope = excluded.scope, embedder = excluded.embedder, event_id = excluded.event_id,
        created = excluded.created, expires = excluded.expires, used = excluded.used,
        sealed = excluded.sealed, vector = excluded.vector
"""
_NEAREST: Final = """
    SELECT key, 1 - (vector <=> %(vector)s::halfvec) AS cosine, used FROM watchllm_questions
    WHERE scope = %(scope)s AND embedder = %(embedder)s
        AND vector_dims(vector) = vector_dims(%(vector)s::halfvec)
    ORDER BY vector <=> %(vector)s::halfvec LIMIT %(most)s
"""
_EVICT: Final = """
    WITH gone AS (
        DELETE FROM watchllm_questions WHERE key IN (
            SELECT key FROM watchllm_questions ORDER BY used
            LIMIT greatest(0, (SELECT count(*) FROM watchllm_questions) - %s)
        ) RETURNING key, used
    ) SELECT key FROM gone ORDER BY used
"""
_FORGET: Final = """
    DELETE FROM watchllm_questions WHERE project = %(project)s
        AND (%(model)s::text IS NULL OR model = %(model)s)
        AND (%(namespace)s::text IS NULL OR namespace = %(namespace)s)
        AND (%(before)s::float8 IS NULL OR created < %(before)s)
        AND (%(after)s::float8 IS NULL OR created >= %(after)s)
        AND (%(event_id)s::text IS NULL OR event_id = %(event_id)s)
    RETURNING key
"""
_CONNECT_SECONDS: Final = 2
_STATEMENT_MILLISECONDS: Final = 2_000
# How long a database that is away is left alone: each lookup would wait for it.
_REST_SECONDS: Final = 10.0
# When a question was used last is written down this seldom.
_USED_SECONDS: Final = 60.0
# Counting is for all nodes together, and too dear for each question that is kept.
_ADDED: Final = 100


class SharedQuestions:
    """Keep questions for several nodes: an `Index`, and what `Questions` is on one node.

    Safe to use from any thread, one at a time; it waits for the database, at most two seconds a
    statement. Vectors of the embedder that `load` names are compared, and no others. Raises
    StartError where the database cannot be used at all, and later ModelError.
    """

    def __init__(
        self, url: str, secret: Secret, clock: Clock, *, max_entries: int = MAX_ENTRIES
    ) -> None:
        try:
            import psycopg  # noqa: PLC0415 - an extra
        except ImportError:
            raise StartError(
                'Shared questions need one more package: pip install "watchllm-server[postgres]".'
            ) from None
        self._errors = psycopg.Error
        self._connect: Callable[[], Connection] = lambda: psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            options=f"-c statement_timeout={_STATEMENT_MILLISECONDS}",
        )
        self._seal = secret.seal("shared questions")
        self._clock = clock
        self._embedder = ""
        self._max = max_entries
        self._lock = threading.Lock()
        self._added = 0
        self._rests_until = 0.0
        self._database: Connection | None = None
        try:
            self._database = self._connect()
            with self._database.transaction():
                # Of nodes that start together, one makes the table.
                self._database.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                for statement in _SCHEMA.split(";"):
                    self._database.execute(statement.encode())
        except self._errors as error:
            self.close()
            raise StartError(
                f"The database of shared questions cannot be used: {_one_line(error)}. It needs "
                "PostgreSQL with pgvector 0.7 or newer, and a user who may create the extension."
            ) from None

    def __len__(self) -> int:
        rows = self._ask("SELECT count(*) FROM watchllm_questions")
        return int(rows[0][0])

    def put(self, row: Row, embedder: str, text: str, kept: Kept) -> None:
        """Keep a question with its answer, for as long as that is kept; it can be found at once."""
        import numpy as np  # noqa: PLC0415 - an extra

        project, namespace, entry = kept
        plain = msgspec.msgpack.encode((text, tuple(kept)))
        self._ask(
            _PUT,
            {
                "key": row.key, "scope": row.scope, "embedder": embedder, "project": project,
                "namespace": namespace, "model": entry.model, "event_id": entry.event_id,
                "created": entry.created_at, "expires": entry.expires_at, "used": self._now(),
                "sealed": self._seal.close(plain, row.key + row.scope),
                "vector": _literal(np.frombuffer(row.vector, np.float16)),
            },
        )  # fmt: skip

    def add(self, scope: bytes, key: bytes, vector: Vector) -> list[bytes]:  # noqa: ARG002 - as the protocol has it
        """Return the keys of what had to go, longest unused first; `put` brought the question."""
        self._added += 1
        if self._added % min(_ADDED, self._max):
            return []
        return [key for (key,) in self._ask(_EVICT, (self._max,))]

    def nearest(self, scope: bytes, vector: Vector, most: int, least: float) -> list[Near]:
        """Return up to `most` of a scope with a cosine of `least` or more, the nearest first."""
        given = {
            "scope": scope,
            "embedder": self._embedder,
            "vector": _literal(vector),
            "most": most,
        }
        rows = [row for row in self._ask(_NEAREST, given) if row[1] >= least]
        now = self._now()
        used = [key for key, _, moment in rows if moment < now - _USED_SECONDS]
        if used:
            self._ask("UPDATE watchllm_questions SET used = %s WHERE key = ANY(%s)", (now, used))
        return [Near(key, float(cosine)) for key, cosine, _ in rows]

    def text(self, key: bytes) -> str | None:
        """Return the text of a question, None where it is not there or cannot be opened."""
        opened = self._opened(key)
        return None if opened is None else opened[0]

    def answer(self, key: bytes) -> Kept | None:
        """Return an answer that any node has kept, None where it is gone or has expired."""
        opened = self._opened(key)
        if opened is None or opened[1].entry.expires_at <= self._now():
            return None
        return opened[1]

    def load(self, embedder: str, now: float) -> Iterator[Row]:
        """Compare vectors of an embedder from now on; yield nothing: they are where they are."""
        self._embedder = embedder
        self.expire(now)
        return iter(())

    def expire(self, now: float) -> list[bytes]:
        """Forget what has expired, and return the keys."""
        rows = self._ask("DELETE FROM watchllm_questions WHERE expires <= %s RETURNING key", (now,))
        return [key for (key,) in rows]

    def remove(self, keys: Iterable[bytes]) -> None:
        """Forget questions; keys that are not there are passed over."""
        if chosen := list(keys):
            self._ask("DELETE FROM watchllm_questions WHERE key = ANY(%s)", (chosen,))

    def forget(self, project: str, chosen: Chosen) -> set[bytes]:
        """Forget a project's chosen questions on all nodes; return the keys."""
        rows = self._ask(_FORGET, {"project": project, **chosen._asdict()})
        return {key for (key,) in rows}

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._let_go()

    def _opened(self, key: bytes) -> tuple[str, Kept] | None:
        rows = self._ask("SELECT scope, sealed FROM watchllm_questions WHERE key = %s", (key,))
        if not rows:
            return None
        scope, sealed = rows[0]
        try:
            text, (project, namespace, entry) = _decode(self._seal.open(sealed, key + scope))
        except (SealError, msgspec.DecodeError):
            return None
        return text, Kept(project, namespace, entry)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _ask(
        self, statement: str, given: Sequence[Any] | dict[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a statement. Raises ModelError, once at once while it is away."""
        with self._lock:
            if self._clock.monotonic() < self._rests_until:
                raise ModelError("the database of shared questions is left alone: it has failed")
            try:
                if self._database is None or self._database.closed:
                    self._database = self._connect()
                cursor = self._database.execute(statement.encode(), given)
                return cursor.fetchall() if cursor.description else []
            except self._errors as error:
                self._let_go()
                self._rests_until = self._clock.monotonic() + _REST_SECONDS
                raise ModelError(
                    f"the database of shared questions failed: {_one_line(error)}"
                ) from None

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _literal(vector: Any) -> str:
    """Return a vector as PostgreSQL reads it."""
    return f"[{','.join(format(number, '.5g') for number in vector.tolist())}]"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


_decode: Final = msgspec.msgpack.Decoder(tuple[str, tuple[str, str, Entry]]).decode
