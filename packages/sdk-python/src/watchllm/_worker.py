"""The one thread of a process: it serves every client's delivery in turn."""

from __future__ import annotations

import atexit
import sys
import threading

from watchllm._runtime import CLOCK, call_after_fork, may_have_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Protocol

    from watchllm._runtime import Clock

    class Served(Protocol):
        """Have something to do now and then."""

        def next_at(self, now: float) -> float | None:
            """Return the moment of the next step, None if there is nothing to do."""
            ...

        def step(self) -> bool:
            """Do one thing; False once there will never be anything again."""
            ...

        def begin_close(self, deadline: float) -> None:
            """Have everything sent, until a moment."""
            ...

        def finish_close(self, deadline: float) -> bool:
            """Wait for the end of the closing; True if everything was delivered."""
            ...


EXIT_SECONDS = 2.0  # that the end of the interpreter may take, whatever the collector does


class Worker:
    """Run the steps of all deliveries of a process on one daemon thread.

    The thread starts with the first delivery and ends with the last. `condition` guards what
    deliveries and the thread share, and is notified when there is something to look at.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._at_exit = False
        self._before_exit: list[Callable[[], None]] = []
        self._begin()
        call_after_fork(self)

    def _begin(self) -> None:
        # Reentrant (as a Condition's lock is by default): a finaliser may log in here.
        self.condition = threading.Condition()
        self._served: list[Served] = []
        self._alone: list[Served] = []  # those that do without a thread
        self._thread: threading.Thread | None = None
        self._stepping = False  # somebody does the thread's work in its place

    def add(self, delivery: Served) -> bool:
        """Serve a delivery from now on; False if no thread can be started.

        So it is while the interpreter ends, and in most sub-interpreters. The delivery is closed at
        exit in any case.
        """
        self._call_at_exit()
        with self.condition:
            if delivery not in self._served:
                self._served.append(delivery)
            if self._thread is None and not self._start():
                self._served.remove(delivery)
                if delivery not in self._alone:
                    self._alone.append(delivery)
                return False
            self.condition.notify_all()
        return True

    def _start(self) -> bool:
        if not may_have_threads():
            return False
        thread = threading.Thread(target=self._run, name="watchllm", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:
            self._thread = None
            return False
        return True

    def step_alone(self, delivery: Served, until: float) -> bool:
        """Do the thread's work for a delivery in its place, where no thread can be started.

        One thread at a time does it: whoever else comes waits, and so does whoever has nothing to
        do yet. False if another is still at it when `until` has come.
        """
        with self.condition:
            now = self.clock.monotonic()
            if delivery in self._served:
                return True
            if self._stepping and now >= until:
                return False
            at = until if self._stepping else delivery.next_at(now)
            if at is None or at > now:
                self.clock.wait(self.condition, until if at is None else min(at, until))
                return True
            self._stepping = True
        try:
            delivery.step()
        finally:
            with self.condition:
                self._stepping = False
                self.condition.notify_all()
        return True

    def is_this_thread(self) -> bool:
        """Say whether the caller is the worker's thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    def after_fork(self) -> None:
        """Start anew in a child, which has no thread of ours and may leave in another way."""
        self._begin()
        self._at_exit = False

    def before_exit(self, function: Callable[[], None]) -> None:
        """Have a function called as the process ends, while what it logs is still sent.

        It must not raise.
        """
        self._call_at_exit()
        self._before_exit.append(function)

    def close(self, timeout: float) -> None:
        """Close all deliveries, all within the same `timeout` seconds."""
        deadline = self.clock.monotonic() + timeout
        for function in self._before_exit:
            function()
        served = [*self._served, *self._alone]
        for delivery in served:
            delivery.begin_close(deadline)
        for delivery in served:
            delivery.finish_close(deadline)

    def _call_at_exit(self) -> None:
        if self._at_exit:
            return
        self._at_exit = True
        atexit.unregister(self.close)  # a child has it from its parent
        atexit.register(self.close, EXIT_SECONDS)
        # A child of multiprocessing leaves by os._exit, without atexit.
        if "multiprocessing.util" in sys.modules:  # pragma: no cover - test_process.py sees it
            from multiprocessing import parent_process, util

            if parent_process() is not None:
                util.Finalize(None, self.close, args=(EXIT_SECONDS,), exitpriority=0)

    def _run(self) -> None:
        while True:
            delivery = self._next()
            if delivery is None:
                return
            if not delivery.step():
                with self.condition:
                    if delivery in self._served:
                        self._served.remove(delivery)

    def _next(self) -> Served | None:
        """Wait until a delivery has something to do; None if there is none left to serve."""
        with self.condition:
            while self._served:
                if self._stepping:
                    self.clock.wait(self.condition, None)
                    continue
                now = self.clock.monotonic()
                earliest: float | None = None
                for delivery in self._served:
                    at = delivery.next_at(now)
                    if at is not None and at <= now:
                        # The next look begins with the others: each has its turn.
                        self._served.remove(delivery)
                        self._served.append(delivery)
                        return delivery
                    if at is not None and (earliest is None or at < earliest):
                        earliest = at
                self.clock.wait(self.condition, earliest)
            self._thread = None
            return None


_shared = Worker(CLOCK)


def worker_for(clock: Clock) -> Worker:
    """Return the worker of the process, or one of its own for a clock that a test gives."""
    return _shared if clock is CLOCK else Worker(clock)
