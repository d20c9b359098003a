"""The thread that keeps memory and the metadata database alike, each second."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = logging.getLogger(__name__)

_ROUND_SECONDS = 1.0


class Refresher:
    """Refresh each second. `start` it, and `close` it to end its thread.

    While the database is away, what was read last counts on.
    """

    def __init__(
        self, refresh: Sequence[Callable[[], None]], *, seconds: float = _ROUND_SECONDS
    ) -> None:
        self._refresh = refresh
        self._seconds = seconds
        self._failing = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refresher")

    def start(self) -> None:
        """Read once, so that the first request finds all, and start the thread."""
        self.round()
        self._thread.start()

    def close(self) -> None:
        """End the thread, and do a last round: what was counted is kept."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self.round()

    def round(self) -> None:
        """Read all anew; a database that is away is logged once, until it answers again."""
        failed = ""
        for refresh in self._refresh:
            try:
                refresh()
            except Exception as error:  # noqa: BLE001 - a thread that ends would refresh nothing more
                failed = type(error).__name__
        if failed and not self._failing:
            _log.warning("Provider keys, prices and limits could not be read anew: %s", failed)
        self._failing = bool(failed)

    def _run(self) -> None:
        while not self._closing.wait(self._seconds):
            self.round()
