"""The database of projects and keys: SQLite beside the events."""

from __future__ import annotations

import fcntl
import hmac
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event, select
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from watchllm_server.errors import MetadataError, StartError
from watchllm_server.metadata.keys import MIN_LENGTH, hash_secret, new_secret, shown_prefix
from watchllm_server.metadata.migrate import upgrade
from watchllm_server.metadata.models import ApiKey, Loss, Project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sqlalchemy.pool import ConnectionPoolEntry

    from watchllm_server.clock import Clock

_BUSY_SECONDS = 10
_MAX_NAME = 200
_PROJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_REASONS = 50
_MAX_COUNT = 2**62


class Metadata:
    """Keep projects and keys in a file; several processes may use it at once.

    Opening it brings its tables up to date, or raises StartError. Safe to use from any thread.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._engine = create_engine(
            f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}
        )
        event.listen(self._engine, "connect", _prepare)
        try:
            with _one_at_a_time(path.with_suffix(".lock")), self._engine.begin() as connection:
                upgrade(connection)
        except DatabaseError as error:
            self._engine.dispose()
            raise StartError(f"The database {path} cannot be used: {error.orig}.") from error
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)

    def create_project(self, name: str, *, project_id: str | None = None) -> Project:
        """Add a project; its id is made from its name unless it is given.

        Raises MetadataError when the name is taken or unfit.
        """
        name = name.strip()
        if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
            raise MetadataError(
                f"A project's name must have 1 to {_MAX_NAME} printable characters."
            )
        if project_id is not None and not _PROJECT_ID.fullmatch(project_id):
            raise MetadataError(
                f"The project id {project_id!r} must be 1 to 64 letters, digits, dots, underscores "
                "or hyphens, the first a letter or a digit."
            )
        with self._sessions() as session:
            found = project_id or _free_id(session, name)
            project = Project(id=found, name=name, created_at=self._clock.now())
            session.add(project)
            try:
                session.commit()
            except IntegrityError:
                raise MetadataError(f"There is a project {name!r} already.") from None
            return project

    def projects(self) -> list[Project]:
        """Return all projects, the oldest first."""
        with self._sessions() as session:
            return list(session.scalars(select(Project).order_by(Project.created_at, Project.id)))

    def project(self, name_or_id: str) -> Project | None:
        """Return a project by its id, or else by its name."""
        with self._sessions() as session:
            by_name = select(Project).where(Project.name == name_or_id)
            return session.get(Project, name_or_id) or session.scalar(by_name)

    def create_key(
        self, project_id: str, *, name: str = "", secret: str | None = None
    ) -> tuple[ApiKey, str]:
        """Add a key to a project and return it with its secret, which is not kept.

        A given secret that the project has already is no error. Raises MetadataError when it is
        too short or opens another project.
        """
        if secret is not None and (len(secret) < MIN_LENGTH or not secret.isprintable()):
            raise MetadataError(f"A key must have at least {MIN_LENGTH} printable characters.")
        text = secret or new_secret()
        key = ApiKey(
            project_id=project_id,
            name=name,
            prefix=shown_prefix(text),
            hash=hash_secret(text),
            created_at=self._clock.now(),
        )
        with self._sessions() as session:
            session.add(key)
            try:
                session.commit()
            except IntegrityError:
                session.rollback()
                known = session.scalar(select(ApiKey).where(ApiKey.hash == key.hash))
                if known is None or known.project_id != project_id:
                    raise MetadataError("This key belongs to another project.") from None
                return known, text
            return key, text

    def all_keys(self) -> list[tuple[ApiKey, Project]]:
        """Return all keys with their projects, the oldest first."""
        rows = select(ApiKey, Project).join(Project).order_by(ApiKey.id)
        with self._sessions() as session:
            return [(row[0], row[1]) for row in session.execute(rows)]

    def project_of(self, secret: str) -> str | None:
        """Return the id of the project that a key opens, or None for an unknown key."""
        hashed = hash_secret(secret)
        with self._sessions() as session:
            key = session.scalar(select(ApiKey).where(ApiKey.hash == hashed))
        return key.project_id if key and hmac.compare_digest(key.hash, hashed) else None

    def add_losses(self, project_id: str, losses: Mapping[str, int]) -> None:
        """Add what a sender says that it lost, by reason; reasons beyond 50 count as `other`."""
        with self._sessions() as session:
            known = {
                loss.reason: loss
                for loss in session.scalars(select(Loss).where(Loss.project_id == project_id))
            }
            for reason, count in losses.items():
                name = reason if reason in known or len(known) < _MAX_REASONS else "other"
                loss = known.get(name)
                if loss is None:
                    loss = known[name] = Loss(project_id=project_id, reason=name, count=0)
                    session.add(loss)
                loss.count = min(loss.count + count, _MAX_COUNT)
                loss.last_at = self._clock.now()
            session.commit()

    def losses(self, project_id: str) -> dict[str, int]:
        """Return how many events the senders of a project lost, by reason."""
        rows = select(Loss).where(Loss.project_id == project_id).order_by(Loss.reason)
        with self._sessions() as session:
            return {loss.reason: loss.count for loss in session.scalars(rows)}

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _free_id(session: Session, name: str) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:56] or "project"
    found, number = base, 1
    while session.get(Project, found) is not None:
        number += 1
        found = f"{base}-{number}"
    return found


def _prepare(connection: object, record: ConnectionPoolEntry) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    cursor = connection.cursor()  # type: ignore[attr-defined]  # a DBAPI connection, untyped
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Let one process at a time make the tables."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
