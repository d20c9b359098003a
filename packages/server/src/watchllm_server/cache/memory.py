"""The entries that are served from memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchllm_server.cache.entry import Kept

# What an entry takes besides its body: the objects and their place in the table.
_OVERHEAD = 1_000


class Memory:
    """Keep what was used last, up to so many bytes. Whoever uses it holds a lock."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._bytes = 0

    def get(self, key: bytes) -> Kept | None:
        """Return an entry, which is the one used last from now on."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an entry unless it would drive out a quarter of all the others."""
        self.remove(key)
        size = _size(kept)
        if size > self._max_bytes // 4:
            return
        self._kept[key] = kept
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= _size(gone)

    def remove(self, key: bytes) -> None:
        """Forget an entry, if it is there."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= _size(kept)

    def remove_all(self, chosen: Callable[[Kept], bool]) -> None:
        """Forget all entries that are chosen."""
        for key in [key for key, kept in self._kept.items() if chosen(kept)]:
            self.remove(key)


def _size(kept: Kept) -> int:
    return len(kept.entry.body) + _OVERHEAD
