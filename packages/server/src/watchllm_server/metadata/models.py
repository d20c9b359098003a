"""The tables of the metadata database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, LargeBinary, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, also in databases that keep no offset."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Store the time without its offset, which is always UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Give the time its offset back."""
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """The tables that the migrations make."""


class Project(Base):
    """A project: what events belong to and a key opens."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    retention_days: Mapped[int | None] = mapped_column(default=None)
    """Days that events are kept; 0 keeps them for ever, None takes the server's setting."""
    redact: Mapped[str | None] = mapped_column(String(100), default=None)
    """off, on, or kinds with commas between; None redacts what does not come from our SDK."""
    cache_ttl: Mapped[int | None] = mapped_column(default=None)
    """Seconds that the gateway's answers are kept; None takes the server's setting."""
    cache_ttl_routes: Mapped[dict[str, int] | None] = mapped_column(
        JSON(none_as_null=True), default=None
    )
    """The same by route, where that differs from the project's."""
    cache_semantic: Mapped[str | None] = mapped_column(String(20), default=None)
    """How questions are matched by meaning, as in serve:0.02; None takes the server's setting."""
    cache_semantic_routes: Mapped[dict[str, str] | None] = mapped_column(
        JSON(none_as_null=True), default=None
    )
    """The same by route."""


class ApiKey(Base):
    """A key of a project, of which only the hash is kept."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    prefix: Mapped[str] = mapped_column(String(16))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    scopes: Mapped[str] = mapped_column(String(100))
    """What it may do: scopes with commas between them."""
    rate_limit: Mapped[int | None] = mapped_column(default=None)
    """Requests a minute; 0 does not limit, None takes the server's setting."""
    last_used_at: Mapped[datetime | None] = mapped_column(UtcTime, default=None)
    """Written about once a minute, not at each request."""
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTime, default=None)


class Loss(Base):
    """How many events the senders of a project say that they lost, by reason."""

    __tablename__ = "losses"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    reason: Mapped[str] = mapped_column(String(100), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime] = mapped_column(UtcTime)


class BrowserSession(Base):
    """A browser that has logged in, of whose token only the hash is kept."""

    __tablename__ = "sessions"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime] = mapped_column(UtcTime, index=True)


class Erasure(Base):
    """That events were erased on request; whose they were is kept as a hash alone."""

    __tablename__ = "erasures"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    reason: Mapped[str] = mapped_column(String(20))
    """user, run or project."""
    subject_hash: Mapped[str] = mapped_column(String(64))
    """The SHA-256 of the id that was erased, by which a request can be shown to be done."""
    events: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class ProviderKey(Base):
    """A project's own key for a provider of models, encrypted under the server's secret key."""

    __tablename__ = "provider_keys"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    provider: Mapped[str] = mapped_column(String(40), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    ending: Mapped[str] = mapped_column(String(4))
    """The last characters of a long key, by which a person recognises it."""
    set_at: Mapped[datetime] = mapped_column(UtcTime)


class ModelPrice(Base):
    """A price that wins over the price lists, in US dollars a million tokens."""

    __tablename__ = "model_prices"

    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Whose calls it is for; empty for those of every project that has none of its own."""
    provider: Mapped[str] = mapped_column(String(40), primary_key=True)
    """Empty for a model of this name at any provider."""
    model: Mapped[str] = mapped_column(String(200), primary_key=True)
    input: Mapped[str] = mapped_column(String(40))
    output: Mapped[str] = mapped_column(String(40))
    cached_input: Mapped[str | None] = mapped_column(String(40), default=None)
    """Of input tokens read from the provider's cache; None is the price of other input."""
    set_at: Mapped[datetime] = mapped_column(UtcTime)


class Limit(Base):
    """How much of something calls through the gateway may use in a window of time."""

    __tablename__ = "limits"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    scope: Mapped[str] = mapped_column(String(10), primary_key=True)
    """project, key or user: whose use is counted together."""
    subject: Mapped[str] = mapped_column(String(200), primary_key=True)
    """The key's id or the user's; `*` counts for each user apart; empty for the project."""
    unit: Mapped[str] = mapped_column(String(10), primary_key=True)
    """requests, tokens or usd."""
    per: Mapped[str] = mapped_column(String(10), primary_key=True)
    """minute, day or month, in UTC."""
    action: Mapped[str] = mapped_column(String(10), primary_key=True)
    """refuse or warn."""
    amount: Mapped[int] = mapped_column(BigInteger)
    """Requests, tokens, or billionths of a US dollar."""


class Use(Base):
    """What was used of something in the window that is counted now, in the units of a limit."""

    __tablename__ = "uses"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    scope: Mapped[str] = mapped_column(String(10), primary_key=True)
    subject: Mapped[str] = mapped_column(String(200), primary_key=True)
    unit: Mapped[str] = mapped_column(String(10), primary_key=True)
    per: Mapped[str] = mapped_column(String(10), primary_key=True)
    begun: Mapped[int] = mapped_column(BigInteger)
    """When the window began, in seconds since 1970."""
    used: Mapped[int] = mapped_column(BigInteger)
