"""What the server notes of browsers that logged in and of events that it erased."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from watchllm_server.metadata.keys import hash_secret
from watchllm_server.metadata.models import BrowserSession, Erasure

if TYPE_CHECKING:
    from datetime import datetime

    from watchllm_server.clock import Clock
    from watchllm_server.metadata.engine import Database

_TOKEN_BYTES = 32
SESSION_LIFE = timedelta(hours=24)


class Sessions:
    """Remember for a day which browsers logged in. Safe to use from any thread.

    `under` is the password that opened a session: a session ends when the password changes.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def open(self, under: str) -> str:
        """Add a session and return its token, which is not kept."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        now = self._clock.now()
        with self._database.session() as session:
            session.execute(delete(BrowserSession).where(BrowserSession.expires_at <= now))
            session.add(
                BrowserSession(
                    hash=_hash(token, under), created_at=now, expires_at=now + SESSION_LIFE
                )
            )
            session.commit()
        return token

    def is_open(self, token: str, under: str) -> bool:
        """Say whether a token is that of a session that has not ended."""
        with self._database.session() as session:
            found = session.get(BrowserSession, _hash(token, under))
        return found is not None and found.expires_at > self._clock.now()

    def end(self, token: str, under: str) -> None:
        """End a session."""
        with self._database.session() as session:
            hashed = _hash(token, under)
            session.execute(delete(BrowserSession).where(BrowserSession.hash == hashed))
            session.commit()


class Erasures:
    """Note what was erased, without keeping whose it was. Safe to use from any thread."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin(self, project_id: str, reason: str, subject: str) -> Erasure:
        """Add a note that an erasure begins; `subject` is the id, of which the hash is kept."""
        erasure = Erasure(
            project_id=project_id,
            reason=reason,
            subject_hash=hash_secret(subject),
            events=0,
            created_at=self._clock.now(),
        )
        with self._database.session() as session:
            session.add(erasure)
            session.commit()
        return erasure

    def end(self, erasure: Erasure, events: int) -> Erasure:
        """Note how many events were erased."""
        erasure.events = events
        with self._database.session() as session:
            erasure = session.merge(erasure)
            session.commit()
        return erasure

    def take_back(self, erasure: Erasure) -> None:
        """Remove the note of an erasure that failed."""
        with self._database.session() as session:
            session.execute(delete(Erasure).where(Erasure.id == erasure.id))
            session.commit()

    def since(self, moment: datetime) -> list[Erasure]:
        """Return the notes of all projects since a moment."""
        rows = select(Erasure).where(Erasure.created_at >= moment)
        with self._database.session() as session:
            return list(session.scalars(rows))

    def of_project(self, project_id: str, *, limit: int = 100) -> list[Erasure]:
        """Return the notes of a project, the newest first."""
        rows = select(Erasure).where(Erasure.project_id == project_id)
        with self._database.session() as session:
            return list(session.scalars(rows.order_by(Erasure.id.desc()).limit(limit)))


def _hash(token: str, under: str) -> str:
    return hash_secret(f"{hash_secret(under)}:{token}")
