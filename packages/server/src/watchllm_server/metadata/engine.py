"""Open the metadata database: a SQLite file, or PostgreSQL by its URL."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from watchllm_server.errors import MetadataUnavailableError, StartError
from watchllm_server.metadata.migrate import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.pool import ConnectionPoolEntry

_BUSY_SECONDS = 10
_CONNECT_SECONDS = 5
_STATEMENT_MILLISECONDS = 10_000
# Any number does that nothing else in the same database locks.
_MIGRATION_LOCK = 8_787_001


class Database:
    """Give out sessions of a database whose tables are up to date. Safe to use from any thread.

    `place` is the path of a SQLite file or a URL `postgresql://...`. Raises StartError when the
    database cannot be used.
    """

    def __init__(self, place: Path | str) -> None:
        self._engine, self.shown = _open(place)
        try:
            with _one_at_a_time(self._engine, place) as connection:
                upgrade(connection)
        except (DatabaseError, InterfaceError) as error:
            self._engine.dispose()
            raise StartError(
                f"The database {self.shown} cannot be used: {_one_line(error.orig)}."
            ) from error
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Return a session; raise MetadataUnavailableError when the database is away."""
        try:
            with self._sessions() as session:
                yield session
        except (OperationalError, InterfaceError) as error:
            raise MetadataUnavailableError(_one_line(error.orig)) from error

    def copy_to(self, path: Path) -> bool:
        """Copy a SQLite file as it is at one moment; return False for any other database."""
        if self._engine.dialect.name != "sqlite":
            return False
        with self._engine.connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(path),))
        return True

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _open(place: Path | str) -> tuple[Engine, str]:
    """Return an engine, and how to name its database without a password."""
    if isinstance(place, Path):
        options = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
        engine = create_engine(f"sqlite:///{place}", connect_args=options)
        event.listen(engine, "connect", _prepare)
        return engine, str(place)
    try:
        url = make_url(place)
    except ArgumentError:
        raise StartError(_WRONG_URL) from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise StartError(_WRONG_URL)
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": _CONNECT_SECONDS,
                "options": f"-c statement_timeout={_STATEMENT_MILLISECONDS}",
            },
        )
    except ImportError as error:
        raise StartError(
            'PostgreSQL needs one more package: pip install "watchllm-server[postgres]".'
        ) from error
    return engine, url.render_as_string(hide_password=True)


_WRONG_URL = (
    "WATCHLLM_DATABASE_URL must be postgresql://user:password@host:port/database; leave it empty "
    "for a SQLite file in the data directory."
)


def _prepare(connection: object, record: ConnectionPoolEntry) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    cursor = connection.cursor()  # type: ignore[attr-defined]  # a DBAPI connection, untyped
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


@contextmanager
def _one_at_a_time(engine: Engine, place: Path | str) -> Iterator[Connection]:
    """Let one process at a time make the tables."""
    if isinstance(place, Path):
        with place.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with engine.begin() as connection:
                yield connection
        return
    with engine.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        yield connection


def _one_line(error: BaseException | None) -> str:
    return " ".join(str(error).split()).rstrip(".")
