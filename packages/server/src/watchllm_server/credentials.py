"""The keys that projects have for providers of models: encrypted at rest, in memory for a call."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from watchllm_server.errors import MetadataError, SealError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from watchllm_server.metadata import Metadata, ProviderKey
    from watchllm_server.secrets import Secret

_log = logging.getLogger(__name__)

_MAX_LENGTH = 4_096
_MIN_LENGTH = 4
# No large part of a key is shown.
_SHOWN_FROM = 20
_SHOWN = 4


class StoredKey(NamedTuple):
    """What may be shown of a stored key."""

    project_id: str
    provider: str
    ending: str
    set_at: datetime
    is_readable: bool
    """Whether the server's secret key opens it."""


class ProjectKeys:
    """Keep and give out the keys of projects. Safe to use from any thread.

    `key` answers from memory, as of the last `refresh`.
    """

    def __init__(self, metadata: Metadata, secret: Secret) -> None:
        self._metadata = metadata
        self._seal = secret.seal("provider keys")
        self._keys: Mapping[tuple[str, str], str] = {}
        self._opened: dict[tuple[bytes, bytes], str | None] = {}

    def __repr__(self) -> str:
        return "ProjectKeys(...)"

    def key(self, project_id: str, provider: str) -> str | None:
        """Return a project's own key for a provider, or None. Never waits."""
        return self._keys.get((project_id, provider))

    def refresh(self) -> None:
        """Read all keys anew; raise MetadataUnavailableError while the database is away."""
        found = self._metadata.provider_keys.all()
        # Only what is new is decrypted, and what is gone is forgotten.
        opened = {_identity(row): self._open(row) for row in found}
        keys = {(row.project_id, row.provider): opened[_identity(row)] for row in found}
        self._opened = opened
        self._keys = {place: key for place, key in keys.items() if key is not None}

    def put(self, project_id: str, provider: str, key: str) -> StoredKey:
        """Store a key, in place of the one that the project had for the provider.

        Raises MetadataError when it cannot be a key.
        """
        key = key.strip()
        if not (key.isascii() and key.isprintable() and _MIN_LENGTH <= len(key) <= _MAX_LENGTH):
            raise MetadataError(
                f"A provider's key has {_MIN_LENGTH} to {_MAX_LENGTH:,} printable ASCII characters."
            )
        ending = key[-_SHOWN:] if len(key) >= _SHOWN_FROM else ""
        sealed = self._seal.close(key.encode(), _place(project_id, provider))
        row = self._metadata.provider_keys.put(project_id, provider, sealed, ending)
        self.refresh()
        return _shown(row, is_readable=True)

    def remove(self, project_id: str, provider: str) -> bool:
        """Remove a key; return whether there was one."""
        found = self._metadata.provider_keys.remove(project_id, provider)
        self.refresh()
        return found

    def stored(self, project_id: str | None = None) -> list[StoredKey]:
        """Return what may be shown of all keys, or of those of one project."""
        self.refresh()
        rows: Iterable[ProviderKey] = self._metadata.provider_keys.all(project_id)
        return [
            _shown(row, is_readable=(row.project_id, row.provider) in self._keys) for row in rows
        ]

    def _open(self, row: ProviderKey) -> str | None:
        if _identity(row) in self._opened:
            return self._opened[_identity(row)]
        try:
            return self._seal.open(row.sealed, _place(row.project_id, row.provider)).decode()
        except SealError:
            _log.error(
                "The key of project %s for provider %s was stored under another secret key: "
                "store it again, or put secret.key back",
                row.project_id,
                row.provider,
            )
            return None


def _place(project_id: str, provider: str) -> bytes:
    """Return what binds a key to its place, so that no row can be passed off as another's."""
    return f"{project_id}\0{provider}".encode()


def _identity(row: ProviderKey) -> tuple[bytes, bytes]:
    return _place(row.project_id, row.provider), row.sealed


def _shown(row: ProviderKey, *, is_readable: bool) -> StoredKey:
    return StoredKey(row.project_id, row.provider, row.ending, row.set_at, is_readable)
