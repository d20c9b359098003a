"""Which events of a group are new. The one place where a redelivery is found out."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

from watchllm_server.store.ids import stored_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from watchllm_server.rows import Row
    from watchllm_server.store.base import EventStore

_REMEMBERED = 100_000


class Deduplicator:
    """Keep out events whose id is stored already. Used by the writer's thread alone.

    It remembers the ids stored last, and asks the store for the others: a redelivery carries the
    timestamp of the first delivery, so that a short stretch of time answers, after a restart too.
    """

    def __init__(self, store: EventStore, *, remembered: int = _REMEMBERED) -> None:
        self._store = store
        self._limit = remembered
        self._recent: OrderedDict[bytes, None] = OrderedDict()

    def new(self, rows: Iterable[Row]) -> dict[bytes, Row]:
        """Return the rows that are neither stored nor earlier among these, by what they are known.

        Raises StoreError.
        """
        fresh: dict[bytes, Row] = {}
        for row in rows:
            digest = _digest(row)
            if digest not in self._recent:
                fresh.setdefault(digest, row)
        stored = stored_ids(self._store.query, fresh.values())
        if not stored:
            return fresh
        return {
            digest: row
            for digest, row in fresh.items()
            if (row.project_id, row.event_id) not in stored
        }

    def remember(self, stored: Iterable[bytes]) -> None:
        """Note that rows that `new` returned are stored."""
        self._recent.update(dict.fromkeys(stored))
        while len(self._recent) > self._limit:
            self._recent.popitem(last=False)


def _digest(row: Row) -> bytes:
    # A fixed size bounds the memory, whatever senders use as ids.
    text = f"{row.project_id}\0{row.event_id}"
    return blake2b(text.encode(), digest_size=16).digest()
