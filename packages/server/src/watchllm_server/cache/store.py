"""The store of kept answers: what is hot from memory, all of it on disk, encrypted."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from watchllm_server.cache.disk import Disk, Listed, Row, Sums, is_damaged
from watchllm_server.cache.entry import Chosen, Entry, Kept
from watchllm_server.cache.memory import Memory
from watchllm_server.errors import SealError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from watchllm_server.clock import Clock
    from watchllm_server.secrets import Secret

_log = logging.getLogger(__name__)
_HOT_BYTES: Final = 64_000_000
_MAX_ENTRY: Final = 32_000_000
_MAX_PENDING: Final = 32_000_000
_GROUP_ENTRIES, _GROUP_BYTES = 500, 4_000_000
_GROUP_SECONDS: Final = 0.1
_MAX_TOUCHED: Final = 10_000
# How long what was served and what has expired may wait to be written down.
_SECONDS: Final = 5.0
_NOTED_SECONDS: Final = 60.0


class CacheStore:
    """Keep answers by their keys, in a folder of the server's own. Safe to use from any thread.

    `max_bytes` bounds the file; its journal takes a few MB more. An answer is served from the
    moment at which it is put; a thread writes it to disk in a fraction of a second, and what a
    killed process had not written is asked for again. `also` is told which answers of a project
    have been forgotten. No fault of the disk fails or delays a call: the answer is a miss, or not
    kept. Raises sqlite3.Error or OSError where the folder cannot be used at all.
    """

    def __init__(
        self,
        folder: Path,
        secret: Secret,
        *,
        max_bytes: int,
        clock: Clock,
        hot_bytes: int = _HOT_BYTES,
        also: Callable[[str, Chosen], object] = lambda _, __: None,
    ) -> None:
        self._disk = Disk(folder, max_bytes)
        self._seal = secret.seal("cache")
        self._also = also
        self._clock = clock
        self._max_entry = min(max_bytes // 4, _MAX_ENTRY)
        # Guards what follows; it is never held while the disk is used.
        self._lock = threading.Lock()
        self._memory = Memory(min(hot_bytes, max_bytes))
        self._pending: dict[bytes, Kept] = {}
        self._pending_bytes = 0
        self._used: dict[bytes, float] = {}
        self._served: dict[str, tuple[int, float]] = {}
        self._unreadable: set[bytes] = set()
        self._changes = 0
        self._generations: dict[str, int] = {}
        self._damaged = False
        self._noted = -_NOTED_SECONDS
        # Whoever writes to the disk holds this one.
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._write_on, name="write-cache", daemon=True)
        self._thread.start()

    def get(self, key: bytes) -> Entry | None:
        """Return the answer under a key, or None; it counts as served and saved its cost.

        It takes microseconds from memory, else a lookup on disk and as long as the answer is large.
        """
        kept = self._at_hand(key) or self._read(key)
        return self._found(key, self._read_large(key) if kept is _LARGE else kept)

    async def find(self, key: bytes, *, serve: bool = True) -> Entry | None:
        """Return the same as `get`, reading what is large on a thread, for the event loop.

        Unless it is to `serve`, nothing is counted.
        """
        kept = self._at_hand(key) or self._read(key)
        if kept is _LARGE:
            kept = await asyncio.to_thread(self._read_large, key)
        return self._found(key, kept, serve=serve)

    def generation(self, project: str) -> int:
        """Return a number that changes whenever answers of a project are forgotten."""
        return self._generations.get(project, 0)

    def put(
        self,
        key: bytes,
        project: str,
        namespace: str,
        entry: Entry,
        *,
        generation: int | None = None,
    ) -> None:
        """Keep an answer, in the place of any other under its key. Never raises, never waits.

        An answer is not kept when it takes a quarter of the cache or 32 MB, nor when the disk is
        far behind, nor when the project's `generation` was another when it was asked for.
        """
        kept = Kept(project, namespace, entry)
        size = len(entry.body)
        if size > self._max_entry or self._has_expired(entry):
            return
        with self._lock:
            if self._closed or self._pending_bytes + size > _MAX_PENDING:
                return
            if generation not in (None, self.generation(project)):
                return
            self._drop_pending(key)
            self._pending[key] = kept
            self._pending_bytes += size
            self._memory.put(key, kept)
        self._wake.set()

    def invalidate(self, project: str, chosen: Chosen) -> int:
        """Forget the chosen answers of a project, and return how many those were.

        None of them is served once this returns. Raises sqlite3.Error when the disk refuses.
        """
        with self._writing:
            keys = self._delete(project, chosen)
            with self._lock:
                # What a reader took from the disk before this does not come into memory after it.
                self._changes += 1
                # Nor is what was asked for before it kept after it.
                self._generations[project] = self.generation(project) + 1
                for key, kept in list(self._pending.items()):
                    if kept.project == project and chosen.includes(kept):
                        keys.add(key)
                        self._drop_pending(key)
                self._memory.remove_all(
                    lambda kept: kept.project == project and chosen.includes(kept)
                )
        self._also(project, chosen)
        return len(keys)

    def forget(self, project: str) -> int:
        """Forget all answers of a project and return how many those were. Raises StoreError."""
        try:
            return self.invalidate(project, Chosen())
        except sqlite3.Error as error:
            raise StoreError(f"The cache cannot forget its answers: {error}.") from error

    def _delete(self, project: str, chosen: Chosen) -> set[bytes]:
        try:
            return self._disk.delete(project, chosen)
        except sqlite3.Error as error:
            if not is_damaged(error):
                raise
            self._damaged = True
            return set()

    def stats(self, project: str) -> Sums:
        """Return what a project has in the cache, what is not yet written included."""
        self.flush()
        return self._disk.sums(project)

    def newest(self, project: str, most: int) -> list[Listed]:
        """Return a project's newest answers as they are on disk, what is not yet written included.

        Raises sqlite3.Error.
        """
        self.flush()
        return self._disk.newest(project, most)

    def flush(self) -> None:
        """Write all that waits to disk."""
        while self._write_group():
            pass

    def close(self) -> None:
        """Write all that waits, and close the file; nothing is kept from now on."""
        with self._lock:
            self._closed = True
        self._ending.set()
        self._wake.set()
        self._thread.join()
        self.flush()
        with self._writing:
            self._disk.close()

    def _at_hand(self, key: bytes) -> Kept | None:
        with self._lock:
            return self._memory.get(key) or self._pending.get(key)

    def _read(self, key: bytes) -> Kept | None:
        return self._opened(key, self._disk.read)

    def _read_large(self, key: bytes) -> Kept | None:
        return self._opened(key, self._disk.read_large)

    def _opened(
        self, key: bytes, read: Callable[[bytes], tuple[bytes | None] | tuple[bytes] | None]
    ) -> Kept | None:
        changes = self._changes
        try:
            row = None if self._damaged else read(key)
            if row is None:
                return None
            if row[0] is None:
                return _LARGE
            project, namespace, entry = _decoder.decode(self._seal.open(row[0], key))
        except sqlite3.Error as error:
            self._note(error)
            return None
        except (SealError, msgspec.DecodeError):
            # Changed by someone, or written under another key: nobody will ever read it.
            with self._lock:
                self._unreadable.add(key)
            return None
        kept = Kept(project, namespace, entry)
        with self._lock:
            if changes == self._changes and key not in self._pending:
                self._memory.put(key, kept)
        return kept

    def _found(self, key: bytes, kept: Kept | None, *, serve: bool = True) -> Entry | None:
        if kept is None:
            return None
        project, _, entry = kept
        with self._lock:
            if self._has_expired(entry):
                self._memory.remove(key)
                return None
            if not serve:
                return entry
            hits, saved = self._served.get(project, (0, 0.0))
            self._served[project] = (hits + 1, saved + (entry.cost or 0.0))
            if len(self._used) < _MAX_TOUCHED:
                self._used[key] = self._now()
        return entry

    def _has_expired(self, entry: Entry) -> bool:
        return entry.expires_at <= self._now()

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _drop_pending(self, key: bytes) -> None:
        kept = self._pending.pop(key, None)
        if kept is not None:
            self._pending_bytes -= len(kept.entry.body)

    def _write_on(self) -> None:
        while not self._ending.is_set():
            self._wake.wait(_SECONDS)
            self._wake.clear()
            # Under load, a transaction carries what comes in this time.
            self._ending.wait(_GROUP_SECONDS)
            self.flush()

    def _write_group(self) -> bool:
        """Write what waits, up to a group of it; return whether there may be more."""
        with self._writing:
            if self._damaged:
                self._set_aside()
            with self._lock:
                group = self._next_group()
                used, self._used = self._used, {}
                served, self._served = self._served, {}
                unreadable, self._unreadable = self._unreadable, set()
            if not (group or used or served or unreadable):
                return False
            try:
                rows = [self._row(key, kept) for key, kept in group.items()]
                self._disk.write(rows, unreadable, used, served, self._now())
            except sqlite3.Error as error:
                self._note(error)
            with self._lock:
                for key, kept in group.items():
                    # Another answer may have come under the key meanwhile.
                    if self._pending.get(key) is kept:
                        self._drop_pending(key)
                return bool(self._pending)

    def _next_group(self) -> dict[bytes, Kept]:
        group: dict[bytes, Kept] = {}
        size = 0
        for key, kept in islice(self._pending.items(), _GROUP_ENTRIES):
            size += len(kept.entry.body)
            if group and size > _GROUP_BYTES:
                break
            group[key] = kept
        return group

    def _row(self, key: bytes, kept: Kept) -> Row:
        project, namespace, entry = kept
        sealed = self._seal.close(msgspec.msgpack.encode(tuple(kept)), key)
        return Row(
            key, project, namespace, entry.model, entry.event_id, entry.created_at,
            entry.expires_at, self._now(), len(sealed), sealed,
        )  # fmt: skip

    def _note(self, error: sqlite3.Error) -> None:
        if is_damaged(error):
            self._damaged = True
            self._wake.set()
            return
        now = self._clock.monotonic()
        if now - self._noted >= _NOTED_SECONDS:
            self._noted = now
            _log.warning("The cache could not use its file: %s.", error)

    def _set_aside(self) -> None:
        try:
            self._disk.set_aside()
        except (sqlite3.Error, OSError) as error:
            _log.warning("The cache could not begin anew: %s.", error)
            return
        self._damaged = False


_decoder: Final = msgspec.msgpack.Decoder(tuple[str, str, Entry])
_LARGE: Final = Kept("", "", Entry(b"", "", "", "", 0, 0, None, ""))
"""Stands for an entry on disk that is too large to be read where nothing may wait."""
