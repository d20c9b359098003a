"""Time, identity and chance: the only place that asks the machine for them."""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Forkable(Protocol):
        """Hold what a forked child must not share with its parent."""

        def after_fork(self) -> None:
            """Start anew in the child, where no other thread runs yet."""
            ...


class Clock:
    """Tell the time of the machine, and wait on it.

    Another clock can be given to a client, such as `watchllm.testing.ManualClock`.
    """

    def time_ns(self) -> int:
        """Return nanoseconds since 1970, UTC."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, until: float | None) -> None:
        """Wait until `condition` (held by the caller) is notified or `monotonic()` is `until`."""
        if until is None:
            condition.wait()
        else:
            condition.wait(max(0.0, until - self.monotonic()))


CLOCK = Clock()
INTERPRETERS = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"


def pause(seconds: float) -> None:
    """Let other threads run for a moment."""
    time.sleep(seconds)


_forkables: weakref.WeakSet[Forkable] = weakref.WeakSet()


def call_after_fork(forkable: Forkable) -> None:
    """Have `after_fork` called in every child, as long as the object lives."""
    _forkables.add(forkable)


def _after_fork_in_child() -> None:  # pragma: no cover - in children; test_process.py sees it
    for forkable in list(_forkables):
        forkable.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)


class IdSource:
    """Mint UUIDs of version 7 that rise within a process.

    48 bits of milliseconds, 12 bits that count within one millisecond from a random start, 62
    random bits (RFC 9562, section 6.2, method 1). Safe to use from any thread.
    """

    def __init__(self, clock: Clock) -> None:
        from random import getrandbits  # it seeds itself anew in a child

        # The machine's clock is asked at once: a method of ours around it takes half as long again.
        self.now = time.time_ns if type(clock) is Clock else clock.time_ns
        self._getrandbits = getrandbits
        self._lock = threading.RLock()
        self._last = 0
        call_after_fork(self)

    def new(self, time_ns: int | None = None) -> str:
        """Return an id as text, of this moment if none is given."""
        chance = self._getrandbits(73)
        start = ((time_ns or self.now()) // 1_000_000) << 12 | chance >> 62
        with self._lock:
            if start <= self._last:
                start = self._last + 1
            self._last = start
        # In half of the time that an f-string takes.
        return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - see above
            start >> 28 & 0xFFFFFFFF,
            start >> 12 & 0xFFFF,
            start & 0xFFF,
            chance >> 48 & 0x3FFF | 0x8000,
            chance & 0xFFFFFFFFFFFF,
        )

    def after_fork(self) -> None:
        """Forget a lock that another thread of the parent may have held."""
        self._lock = threading.RLock()


_second: tuple[int, str] = (0, "1970-01-01T00:00:00")  # the one formatted last


def timestamp(time_ns: int) -> str:
    """Return a moment as RFC 3339 UTC with microseconds."""
    global _second  # noqa: PLW0603 - formatting a second anew for each event costs a microsecond
    seconds, rest = divmod(time_ns, 1_000_000_000)
    known = _second
    if known[0] != seconds:
        known = _second = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
    return f"{known[1]}.{rest // 1000:06d}Z"


def may_have_threads() -> bool:
    """Say whether this interpreter may have a daemon thread: a sub-interpreter may not.

    Some Pythons refuse to start one there; others start it, and abort the process when the
    sub-interpreter ends.
    """
    interpreters = sys.modules.get(INTERPRETERS)
    return interpreters is None or bool(interpreters.get_current() == interpreters.get_main())


def roll() -> float:
    """Return a random number from 0 up to, but not including, 1."""
    import random

    return random.random()  # noqa: S311 - it spreads retries, it guards nothing


def python_platform() -> str:
    """Return the interpreter and the system, such as `python-3.11.7-linux`."""
    return f"python-{sys.version.split()[0]}-{sys.platform}"


def hostname() -> str:
    """Return the name of this machine, or an empty text where there is none."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    return os.environ.get("COMPUTERNAME", "")  # pragma: no cover - Windows has no uname
