"""The one thread that does what no request should wait for."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from watchllm_server.errors import MetadataUnavailableError, StoreError
from watchllm_server.keeping.retention import expire
from watchllm_server.store.deletion import purge
from watchllm_server.store.words import index_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchllm_server.auth import Keyring
    from watchllm_server.clock import Clock
    from watchllm_server.metadata import Metadata
    from watchllm_server.store.base import EventStore

_log = logging.getLogger(__name__)

_ROUND_SECONDS = 60.0
_RETENTION_SECONDS = 3_600.0


class Keeper:
    """Note the use of keys and index words each minute, expire events hourly, clear erased ones.

    `start` it, and `close` it to end its thread. A round that fails is logged and done again with
    the next.
    """

    def __init__(
        self,
        store: EventStore,
        metadata: Metadata,
        keyring: Keyring,
        clock: Clock,
        *,
        retention_days: int,
    ) -> None:
        self._store = store
        self._metadata = metadata
        self._keyring = keyring
        self._clock = clock
        self._retention_days = retention_days
        self._next_retention = 0.0
        self._purged = False
        self._asked = False
        self._closing = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="keeper")

    def start(self) -> None:
        """Start the thread; its first round is at once."""
        self._thread.start()

    def purge_soon(self) -> None:
        """Clear deleted events from the disk in a round that begins now. Safe from any thread."""
        with self._wake:
            self._purged = False
            self._asked = True
            self._wake.notify()

    def close(self) -> None:
        """Write what is left to note, and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._attempt("the use of keys", self._note_uses)

    def round(self) -> None:
        """Do what is due now."""
        self._attempt("the use of keys", self._note_uses)
        if self._clock.monotonic() >= self._next_retention:
            self._attempt("retention", self._expire)
        if not self._purged:
            self._attempt("erased events", self._purge)
        self._attempt("the index over words", self._index_words)

    def _run(self) -> None:
        while True:
            self.round()
            with self._wake:
                self._wake.wait_for(lambda: self._closing or self._asked, _ROUND_SECONDS)
                self._asked = False
                if self._closing:
                    return

    def _note_uses(self) -> None:
        self._metadata.note_uses(self._keyring.uses())

    def _expire(self) -> None:
        done = expire(
            self._store,
            self._metadata.projects(),
            default_days=self._retention_days,
            now=self._clock.now(),
        )
        if done.months or done.events:
            self._purged = False
            _log.info("Retention dropped %d months and %d events", done.months, done.events)
        self._next_retention = self._clock.monotonic() + _RETENTION_SECONDS

    def _purge(self) -> None:
        # Set first: what is erased meanwhile must be cleared by a round of its own.
        self._purged = True
        try:
            self._purged &= purge(self._store, wait=False)
        except StoreError:
            self._purged = False
            raise

    def _index_words(self) -> None:
        index_words(self._store, wait=False)

    def _attempt(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except (StoreError, MetadataUnavailableError) as error:
            _log.warning("The round for %s failed: %s", what, type(error).__name__)
        except Exception as error:  # noqa: BLE001 - a thread that ends would keep no one's promise
            _log.error("The round for %s failed: %s", what, type(error).__name__)
