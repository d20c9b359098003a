"""The one thread of a client: batch, send, try again, flush, close."""

from __future__ import annotations

import atexit
import sys
import threading
from typing import TYPE_CHECKING

from watchllm._encoding import body
from watchllm._outcome import Delivered, Outcome, Refused, Retry, TooLarge, Unauthorised
from watchllm._retry import delay
from watchllm._runtime import call_after_fork, roll

if TYPE_CHECKING:
    from watchllm._config import Config
    from watchllm._log import Problems
    from watchllm._runtime import Clock
    from watchllm._spool import MemorySpool, Record
    from watchllm._stats import Stats
    from watchllm._transport import Transport

FIRST_MAX_BATCH = 100  # what every collector takes
LARGEST_BODY_BYTES = 1_000_000
UNAUTHORISED_SECONDS = 300.0  # between two questions whether a refused key works by now
EXIT_SECONDS = 2.0
_DELIVERY = ("network", "unauthorised")  # the problems that a delivery solves


class Worker:
    """Send what is in the spool, on a daemon thread that starts with the first event.

    `submit`, `flush` and `close` may be called from any thread; none of them raises. A forked
    child gets an empty spool and a thread of its own.
    """

    def __init__(
        self,
        config: Config,
        spool: MemorySpool,
        transport: Transport,
        clock: Clock,
        stats: Stats,
        problems: Problems,
    ) -> None:
        self._batch_size = config.batch_size
        self._interval = config.flush_interval_seconds
        self._timeout = config.timeout
        self._spool = spool
        self._transport = transport
        self._clock = clock
        self._stats = stats
        self._problems = problems
        self._closed = False
        self._concluded = False  # close() is over: everything has been counted
        self._delivered_all = False
        self._begin()
        call_after_fork(self)

    def _begin(self) -> None:
        """Set what belongs to one process."""
        # Reentrant (as a Condition's lock is by default): a finaliser may log in here.
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._signalled = False
        self._due_at: float | None = None  # when what waits must be sent
        self._flush_to = 0  # events up to this number are wanted at once
        self._retry_at = 0.0
        self._failures = 0
        self._parked = False  # the key was refused
        self._deadline: float | None = None  # of close()
        self._advertised = FIRST_MAX_BATCH
        self._max_batch = FIRST_MAX_BATCH
        self._one_by_one = 0
        self._asked_to_wait = False  # by the server, rather than by our own back-off
        # Said once no lock is held: a handler of the app may call back, or wait for a thread that
        # is about to log.
        self._to_say: list[tuple[str, str]] = []

    def submit(self, data: bytes) -> bool:
        """Put an encoded event into the spool; False if the client is closed."""
        if self._closed:
            return False
        waiting, dropped = self._spool.append(data)
        if self._concluded:
            # close() ended between the two lines above: nobody will send this any more.
            self._stats.drop("closed", self._spool.discard())
        self._stats.drop("spool_full", dropped)
        if dropped:
            self._problems.report(
                "spool_full",
                "The collector takes less than is logged: the oldest events are dropped. See"
                " stats() for how many.",
            )
        if self._thread is None:
            self._start()
        # Only the first event of a batch and the one that fills it have news for the thread.
        if not self._signalled and (waiting == 1 or waiting >= self._batch_size):
            with self._condition:
                self._signalled = True
                self._condition.notify_all()
        return True

    def flush(self, timeout: float | None) -> bool:
        """Send everything submitted so far; True if all of it was answered within the timeout."""
        target = self._spool.last()
        if self._closed:
            return self._delivered_all and self._spool.settled(target)
        if threading.current_thread() is self._thread:
            return self._spool.settled(target)  # it would wait for itself
        until = self._clock.monotonic() + (self._timeout if timeout is None else max(0.0, timeout))
        with self._condition:
            self._flush_to = max(self._flush_to, target)
            self._signalled = True
            self._condition.notify_all()
            while not self._spool.settled(target):
                if self._parked or self._closed or self._clock.monotonic() >= until:
                    return False
                self._clock.wait(self._condition, until)
        return True

    def close(self, timeout: float) -> bool:
        """Send what is left, at most `timeout` seconds long; True if everything was answered.

        What is left then is dropped and counted. A second call returns what the first did.
        """
        deadline = self._clock.monotonic() + max(0.0, timeout)
        with self._condition:
            first = not self._closed
            self._closed = True
            if first:
                self._deadline = deadline
                if not self._asked_to_wait:
                    self._retry_at = 0.0  # a last attempt, whatever failed before
            self._condition.notify_all()
            thread = self._thread
        if thread is threading.current_thread():
            return False  # it would wait for itself; it ends once this call is over
        if thread is None and first:
            self._run()  # nothing was logged, or no thread could be started
        with self._condition:
            while not self._concluded and self._clock.monotonic() < deadline:
                self._clock.wait(self._condition, deadline)
            self._conclude_all()
        self._say()
        atexit.unregister(self.close)
        return self._delivered_all

    def _conclude_all(self) -> None:
        """Count what is left at the end, once; a thread that still hangs counts nothing more."""
        if self._concluded:
            return
        self._concluded = True
        left = self._spool.discard()
        self._delivered_all = left == 0
        if left:
            self._stats.drop("unauthorised" if self._parked else "undelivered", left)
            self._to_say.append(
                ("undelivered", f"The client was closed before {left} events could be delivered.")
            )
        self._condition.notify_all()

    def _say(self) -> None:
        while self._to_say:
            self._problems.report(*self._to_say.pop(0))

    def _start(self) -> None:
        with self._condition:
            if self._thread is not None or self._closed:
                return
            thread = threading.Thread(target=self._run, name="watchllm", daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:
                self._thread = None  # the interpreter is ending: close() sends what waits
        atexit.register(self.close, EXIT_SECONDS)
        # A child of multiprocessing leaves by os._exit, without atexit.
        if "multiprocessing.util" in sys.modules:  # pragma: no cover - test_process.py sees it
            from multiprocessing import parent_process, util

            if parent_process() is not None:
                util.Finalize(None, self.close, args=(EXIT_SECONDS,), exitpriority=0)

    def _run(self) -> None:
        try:
            while self._wait_until_due():
                try:
                    self._send_batch()
                except Exception as error:
                    self._problems.report("internal", f"Sending failed: {type(error).__name__}")
                    self._retry_at = self._clock.monotonic() + delay(1, 1.0, roll())
        finally:
            self._transport.close()
            with self._condition:
                self._conclude_all()
            self._say()

    def _wait_until_due(self) -> bool:
        """Wait until there is something to send now; False if the thread is to end."""
        with self._condition:
            while True:
                self._signalled = False
                waiting = self._spool.waiting()
                now = self._clock.monotonic()
                if self._deadline is not None:
                    too_late = max(now, self._retry_at) >= self._deadline
                    if not waiting or too_late or self._parked:
                        return False
                if not waiting:
                    self._due_at = None
                elif self._due_at is None:
                    self._due_at = now + self._interval
                until = self._next(waiting, now)
                if until is not None and until <= now:
                    return True
                self._clock.wait(self._condition, until)

    def _next(self, waiting: int, now: float) -> float | None:
        """Return when to send next, None if nothing waits."""
        if not waiting:
            return None
        hurry = (
            waiting >= self._batch_size
            or self._deadline is not None
            or not self._spool.settled(self._flush_to)
        )
        due = now if hurry else self._due_at
        return max(due or now, self._retry_at)

    def _send_batch(self) -> None:
        limit = 1 if self._one_by_one else self._max_batch
        records = self._spool.take(limit, LARGEST_BODY_BYTES)
        losses = self._stats.losses()
        outcome = self._post(records, losses)
        with self._condition:
            # close() may have given up meanwhile: then all has been counted.
            if not self._spool.settled(records[-1].number):
                try:
                    self._conclude(outcome, records)
                except Exception as error:
                    outcome = Retry(f"the transport's answer is broken: {type(error).__name__}")
                    self._conclude(outcome, records)
                if isinstance(outcome, Delivered):
                    self._stats.reported(losses)
            self._due_at = None
            self._condition.notify_all()
        if isinstance(outcome, Delivered):
            for kind in _DELIVERY:
                self._problems.solved(kind, "Events are delivered again.")
        self._say()

    def _post(self, records: list[Record], losses: dict[str, int]) -> Outcome:
        timeout = self._timeout
        if self._deadline is not None:
            timeout = min(timeout, max(0.05, self._deadline - self._clock.monotonic()))
        try:
            content = body([record.data for record in records], losses)
            return self._transport.send(content, timeout)
        except Exception as error:
            return Retry(f"the transport failed with {type(error).__name__}")

    def _conclude(self, outcome: Outcome, records: list[Record]) -> None:
        """Act on what became of a batch."""
        if isinstance(outcome, Delivered):
            self._conclude_delivered(outcome, records)
        elif isinstance(outcome, TooLarge) and len(records) > 1:
            self._max_batch = max(1, len(records) // 2)
            self._spool.give_back(records)
        elif isinstance(outcome, Refused) and len(records) > 1:
            # One event may spoil the batch for all: find it by sending each alone.
            self._one_by_one = len(records)
            self._spool.give_back(records)
        elif isinstance(outcome, (TooLarge, Refused)):
            reason = "too_large" if isinstance(outcome, TooLarge) else "refused"
            said = "the server takes no event of its size" if reason == "too_large" else ""
            self._to_say.append(
                (reason, f"An event was refused: {said or getattr(outcome, 'reason', '')}")
            )
            if reason == "refused":
                self._stats.count("refused")
            else:
                self._stats.drop(reason)
            self._spool.acknowledge(records)
            self._one_by_one = max(0, self._one_by_one - 1)
        else:
            self._conclude_failed(outcome, records)

    def _conclude_delivered(self, outcome: Delivered, records: list[Record]) -> None:
        refused = {r.index: r for r in outcome.refused if 0 <= r.index < len(records)}
        self._stats.count("sent", len(records) - len(refused))
        self._stats.count("refused", len(refused))
        for refusal in refused.values():
            said = f"{refusal.code} {refusal.message}"
            self._to_say.append(
                (
                    f"refused {refusal.code}",
                    f"The server did not take event {refusal.event_id}: {said}",
                )
            )
        self._spool.acknowledge(records)
        self._failures = 0
        self._retry_at = 0.0
        self._parked = self._asked_to_wait = False
        self._advertised = outcome.max_batch or self._advertised
        grown = self._max_batch + self._max_batch // 4 + 1
        self._max_batch = min(self._advertised, grown)
        self._one_by_one = max(0, self._one_by_one - len(records))

    def _conclude_failed(self, outcome: Outcome, records: list[Record]) -> None:
        now = self._clock.monotonic()
        self._spool.give_back(records)
        self._failures += 1
        self._stats.count("retried", len(records))
        if isinstance(outcome, Unauthorised):
            self._parked = self._asked_to_wait = True
            self._retry_at = now + UNAUTHORISED_SECONDS
            self._to_say.append(("unauthorised", f"Nothing is sent: {outcome.reason}"))
            return
        after = outcome.after if isinstance(outcome, Retry) else None
        reason = outcome.reason if isinstance(outcome, Retry) else type(outcome).__name__
        self._asked_to_wait = after is not None
        self._retry_at = now + delay(self._failures, after, roll())
        self._to_say.append(("network", f"Events wait and are sent again: {reason}"))

    def after_fork(self) -> None:
        """Start anew in a child: the parent sends what was logged before."""
        self._spool.after_fork()
        self._stats.after_fork()
        self._transport.after_fork()
        self._concluded = self._closed
        self._begin()
