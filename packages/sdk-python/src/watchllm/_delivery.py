"""What one client has to deliver: batch, send, try again, adopt, flush, close."""

from __future__ import annotations

from watchllm._encoding import body, shortened
from watchllm._outcome import Delivered, Outcome, Refused, Retry, TooLarge, Unauthorised
from watchllm._retry import delay
from watchllm._runtime import call_after_fork, pause, roll

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from watchllm._config import Config
    from watchllm._log import Problems
    from watchllm._spool import Mark, Orphans, Record, Spool
    from watchllm._stats import Stats
    from watchllm._transport import Transport
    from watchllm._worker import Worker

FIRST_MAX_BATCH = 100  # what every collector takes
LARGEST_BODY_BYTES = 1_000_000
UNAUTHORISED_SECONDS = 300.0  # between two questions whether a refused key works by now
ADOPT_SECONDS = 60.0  # between two looks for what dead processes left
FAILURES_TO_OPEN = 3  # in a row, after which a probe stands for the batch until one succeeds
PROBE_EVENTS = 10
# How long a call waits while the collector takes what is sent, by how full the spool is: the worker
# and the app share one interpreter, and an app that never pauses would be faster for ever.
PAUSES = ((0.9, 0.02), (0.75, 0.005), (0.0, 0.001))
REST_SECONDS = 0.1  # from one request to the next that nothing urges: a request costs many events
SLOW_SECONDS = 1.0  # that a request takes, from which on the collector counts as failing
_DELIVERY = ("network", "unauthorised")  # the problems that a delivery solves


class Delivery:
    """Send what is in a client's spool, on the worker's thread.

    `submit`, `flush` and `close` may be called from any thread; none of them raises. `unpack` makes
    an event's JSON of a record. A forked child gets an empty spool.
    """

    def __init__(
        self,
        config: Config,
        spool: Spool,
        unpack: Callable[[bytes], bytes],
        transport: Transport,
        worker: Worker,
        stats: Stats,
        problems: Problems,
        orphans: Orphans | None = None,
    ) -> None:
        self._batch_size = config.batch_size
        self._interval = config.flush_interval_seconds
        self._timeout = config.timeout
        self._spool = spool
        self._unpack = unpack
        self._transport = transport
        self._worker = worker
        self._clock = worker.clock
        self._stats = stats
        self._problems = problems
        self._orphans = orphans
        self._closed = False
        self._concluded = False  # close() is over: everything has been counted
        self._delivered_all = False
        self._begin()
        call_after_fork(self)

    def _begin(self) -> None:
        """Set what belongs to one process."""
        self._served = False
        self._signalled = False
        self._adopted: Spool | None = None  # what a dead process left, being sent
        self._adopt_at = 0.0
        self._own_turn = True
        self._due_at: float | None = None  # when what waits must be sent
        self._rested_at = 0.0  # when the last request is REST_SECONDS ago
        self._flush_to: Mark = (0, 0)  # events up to this mark are wanted at once
        self._retry_at = 0.0
        self._failures = 0
        self._parked = False  # the key was refused
        self._deadline: float | None = None  # of close()
        self._closed_by_worker = False  # close() was called on its thread, and cannot wait
        self._advertised = FIRST_MAX_BATCH
        self._max_batch = FIRST_MAX_BATCH
        self._one_by_one = 0
        self._posting_since: float | None = None
        self._in_flight = False
        self._at_once = False
        self._asked_to_wait = False  # by the server, rather than by our own back-off
        # Said once no lock is held: a handler of the app may call back, or wait for a thread that
        # is about to log.
        self._to_say: list[tuple[str, str]] = []

    @property
    def parked(self) -> bool:
        """Say whether the collector refused the key."""
        return self._parked

    def adopt(self) -> None:
        """Look for what dead processes left, on the worker's thread, if there may be anything."""
        if self._orphans is not None and self._orphans.are_there():
            self._serve()

    def submit(self, record: bytes) -> bool:
        """Put an encoded event into the spool; False if the client is closed."""
        if self._closed:
            return False
        waiting, dropped = self._spool.append(record)
        if dropped or self._concluded or self._spool.trouble is not None:
            self._after_append(dropped)
        if not self._served:
            self._serve()
        # Only the first event of a batch and the one that fills it have news for the thread.
        if not self._signalled and (waiting == 1 or waiting >= self._batch_size):
            with self._worker.condition:
                self._signalled = True
                self._worker.condition.notify_all()
        if self._spool.crowded and not self._failures:
            self._slow_down()
        return True

    def _after_append(self, dropped: int) -> None:
        if self._concluded:
            # close() ended before the event was appended: nobody will send it from here.
            self._stats.drop("closed", self._spool.end())
        trouble, self._spool.trouble = self._spool.trouble, None
        if trouble:
            self._problems.report("spool", trouble)
        self._stats.drop("spool_full", dropped)
        if dropped:
            self._problems.report(
                "spool_full",
                "The collector takes less than is logged: the oldest events are dropped. See"
                " stats() for how many.",
            )

    def _slow_down(self) -> None:
        """Let the worker catch up with an app that logs faster than one interpreter can send.

        Only while the collector takes what is sent: an outage never slows the app.
        """
        since = self._posting_since
        slow = since is not None and self._clock.monotonic() - since > SLOW_SECONDS
        if not slow and not self._worker.is_this_thread():
            full = self._spool.fullness()
            pause(next(seconds for share, seconds in PAUSES if full >= share))

    def _serve(self) -> None:
        with self._worker.condition:
            if self._closed:
                return
            self._served = self._worker.add(self)
        if not self._served:
            self._problems.report(
                "thread",
                "No background thread can be started in this interpreter: events wait for flush(),"
                " close() or its end.",
            )

    def flush(self, timeout: float | None) -> bool:
        """Send everything submitted so far; True if all of it was answered within the timeout."""
        target = self._spool.mark()
        if self._closed:
            return self._delivered_all and self._spool.settled(target)
        if self._worker.is_this_thread():
            return self._spool.settled(target)  # it would wait for itself
        until = self._clock.monotonic() + (self._timeout if timeout is None else max(0.0, timeout))
        condition = self._worker.condition
        with condition:
            self._flush_to = max(self._flush_to[0], target[0]), max(self._flush_to[1], target[1])
            self._signalled = True
            condition.notify_all()
        while not self._spool.settled(target):
            if not self._served:
                self._worker.step_alone(self, until)
            with condition:
                if self._spool.settled(target):
                    break
                if self._parked or self._closed or self._clock.monotonic() >= until:
                    return False
                if self._served:
                    self._clock.wait(condition, until)
        return True

    def close(self, timeout: float) -> bool:
        """Send what is left, at most `timeout` seconds long; True if everything was answered.

        What is left then stays in a spool on disk; in memory it is dropped and counted. A second
        call returns what the first did.
        """
        deadline = self._clock.monotonic() + max(0.0, timeout)
        self.begin_close(deadline)
        return self.finish_close(deadline)

    def begin_close(self, deadline: float) -> None:
        """Have everything sent, until a moment."""
        with self._worker.condition:
            if not self._closed:
                self._closed = True
                self._deadline = deadline
                self._closed_by_worker = self._worker.is_this_thread()
                if not self._asked_to_wait:
                    self._retry_at = 0.0  # a last attempt, whatever failed before
                    self._at_once = self._in_flight  # or fails just now
            self._worker.condition.notify_all()

    def finish_close(self, deadline: float) -> bool:
        """Wait for the end of the closing; True if everything was delivered."""
        if self._worker.is_this_thread():
            return False  # it would wait for itself; it ends once this call is over
        # Where nothing was logged, or no thread could be started.
        while not (self._served or self._concluded):
            if not self._worker.step_alone(self, deadline):
                break
        with self._worker.condition:
            while not self._concluded and self._clock.monotonic() < deadline:
                self._clock.wait(self._worker.condition, deadline)
            self._conclude_all()
        self._say()
        return self._delivered_all

    def _conclude_all(self) -> None:
        """Count what is left at the end, once; a thread that still hangs counts nothing more."""
        if self._concluded:
            return
        self._concluded = True
        left = self._spool.queued()
        lost = self._spool.end()
        if self._adopted is not None:
            self._adopted.end()
            self._adopted = None
        self._delivered_all = left == 0
        if lost:
            self._stats.drop("unauthorised" if self._parked else "undelivered", lost)
            self._to_say.append(
                ("undelivered", f"The client was closed with events not delivered: {lost}.")
            )
        if left > lost:
            said = f"Events that wait in the spool on disk: {left - lost}. The next process of this"
            said += " project sends them, or `watchllm spool drain`."
            self._to_say.append(("left", said))
        self._worker.condition.notify_all()

    def _say(self) -> None:
        if self._to_say:
            with self._worker.condition:
                said, self._to_say = self._to_say, []
            for kind, message in said:
                self._problems.report(kind, message)

    def next_at(self, now: float) -> float | None:
        """Return the moment of the next step, None if there is nothing to do."""
        waiting = self._spool.waiting()
        self._signalled = waiting >= self._batch_size  # more of them change nothing
        if self._deadline is not None:
            too_late = max(now, self._retry_at) >= self._deadline
            return now if not waiting or too_late or self._parked else max(now, self._retry_at)
        if not waiting:
            self._due_at = None
        elif self._due_at is None:
            self._due_at = now + self._interval
        moments = []
        if waiting:
            moments.append(max(self._own_due(waiting, now), self._retry_at))
        if self._adopted is not None:
            moments.append(self._retry_at)
        elif self._orphans is not None:
            moments.append(self._adopt_at)
        return min(moments, default=None)

    def _own_due(self, waiting: int, now: float) -> float:
        """Return when the events of this process are to be sent."""
        wanted = self._deadline is not None or not self._spool.settled(self._flush_to)
        if wanted or waiting >= self._max_batch or self._due_at is None:
            return now
        return min(self._rested_at, self._due_at) if waiting >= self._batch_size else self._due_at

    def step(self) -> bool:
        """Send a batch, or adopt; False once the client is closed and nothing more is to be done.

        The worker's thread calls it when `next_at` has come.
        """
        try:
            if self._is_over():
                self._transport.close()
                with self._worker.condition:
                    self._conclude_all()
                # Whoever waits in close() says it, or it might come after the end of the process.
                if self._closed_by_worker:
                    self._say()
                return False
            self._stats.drop("damaged", self._spool.tidy())
            source = self._source()
            if source is not None:
                self._send_batch(source)
        except Exception as error:
            self._problems.report("internal", f"Sending failed: {type(error).__name__}")
            self._retry_at = self._clock.monotonic() + delay(1, 1.0, roll())
        return True

    def _is_over(self) -> bool:
        if self._concluded:
            return True
        if self._deadline is None:
            return False
        too_late = max(self._clock.monotonic(), self._retry_at) >= self._deadline
        return too_late or self._parked or not self._spool.waiting()

    def _source(self) -> Spool | None:
        """Return the spool to send from now: the own one, and by turns that of a dead process."""
        now = self._clock.monotonic()
        waiting = self._spool.waiting()
        own_is_due = bool(waiting) and self._own_due(waiting, now) <= now
        if self._deadline is not None:
            return self._spool
        if self._adopted is None and self._orphans is not None and now >= self._adopt_at:
            self._adopted = self._orphans.next()
            if self._adopted is None:
                self._adopt_at = now + ADOPT_SECONDS
        if self._adopted is not None and not self._adopted.waiting():
            self._stats.lose("damaged", self._adopted.tidy())
            self._adopted.end()
            self._adopted = None
            return self._spool if own_is_due else None
        self._own_turn = own_is_due and not (self._own_turn and self._adopted is not None)
        return self._spool if self._own_turn else self._adopted

    def _send_batch(self, source: Spool) -> None:
        limit = 1 if self._one_by_one else self._max_batch
        if self._failures >= FAILURES_TO_OPEN:
            limit = min(limit, PROBE_EVENTS)
        records, events = self._unpacked(source, source.take(limit, LARGEST_BODY_BYTES))
        if not events:
            source.acknowledge(records)
            return
        losses = self._stats.losses()
        self._in_flight = True
        outcome = self._post(events, losses)
        with self._worker.condition:
            self._in_flight = False
            # close() may have given up meanwhile: then all has been counted.
            if not self._concluded:
                try:
                    self._conclude(outcome, source, records, events)
                except Exception as error:
                    outcome = Retry(f"the transport's answer is broken: {type(error).__name__}")
                    self._conclude(outcome, source, records, events)
                if isinstance(outcome, Delivered):
                    self._stats.reported(losses)
                if self._at_once and not self._asked_to_wait:
                    self._retry_at = 0.0
                self._at_once = False
            if source is self._spool:
                self._due_at = None
                self._rested_at = self._clock.monotonic() + REST_SECONDS
            self._worker.condition.notify_all()
        if isinstance(outcome, Delivered):
            for kind in _DELIVERY:
                self._problems.solved(kind, "Events are delivered again.")
        self._say()

    def _unpacked(self, source: Spool, taken: list[Record]) -> tuple[list[Record], list[bytes]]:
        """Return the records that fit into a body, and their events; the others go back.

        A record that is unreadable is counted, and emptied: it has no event.
        """
        events: list[bytes] = []
        size = 0
        for index, record in enumerate(taken):
            try:
                event = self._unpack(record.data) if record.data else b""
            except Exception as error:
                self._lost(source, "damaged")
                self._to_say.append(("damaged", f"A record is unreadable: {type(error).__name__}"))
                record.data = event = b""
            if event:
                size += len(event) + 1
                if events and size > LARGEST_BODY_BYTES:
                    source.give_back(taken[index:])
                    return taken[:index], events
                events.append(event)
        return taken, events

    def _lost(self, source: Spool, reason: str, number: int = 1) -> None:
        if source is self._spool:
            self._stats.drop(reason, number)
        else:
            self._stats.lose(reason, number)

    def _post(self, events: list[bytes], losses: dict[str, int]) -> Outcome:
        timeout = self._timeout
        if self._deadline is not None:
            timeout = min(timeout, max(0.05, self._deadline - self._clock.monotonic()))
        try:
            self._posting_since = self._clock.monotonic()
            return self._transport.send(body(events, losses), timeout)
        except Exception as error:
            return Retry(f"the transport failed with {type(error).__name__}")
        finally:
            self._posting_since = None

    def _conclude(
        self, outcome: Outcome, source: Spool, records: list[Record], events: list[bytes]
    ) -> None:
        """Act on what became of a batch."""
        if isinstance(outcome, Delivered):
            self._conclude_delivered(outcome, source, records, len(events))
        elif isinstance(outcome, TooLarge) and len(events) > 1:
            self._max_batch = max(1, len(events) // 2)
            source.give_back(records)
        elif isinstance(outcome, TooLarge) and self._shorten(records, events[0]):
            source.give_back(records)
        elif isinstance(outcome, Refused) and len(events) > 1:
            # One event may spoil the batch for all: find it by sending each alone.
            self._one_by_one = len(events)
            source.give_back(records)
        elif isinstance(outcome, (TooLarge, Refused)):
            reason = "too_large" if isinstance(outcome, TooLarge) else "refused"
            said = "the server takes no event of its size" if reason == "too_large" else ""
            self._to_say.append(
                (reason, f"An event was refused: {said or getattr(outcome, 'reason', '')}")
            )
            if reason == "refused" and source is self._spool:
                self._stats.count("refused")
            else:
                self._lost(source, reason)
            source.acknowledge(records)
            self._one_by_one = max(0, self._one_by_one - 1)
        else:
            self._conclude_failed(outcome, source, records)

    def _shorten(self, records: list[Record], event: bytes) -> bool:
        """Cut the largest field of the one event; False if there is nothing left to cut."""
        less = shortened(event)
        if less is None:
            return False
        for record in records:
            record.data = b"J" + less if record.data else b""
        self._to_say.append(
            ("shortened", "The collector takes no event of this size: its largest field is cut.")
        )
        return True

    def _conclude_delivered(
        self, outcome: Delivered, source: Spool, records: list[Record], number: int
    ) -> None:
        refused = {r.index: r for r in outcome.refused if 0 <= r.index < number}
        if source is self._spool:
            self._stats.count("sent", number - len(refused))
            self._stats.count("refused", len(refused))
        else:
            self._stats.count("adopted", number - len(refused))
            self._stats.lose("refused", len(refused))
        for refusal in refused.values():
            said = f"{refusal.code} {refusal.message}"
            said = f"The server did not take event {refusal.event_id}: {said}"
            self._to_say.append((f"refused {refusal.code}", said))
        source.acknowledge(records)
        self._failures = 0
        self._retry_at = 0.0
        self._parked = self._asked_to_wait = False
        self._advertised = outcome.max_batch or self._advertised
        grown = self._max_batch + self._max_batch // 4 + 1
        self._max_batch = min(self._advertised, grown)
        self._one_by_one = max(0, self._one_by_one - len(records))

    def _conclude_failed(self, outcome: Outcome, source: Spool, records: list[Record]) -> None:
        now = self._clock.monotonic()
        source.give_back(records)
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
        if self._adopted is not None:
            self._adopted.after_fork()
        self._spool.after_fork()
        self._stats.after_fork()
        self._transport.after_fork()
        self._concluded = self._closed
        self._begin()
