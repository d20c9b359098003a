"""The worker flushes and closes within bounds, and survives what fails around it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from conftest import adds_up, delivery, log_call, prompts

from watchllm._spool import MemorySpool, Record
from watchllm._stats import Stats
from watchllm.testing import (
    Delivered,
    ManualClock,
    MemoryTransport,
    Outcome,
    Retry,
    Unauthorised,
)

if TYPE_CHECKING:
    from typing import Callable

    from conftest import App

    MakeApp = Callable[..., App]


class Hanging(MemoryTransport):
    """A collector that takes a connection and says nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def send(self, body: bytes, timeout: float) -> Outcome:
        self.bodies.append(body)
        self.let_go.wait(30)
        return super().send(body, timeout)


def test_flush_and_close_are_bounded_when_the_collector_hangs(make_app: MakeApp) -> None:
    """Both return False in time; what was left is counted once, even if it arrives later."""
    transport = Hanging()
    app = make_app(transport=transport)
    log_call(app.client)

    assert app.client.flush(timeout=0.05) is False
    assert app.client.close(timeout=0.05) is False
    assert app.client.close() is False
    assert app.client.flush() is False
    stats = app.client.stats()
    assert (stats["dropped"], stats["sent"], stats["queued"]) == ({"undelivered": 1}, 0, 0)
    transport.let_go.set()
    transport.wait_for_events(1)
    assert adds_up(app)


def test_close_delivers_everything_and_says_so(make_app: MakeApp) -> None:
    """Closing sends what waits, whatever the clock; closing again returns the same."""
    app = make_app(clock=ManualClock(), batch_size=500)
    for n in range(250):
        log_call(app.client, prompt=f"{n}")

    assert app.client.close() is True
    assert app.client.close() is True
    assert prompts(app) == [f"{n}" for n in range(250)]


def test_close_makes_a_last_attempt_after_a_failure(make_app: MakeApp) -> None:
    """A back-off of our own does not stand in the way of the last delivery."""
    transport = MemoryTransport()
    transport.answer(Retry("refused"))
    app = make_app(transport=transport, clock=ManualClock(), batch_size=1)
    log_call(app.client)
    transport.wait_for_bodies(1)

    assert app.client.close() is True
    assert len(transport.events) == 1


def test_close_makes_a_last_attempt_after_one_that_fails_meanwhile(make_app: MakeApp) -> None:
    """A batch that is under way when close() begins, and fails, is sent once more at once."""
    transport = MemoryTransport()
    app = make_app(transport=transport, clock=ManualClock(), batch_size=1)
    closing = threading.Event()
    transport.answer(lambda: (closing.wait(30), Retry("refused"))[1])
    log_call(app.client)
    transport.wait_for_bodies(1)
    closer = threading.Thread(target=app.client.close)
    begun = app.client._delivery.begin_close  # noqa: SLF001 - to know the moment

    def begin(deadline: float) -> None:
        begun(deadline)
        closing.set()

    app.client._delivery.begin_close = begin  # type: ignore[method-assign] # noqa: SLF001
    closer.start()
    closer.join(30)

    assert not closer.is_alive()
    assert len(transport.events) == 1


def test_close_does_not_wait_for_a_server_that_asked_for_more_time_than_there_is(
    make_app: MakeApp,
) -> None:
    """With a Retry-After beyond the timeout, close gives up at once and counts what is left."""
    transport = MemoryTransport()
    transport.answer(Retry("busy", after=200.0))
    app = make_app(transport=transport, clock=ManualClock(), batch_size=1)
    log_call(app.client)
    transport.wait_for_bodies(1)

    assert app.client.close() is False
    assert app.client.stats()["dropped"] == {"undelivered": 1}
    assert len(transport.bodies) == 1


def test_closing_a_client_that_logged_nothing_delivers_nothing(app: App) -> None:
    """A client without events starts no thread, flushes and closes well."""
    before = set(threading.enumerate())

    assert app.client.flush() is True
    assert app.client.close() is True
    assert set(threading.enumerate()) <= before
    assert app.transport.bodies == []


def test_what_is_logged_after_close_is_dropped_and_counted(app: App) -> None:
    """A closed client takes no event, returns an id all the same, and does not raise."""
    app.client.close()
    event_id = log_call(app.client)

    assert event_id
    assert app.client.stats()["dropped"] == {"closed": 1}
    assert app.client.flush() is True
    assert adds_up(app)


class Strange(Outcome):
    """An outcome of a newer kind than the worker."""

    __slots__ = ()


def fail() -> Outcome:
    """Raise what a transport never should."""
    raise RuntimeError


NONSENSE: Any = Delivered([None])  # type: ignore[list-item] # it is the case


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (fail, "the transport failed with RuntimeError"),
        (Strange(), "Strange"),
        (NONSENSE, "the transport's answer is broken: AttributeError"),
    ],
)
def test_a_transport_that_fails_in_its_own_way_costs_nothing(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, answer: Any, said: str
) -> None:
    """An exception, an outcome that nobody knows and a broken answer are failed attempts."""
    transport = MemoryTransport()
    transport.answer(answer)
    clock = ManualClock()
    app = make_app(transport=transport, clock=clock, batch_size=1)
    log_call(app.client)
    transport.wait_for_bodies(1)
    clock.advance_to_deadline()
    transport.wait_for_bodies(2)

    assert app.client.flush()
    assert said in caplog.text
    assert app.client.stats()["sent"] == 1
    assert adds_up(app)


def test_the_thread_survives_a_spool_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """When the spool itself raises, that is said, and the worker goes on."""

    class Flaky(MemorySpool):
        failures = 1

        def take(self, max_events: int, max_bytes: int) -> list[Record]:
            if self.failures:
                self.failures -= 1
                raise OSError
            return super().take(max_events, max_bytes)

    clock, transport, stats = ManualClock(), MemoryTransport(), Stats()
    sender = delivery(Flaky(), transport, clock, stats, batch_size=1)
    assert sender.submit(b"J{}")
    clock.advance_to_deadline()
    transport.wait_for_events(1)

    assert sender.close(10)
    assert "Sending failed: OSError" in caplog.text


def test_flushing_and_closing_from_the_workers_own_thread_do_not_wait(make_app: MakeApp) -> None:
    """A transport or a logging handler that flushes or closes does not wait for itself."""
    found = []
    transport = MemoryTransport()
    app = make_app(transport=transport, clock=ManualClock(), batch_size=1)

    def meddle() -> Outcome:
        found.append(app.client.flush())
        found.append(app.client.close())
        return Delivered()

    transport.answer(meddle)
    log_call(app.client)
    transport.wait_for_events(1)

    assert found == [False, False]


def test_what_is_lost_is_said_before_close_returns(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever closes says it: the worker's thread might come to it after the end of the process."""
    app = make_app(durability="memory")
    app.transport.answer(Unauthorised("the key is unknown"))
    log_call(app.client)

    assert app.client.close() is False
    (said,) = [record for record in caplog.records if "not delivered" in record.message]
    assert said.message == "The client was closed with events not delivered: 1."
    assert said.thread == threading.get_ident()


def test_a_full_spool_is_said_and_counted(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond 64 MB the oldest events are dropped, counted and warned of."""
    transport = Hanging()
    app = make_app(transport=transport, batch_size=1, redact_pii=False)
    for _ in range(80):
        log_call(app.client, prompt="x" * 999_999)
    stats = app.client.stats()
    transport.let_go.set()
    assert app.client.flush()

    assert stats["dropped"]["spool_full"] >= 15
    assert stats["accepted"] == 80
    assert "oldest events are dropped" in caplog.text
    assert adds_up(app)


def test_many_threads_lose_nothing(make_app: MakeApp) -> None:
    """Events of eight threads arrive once each, while the worker sends."""
    app = make_app(batch_size=5)
    ids: list[list[str]] = [[] for _ in range(8)]

    def work(into: list[str]) -> None:
        into.extend(log_call(app.client) for _ in range(200))

    threads = [threading.Thread(target=work, args=(into,)) for into in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert app.client.flush()

    sent = [event["event_id"] for event in app.transport.events]
    assert sorted(sent) == sorted(one for into in ids for one in into)
    assert adds_up(app)


def test_closing_from_two_threads_ends_both(make_app: MakeApp) -> None:
    """While one thread closes, another that closes too waits for the same end and result."""
    transport = Hanging()
    app = make_app(transport=transport)
    log_call(app.client)
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda: found.append(app.client.close(30))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    transport.let_go.set()
    for thread in threads:
        thread.join()

    assert found == [True, True]


def test_a_closed_client_is_closed_in_a_child_too(make_app: MakeApp) -> None:
    """After a fork a client that was closed before stays closed, and closing it takes no time."""
    clock, transport, stats = ManualClock(), MemoryTransport(), Stats()
    sender = delivery(MemorySpool(), transport, clock, stats)
    assert sender.close(5)
    sender.after_fork()

    assert sender.submit(b"J{}") is False
    assert sender.close(5) is True


def test_without_a_thread_the_events_go_when_the_client_is_closed(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread can be started, as while an interpreter ends, closing delivers."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    app = make_app(clock=ManualClock(), batch_size=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        log_call(app.client, prompt="a")
        log_call(app.client, prompt="b")
        assert app.client.close()

    assert prompts(app) == ["a", "b"]


def test_an_event_that_meets_the_end_of_close_is_counted() -> None:
    """An event logged in the moment in which close() ends is dropped and counted, not forgotten."""
    clock, transport, stats = ManualClock(), MemoryTransport(), Stats()

    class Late(MemorySpool):
        def append(self, data: bytes) -> tuple[int, int]:
            sender.close(5)
            return super().append(data)

    spool = Late()
    sender = delivery(spool, transport, clock, stats)
    sender.submit(b"J{}")

    assert spool.queued() == 0
    assert stats.snapshot(1, 0)["dropped"] == {"closed": 1}


def test_flush_waits_only_for_what_was_logged_before_it(make_app: MakeApp) -> None:
    """flush() returns once its own events are answered, whatever is logged meanwhile."""
    transport = MemoryTransport()
    app = make_app(transport=transport, clock=ManualClock(), batch_size=1)

    def log_more() -> Outcome:
        log_call(app.client, prompt="later")
        return Delivered()

    transport.answer(log_more)
    log_call(app.client, prompt="first")

    assert app.client.flush()
    assert prompts(app)[0] == "first"


def test_the_machines_clock_drives_it_too(make_app: MakeApp) -> None:
    """Without a clock of the test's, an interval of a few milliseconds passes by itself."""
    app = make_app(flush_interval_seconds=0.01)
    before = time.time_ns()
    log_call(app.client)
    app.transport.wait_for_events(1)

    assert time.time_ns() - before >= 10_000_000
