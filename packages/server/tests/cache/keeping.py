"""What the tests of the cache share: a clock to be turned, entries, keys."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from watchllm_server.cache.entry import Entry
from watchllm_server.cache.store import CacheStore
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class TurnedClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return 1_000 + self.passed


def entry(body: bytes = b'{"answer": 42}', **fields: Any) -> Entry:
    """Return an entry that is made now and kept for a day."""
    given: dict[str, Any] = {
        "shape": "openai.chat",
        "provider": "openai",
        "model": "gpt-4o",
        "created_at": NOW.timestamp(),
        "expires_at": NOW.timestamp() + 86_400,
        "cost": 0.25,
        "event_id": "event-1",
    }
    return Entry(body, **(given | fields))


def key(name: object) -> bytes:
    """Return a key as requests have them."""
    return hashlib.sha256(repr(name).encode()).digest()


def opened(folder: Path, *, secret: bytes = b"s" * 32, **options: Any) -> CacheStore:
    """Open a store, of 10 MB where nothing is said."""
    given: dict[str, Any] = {"max_bytes": 10_000_000, "clock": TurnedClock()}
    return CacheStore(folder, Secret(secret), **(given | options))
