"""The logger `watchllm`: one warning for each distinct problem, and the count of its repeats."""

from __future__ import annotations

import threading

from watchllm._runtime import call_after_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging


DEBUG = 10  # of the standard library's logging, which is loaded later than this


def logger() -> logging.Logger:
    """Return the logger, which says nothing unless the app configures logging."""
    import logging

    found = logging.getLogger("watchllm")
    if not found.handlers:
        found.addHandler(logging.NullHandler())
    return found


def log_everything_to_stderr() -> None:
    """Show every record of the logger on stderr, once however often this is called."""
    import logging

    found = logger()
    found.setLevel(logging.DEBUG)
    if not any(handler.get_name() == "watchllm-debug" for handler in found.handlers):
        handler = logging.StreamHandler()
        handler.set_name("watchllm-debug")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        found.addHandler(handler)


class Problems:
    """Warn of each kind of problem once, count it, and warn anew after it was solved.

    Safe to use from any thread. What a handler or filter of the app raises goes no further.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counts: dict[str, int] = {}
        call_after_fork(self)

    def report(self, kind: str, message: str) -> None:
        """Log a warning if this kind of problem is new, else count it."""
        with self._lock:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            new = self._counts[kind] == 1
        if new:
            self._say("WARNING", message)

    def solved(self, kind: str, message: str) -> None:
        """Say that a problem is over and how often it occurred, if it did."""
        with self._lock:
            count = self._counts.pop(kind, 0)
        if count:
            self._say("INFO", f"{message} (the problem before occurred {count} times)")

    def counts(self) -> dict[str, int]:
        """Return how often each kind of unsolved problem occurred."""
        with self._lock:
            return dict(self._counts)

    def after_fork(self) -> None:
        """Forget a lock that another thread of the parent may have held."""
        self._lock = threading.RLock()

    def _say(self, level: str, message: str) -> None:
        try:
            import logging

            logger().log(getattr(logging, level), message)
        except Exception:  # noqa: S110 - the app's own handler failed: there is nowhere to say so
            pass
