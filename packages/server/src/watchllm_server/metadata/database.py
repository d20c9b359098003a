"""Projects, their keys, and what their senders lost."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from watchllm_server.cache_settings import checked_matching, checked_routes, checked_seconds
from watchllm_server.errors import MetadataError
from watchllm_server.metadata.engine import Database
from watchllm_server.metadata.gateway import ModelPrices, ProviderKeys
from watchllm_server.metadata.keys import (
    DEFAULT_SCOPES,
    MIN_LENGTH,
    Grant,
    hash_secret,
    new_secret,
    scopes_of,
    scopes_text,
    shown_prefix,
)
from watchllm_server.metadata.limits import Limits
from watchllm_server.metadata.models import (
    ApiKey,
    Limit,
    Loss,
    ModelPrice,
    Project,
    ProviderKey,
    Use,
)
from watchllm_server.metadata.records import Erasures, Sessions
from watchllm_server.redaction import stored_setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

    from watchllm_server.clock import Clock

_MAX_NAME = 200
_PROJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_REASONS = 50
_MAX_COUNT = 2**62
_MAX_DAYS = 36_500
_MAX_RATE = 10_000_000
_LARGEST_ID = 2**31 - 1  # of what PostgreSQL has as an integer


class Metadata:
    """Keep projects and keys in a SQLite file or in PostgreSQL; many processes may use it at once.

    `place` is a path or a URL. Opening it brings its tables up to date, or raises StartError. Every
    method raises MetadataUnavailableError while the database is away. Safe to use from any thread.
    """

    def __init__(self, place: Path | str, clock: Clock) -> None:
        self._clock = clock
        self._database = Database(place)
        self.sessions = Sessions(self._database, clock)
        self.erasures = Erasures(self._database, clock)
        self.provider_keys = ProviderKeys(self._database, clock)
        self.model_prices = ModelPrices(self._database, clock)
        self.limits = Limits(self._database)

    def create_project(
        self,
        name: str,
        *,
        project_id: str | None = None,
        retention_days: int | None = None,
        redact: str | None = None,
    ) -> Project:
        """Add a project; its id is made from its name unless it is given.

        Raises MetadataError when the name is taken or unfit, or a setting is.
        """
        name = name.strip()
        if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
            raise MetadataError(
                f"A project's name must have 1 to {_MAX_NAME} printable characters."
            )
        check_project_id(project_id)
        _check_retention(retention_days)
        redact = stored_setting(redact)
        with self._database.session() as session:
            found = project_id or _free_id(session, name)
            project = Project(
                id=found,
                name=name,
                created_at=self._clock.now(),
                retention_days=retention_days,
                redact=redact,
            )
            session.add(project)
            try:
                session.commit()
            except IntegrityError:
                raise MetadataError(f"There is a project {name!r} already.") from None
            return project

    def projects(self) -> list[Project]:
        """Return all projects, the oldest first."""
        with self._database.session() as session:
            return list(session.scalars(select(Project).order_by(Project.created_at, Project.id)))

    def project(self, name_or_id: str) -> Project | None:
        """Return a project by its id, or else by its name."""
        with self._database.session() as session:
            by_name = select(Project).where(Project.name == name_or_id)
            return session.get(Project, name_or_id) or session.scalar(by_name)

    def change_project(
        self,
        project_id: str,
        *,
        retention_days: int | UnsetType | None = UNSET,
        redact: str | UnsetType | None = UNSET,
        cache_ttl: int | UnsetType | None = UNSET,
        cache_ttl_routes: Mapping[str, int] | UnsetType | None = UNSET,
        cache_semantic: str | UnsetType | None = UNSET,
        cache_semantic_routes: Mapping[str, str] | UnsetType | None = UNSET,
    ) -> Project:
        """Change the settings that are given, all of them or none.

        `retention_days` is how long events are kept: 0 for ever, None as the server does. `redact`
        is what is replaced in events to come: `off`, `on`, or kinds with commas between; None
        redacts what does not come from our SDK. `cache_ttl` is for how many seconds answers to come
        are kept, None as the server does; `cache_ttl_routes` the same by route, in place of all
        that were set. `cache_semantic` and `cache_semantic_routes` say likewise how questions are
        matched by their meaning, as in `serve:0.02`. Raises MetadataError when one is unfit.
        """
        if retention_days is not UNSET:
            _check_retention(retention_days)
        if redact is not UNSET:
            redact = stored_setting(redact)
        if cache_ttl is not UNSET and cache_ttl is not None:
            cache_ttl = checked_seconds(cache_ttl)
        if cache_ttl_routes is not UNSET:
            cache_ttl_routes = checked_routes(cache_ttl_routes, checked_seconds)
        if cache_semantic is not UNSET and cache_semantic is not None:
            cache_semantic = checked_matching(cache_semantic)
        if cache_semantic_routes is not UNSET:
            cache_semantic_routes = checked_routes(cache_semantic_routes, checked_matching)
        changed = {
            "retention_days": retention_days,
            "redact": redact,
            "cache_ttl": cache_ttl,
            "cache_ttl_routes": cache_ttl_routes,
            "cache_semantic": cache_semantic,
            "cache_semantic_routes": cache_semantic_routes,
        }
        with self._database.session() as session:
            project = session.get(Project, project_id)
            if project is None:
                raise MetadataError(f"There is no project {project_id!r}.")
            for name, value in changed.items():
                if value is not UNSET:
                    setattr(project, name, value)
            session.commit()
            return project

    def delete_keys(self, project_id: str) -> None:
        """Remove all keys of a project."""
        with self._database.session() as session:
            session.execute(delete(ApiKey).where(ApiKey.project_id == project_id))
            session.commit()

    def delete_project(self, project_id: str) -> None:
        """Remove a project with all that is its own here; its events are not."""
        with self._database.session() as session:
            for table in (ApiKey, Loss, ProviderKey, ModelPrice, Limit, Use):
                session.execute(delete(table).where(table.project_id == project_id))
            session.execute(delete(Project).where(Project.id == project_id))
            session.commit()

    def create_key(
        self,
        project_id: str,
        *,
        name: str = "",
        secret: str | None = None,
        scopes: Iterable[str] = DEFAULT_SCOPES,
        rate_limit: int | None = None,
    ) -> tuple[ApiKey, str]:
        """Add a key to a project and return it with its secret, which is not kept.

        `rate_limit` is in requests a minute. A given secret that the project has already is no
        error, unless it was revoked. Raises MetadataError when it is too short or opens another
        project, and for an unknown scope or project.
        """
        if secret is not None:
            check_secret(secret)
        if len(name) > _MAX_NAME or not (name == "" or name.isprintable()):
            raise MetadataError(f"A key's name may have {_MAX_NAME} printable characters.")
        if rate_limit is not None and not 0 <= rate_limit <= _MAX_RATE:
            raise MetadataError(f"A rate limit must be 0 to {_MAX_RATE} requests a minute.")
        text = secret or new_secret()
        key = ApiKey(
            project_id=project_id,
            name=name,
            prefix=shown_prefix(text),
            hash=hash_secret(text),
            created_at=self._clock.now(),
            scopes=scopes_text(scopes),
            rate_limit=rate_limit,
        )
        with self._database.session() as session:
            session.add(key)
            try:
                session.commit()
            except IntegrityError:
                session.rollback()
                known = session.scalar(select(ApiKey).where(ApiKey.hash == key.hash))
                if known is None:
                    raise MetadataError(f"There is no project {project_id!r}.") from None
                if known.project_id != project_id:
                    raise MetadataError("This key belongs to another project.") from None
                if known.revoked_at is not None:
                    raise MetadataError("This key was revoked: choose another.") from None
                return known, text
            return key, text

    def all_keys(self, project_id: str | None = None) -> list[tuple[ApiKey, Project]]:
        """Return all keys, or those of one project, with their projects; the oldest first."""
        rows = select(ApiKey, Project).join(Project).order_by(ApiKey.id)
        if project_id is not None:
            rows = rows.where(ApiKey.project_id == project_id)
        with self._database.session() as session:
            return [(row[0], row[1]) for row in session.execute(rows)]

    def revoke_key(self, key_id: int, *, project_id: str | None = None) -> ApiKey | None:
        """End a key for good; return it, or None when the project has none of that id."""
        if not 0 < key_id <= _LARGEST_ID:
            return None
        with self._database.session() as session:
            key = session.get(ApiKey, key_id)
            if key is None or project_id not in (None, key.project_id):
                return None
            key.revoked_at = key.revoked_at or self._clock.now()
            session.commit()
            return key

    def grant_of(self, secret: str) -> Grant | None:
        """Return what a key opens, or None for an unknown or revoked one."""
        hashed = hash_secret(secret)
        with self._database.session() as session:
            found = session.execute(
                select(ApiKey, Project.redact).join(Project).where(ApiKey.hash == hashed)
            ).first()
        key = None if found is None else found[0]
        if key is None or not hmac.compare_digest(key.hash, hashed) or key.revoked_at is not None:
            return None
        redact = None if found is None else found[1]
        return Grant(key.id, key.project_id, scopes_of(key.scopes), key.rate_limit, redact)

    def note_uses(self, uses: Mapping[int, datetime]) -> None:
        """Write when keys were last used."""
        if not uses:
            return
        with self._database.session() as session:
            for key_id, moment in uses.items():
                session.execute(
                    update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=moment)
                )
            session.commit()

    def add_losses(self, project_id: str, losses: Mapping[str, int]) -> None:
        """Add what a sender says that it lost, by reason; reasons beyond 50 count as `other`."""
        with self._database.session() as session:
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
        with self._database.session() as session:
            return {loss.reason: loss.count for loss in session.scalars(rows)}

    def copy_to(self, path: Path) -> bool:
        """Copy a SQLite file as it is at one moment; return False for any other database."""
        return self._database.copy_to(path)

    def close(self) -> None:
        """Close all connections."""
        self._database.close()


def check_project_id(project_id: str | None) -> None:
    """Raise MetadataError for an id that would not stand in an address as it is."""
    if project_id is not None and not _PROJECT_ID.fullmatch(project_id):
        raise MetadataError(
            f"The project id {project_id!r} must be 1 to 64 letters, digits, dots, underscores "
            "or hyphens, the first a letter or a digit."
        )


def check_secret(secret: str) -> None:
    """Raise MetadataError for a key that is too short, or that no header could carry."""
    if len(secret) < MIN_LENGTH or not secret.isprintable():
        raise MetadataError(f"A key must have at least {MIN_LENGTH} printable characters.")


def _check_retention(days: int | None) -> None:
    if days is not None and not 0 <= days <= _MAX_DAYS:
        raise MetadataError(f"Events may be kept 1 to {_MAX_DAYS} days, or 0 for ever.")


def _free_id(session: Session, name: str) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:56] or "project"
    found, number = base, 1
    while session.get(Project, found) is not None:
        number += 1
        found = f"{base}-{number}"
    return found
