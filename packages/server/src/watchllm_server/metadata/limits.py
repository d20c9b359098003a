"""Limits of what calls through the gateway may use, and how much of them was used."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from watchllm_server.errors import MetadataError
from watchllm_server.metadata.models import ApiKey, Limit, Use

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.metadata.engine import Database


class Counted(NamedTuple):
    """What is counted together: one unit of one subject of a project, in windows of one length."""

    project_id: str
    scope: str
    subject: str
    unit: str
    per: str


class Window(NamedTuple):
    """When a window began, in seconds since 1970, and what was used in it."""

    begun: int
    used: int


class Limits:
    """Keep limits and counts; several servers may count together. Safe to use from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, limit: Limit) -> Limit:
        """Add or replace a limit; raise MetadataError for no project, or a key that it has not."""
        with self._database.session() as session:
            if limit.scope == "key" and limit.subject != "*":
                of_project = select(ApiKey.id).where(ApiKey.project_id == limit.project_id)
                if limit.subject not in map(str, session.scalars(of_project)):
                    raise MetadataError(
                        f"The project has no key {limit.subject[:20]}: `watchllm keys list` shows"
                        " those it has."
                    )
            try:
                limit = session.merge(limit)
                session.commit()
            except IntegrityError:
                raise MetadataError(f"There is no project {limit.project_id!r}.") from None
            return limit

    def all(self, project_id: str | None = None) -> list[Limit]:
        """Return all limits, or those of one project."""
        rows = select(Limit).order_by(
            Limit.project_id, Limit.scope, Limit.subject, Limit.unit, Limit.per, Limit.action
        )
        if project_id is not None:
            rows = rows.where(Limit.project_id == project_id)
        with self._database.session() as session:
            return list(session.scalars(rows))

    def remove(self, counted: Counted, action: str) -> bool:
        """Remove a limit; return whether there was one."""
        rows = delete(Limit).where(
            Limit.project_id == counted.project_id,
            Limit.scope == counted.scope,
            Limit.subject == counted.subject,
            Limit.unit == counted.unit,
            Limit.per == counted.per,
            Limit.action == action,
        )
        with self._database.session() as session:
            found = session.execute(rows.returning(Limit.amount)).all()
            session.commit()
            return bool(found)

    def uses(self, project_id: str | None = None) -> dict[Counted, Window]:
        """Return all counts, or those of one project."""
        rows = select(Use)
        if project_id is not None:
            rows = rows.where(Use.project_id == project_id)
        with self._database.session() as session:
            return {_counted(use): Window(use.begun, use.used) for use in session.scalars(rows)}

    def add(self, used: Mapping[Counted, Window]) -> dict[Counted, Window]:
        """Add to counts and return them as they are now, with what other servers have added.

        What is of an older window than the one that is counted is left out. Raises
        MetadataUnavailableError, and then has added nothing.
        """
        with self._database.session() as session:
            rows = []
            for counted, window in used.items():
                found = session.get(Use, counted)
                if found is None:
                    found = Use(**counted._asdict(), begun=window.begun, used=window.used)
                    session.add(found)
                elif found.begun == window.begun:
                    # The database adds, so that two servers lose nothing of each other's.
                    found.used = Use.used + window.used
                elif found.begun < window.begun:
                    found.begun, found.used = window.begun, window.used
                rows.append(found)
            session.flush()
            for row in rows:
                session.refresh(row)
            session.commit()
            return {_counted(row): Window(row.begun, row.used) for row in rows}

    def forget(self, before: int) -> None:
        """Remove counts of windows that began before a moment, in seconds since 1970."""
        with self._database.session() as session:
            session.execute(delete(Use).where(Use.begun < before))
            session.commit()


def _counted(use: Use) -> Counted:
    return Counted(use.project_id, use.scope, use.subject, use.unit, use.per)
