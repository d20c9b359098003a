"""How a key is made and remembered, and what it may do."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from watchllm_server.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Iterable

Scope = Literal["ingest", "read", "gateway", "admin"]
"""What a key may do: send events, read them, call models through the gateway, administer."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
DEFAULT_SCOPES: Final[tuple[Scope, ...]] = ("ingest", "read", "gateway")
PREFIX = "wllm_"
MIN_LENGTH = 16
_RANDOM_BYTES = 24
_SHOWN_OF_OURS = len(PREFIX) + 4


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key opens, and how often a minute it may be used: None takes the server's setting."""

    key_id: int
    project_id: str
    scopes: frozenset[Scope]
    rate_limit: int | None
    redact: str | None = None
    """The setting of its project, as `redaction.redaction_of` reads it."""


def new_secret() -> str:
    """Return a key of 192 random bits: `wllm_` and 32 characters of the URL alphabet."""
    return PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a key.

    A slow hash guards passwords that can be guessed. A key of 192 random bits cannot be, and is
    checked at every request.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def shown_prefix(secret: str) -> str:
    """Return the characters by which a person recognises a key; never a large part of it."""
    return secret[: _SHOWN_OF_OURS if secret.startswith(PREFIX) else 4]


def scopes_text(scopes: Iterable[str]) -> str:
    """Return scopes as they are stored; raise MetadataError for an unknown one or for none."""
    found = set(scopes)
    if unknown := sorted(found - set(SCOPES)):
        raise MetadataError(f"There is no scope {unknown[0]!r}. There are: {', '.join(SCOPES)}.")
    if not found:
        raise MetadataError(f"A key needs a scope. There are: {', '.join(SCOPES)}.")
    return ",".join(scope for scope in SCOPES if scope in found)


def scopes_of(text: str) -> frozenset[Scope]:
    """Return stored scopes; one that a newer version made is left out."""
    return frozenset(scope for scope in SCOPES if scope in text.split(","))
