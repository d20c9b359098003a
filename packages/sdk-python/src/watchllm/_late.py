"""Modules that are imported late: with the first client or on its thread, not with the app.

A fork in the middle of an import leaves the child with a lock that nobody releases, and the next
import of that module would wait for ever. So what loads late loads at two moments, and a fork waits
for them.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from importlib import import_module

from watchllm._runtime import INTERPRETERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ImportGuard:
    """Make forks wait while it is held: `with guard: import ...`."""

    LONGEST_SECONDS = 5.0  # that a fork waits; the imports take a tenth of one

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._registered = False

    def __enter__(self) -> None:
        # Of the handlers before a fork the last one registered runs first. The imports need the
        # lock of logging: its handler must be there before ours, to run after it.
        import logging  # noqa: F401 - for the order just told

        self._lock.acquire()
        if not self._registered and hasattr(os, "register_at_fork"):  # pragma: no branch - Windows
            self._registered = True
            os.register_at_fork(
                before=self._before, after_in_parent=self._after, after_in_child=self._after
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _before(self) -> None:
        self._lock.acquire(timeout=self.LONGEST_SECONDS)

    def _after(self) -> None:
        # Refused where the lock was not to be had in time.
        with suppress(RuntimeError):
            self._lock.release()


importing = ImportGuard()


def load_for_logging() -> None:
    """Import what the log methods use, so that none of them imports anything."""
    with importing:
        for name in ("datetime", "hashlib", "json", "random", "traceback"):
            import_module(name)
        with suppress(ImportError):
            import_module(INTERPRETERS)  # for `may_have_threads`


def optional(name: str) -> Any:
    """Return a module that may not be installed, None without it."""
    with importing:
        try:
            return import_module(name)
        except ImportError:
            return None
