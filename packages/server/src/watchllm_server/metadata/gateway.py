"""What the database keeps for the gateway: projects' keys for providers, and their prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from watchllm_server.errors import MetadataError
from watchllm_server.metadata.models import ModelPrice, ProviderKey

if TYPE_CHECKING:
    from watchllm_server.clock import Clock
    from watchllm_server.metadata.engine import Database


class ProviderKeys:
    """Keep encrypted keys; what encrypts them is not here. Safe to use from any thread."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, project_id: str, provider: str, sealed: bytes, ending: str) -> ProviderKey:
        """Add or replace a project's key for a provider; raise MetadataError for no project."""
        key = ProviderKey(
            project_id=project_id,
            provider=provider,
            sealed=sealed,
            ending=ending,
            set_at=self._clock.now(),
        )
        with self._database.session() as session:
            try:
                key = session.merge(key)
                session.commit()
            except IntegrityError:
                raise MetadataError(f"There is no project {project_id!r}.") from None
            return key

    def all(self, project_id: str | None = None) -> list[ProviderKey]:
        """Return all keys, or those of one project, by project and provider."""
        rows = select(ProviderKey).order_by(ProviderKey.project_id, ProviderKey.provider)
        if project_id is not None:
            rows = rows.where(ProviderKey.project_id == project_id)
        with self._database.session() as session:
            return list(session.scalars(rows))

    def remove(self, project_id: str, provider: str) -> bool:
        """Remove a key; return whether there was one."""
        with self._database.session() as session:
            found = session.get(ProviderKey, (project_id, provider))
            if found is None:
                return False
            session.delete(found)
            session.commit()
            return True


class ModelPrices:
    """Keep prices that win over the price lists. Safe to use from any thread.

    An empty project stands for every project, an empty provider for any.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, price: ModelPrice) -> ModelPrice:
        """Add or replace a price, as of now."""
        price.set_at = self._clock.now()
        with self._database.session() as session:
            price = session.merge(price)
            session.commit()
            return price

    def all(self, project_id: str | None = None) -> list[ModelPrice]:
        """Return all prices, or those of one project, by project, model and provider."""
        rows = select(ModelPrice).order_by(
            ModelPrice.project_id, ModelPrice.model, ModelPrice.provider
        )
        if project_id is not None:
            rows = rows.where(ModelPrice.project_id == project_id)
        with self._database.session() as session:
            return list(session.scalars(rows))

    def remove(self, project_id: str, provider: str, model: str) -> bool:
        """Remove a price; return whether there was one."""
        rows = delete(ModelPrice).where(
            ModelPrice.project_id == project_id,
            ModelPrice.provider == provider,
            ModelPrice.model == model,
        )
        with self._database.session() as session:
            found = session.execute(rows.returning(ModelPrice.model)).all()
            session.commit()
            return bool(found)
