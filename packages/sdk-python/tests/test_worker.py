"""The worker batches by count and time, tries again, flushes and closes within bounds."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from conftest import log_call

from watchllm._config import load
from watchllm._log import Problems
from watchllm._spool import MemorySpool, Record
from watchllm._stats import Stats
from watchllm._worker import Worker
from watchllm.testing import (
    Delivered,
    ManualClock,
    MemoryTransport,
    Outcome,
    Refusal,
    Refused,
    Retry,
    TooLarge,
    Unauthorised,
)

if TYPE_CHECKING:
    from typing import Callable

    import pytest
    from conftest import App

    MakeApp = Callable[..., App]


def prompts(app: App) -> list[str]:
    """Return the prompts delivered, in order."""
    return [event["prompt"] for event in app.transport.events]


def adds_up(app: App) -> bool:
    """Say whether every event logged is accounted for."""
    stats = app.client.stats()
    gone = stats["sent"] + stats["refused"] + sum(stats["dropped"].values())
    return bool(stats["logged"] == stats["sampled_out"] + gone + stats["queued"])


def test_a_full_batch_is_sent_at_once(make_app: MakeApp) -> None:
    """When batch_size events wait they are sent, though the clock stands still."""
    app = make_app(clock=ManualClock(), batch_size=3)
    for n in range(3):
        log_call(app.client, prompt=f"{n}")
    app.transport.wait_for_events(3)

    assert prompts(app) == ["0", "1", "2"]


def test_a_batch_that_is_not_full_is_sent_after_the_interval(make_app: MakeApp) -> None:
    """A single event waits for the flush interval, no longer and no shorter."""
    clock = ManualClock()
    app = make_app(clock=clock, batch_size=100, flush_interval_seconds=5)
    log_call(app.client)
    moved = clock.advance_to_deadline()
    app.transport.wait_for_events(1)

    assert moved == 5


def test_later_batches_have_an_interval_of_their_own(make_app: MakeApp) -> None:
    """After a delivery the interval starts anew with the next event."""
    clock = ManualClock()
    app = make_app(clock=clock, batch_size=100, flush_interval_seconds=5)
    for n in range(3):
        log_call(app.client, prompt=f"{n}")
        assert clock.advance_to_deadline() == 5
        app.transport.wait_for_events(n + 1)
    assert app.client.flush()

    assert prompts(app) == ["0", "1", "2"]


def test_under_backlog_batches_grow_to_what_the_server_advertises(make_app: MakeApp) -> None:
    """With many events waiting batches start at 100 and grow to the advertised limit."""
    held = threading.Event()
    transport = MemoryTransport()

    def first() -> Outcome:
        held.wait(30)
        return Delivered(max_batch=500)

    transport.answer(first)
    app = make_app(transport=transport, batch_size=1)
    for _ in range(3_000):
        log_call(app.client)
    held.set()
    assert app.client.flush()
    sizes = [body.count(b'"event_id"') for body in transport.bodies]

    assert sizes[1] > 100
    assert max(sizes) == 500
    assert sum(sizes) == 3_000


def test_a_server_that_takes_less_than_a_hundred_gets_less(make_app: MakeApp) -> None:
    """An advertised limit below the usual batch is kept."""
    transport = MemoryTransport()
    transport.answer(Delivered(max_batch=7))
    app = make_app(transport=transport, clock=ManualClock(), batch_size=100)
    log_call(app.client)
    assert app.client.flush()
    for _ in range(20):
        log_call(app.client)
    assert app.client.flush()

    assert max(body.count(b'"event_id"') for body in transport.bodies) == 7


def test_a_body_has_at_most_a_megabyte_unless_one_event_is_larger(make_app: MakeApp) -> None:
    """Large events go in several bodies, and one of more than 1 MB goes alone."""
    app = make_app(clock=ManualClock(), batch_size=100)
    for size in (400_000, 400_000, 400_000, 990_000):
        log_call(app.client, prompt="x" * size, response="y" * (size // 10))
    assert app.client.flush()

    counts = [body.count(b'"event_id"') for body in app.transport.bodies]
    assert counts == [2, 1, 1]
    assert [len(body) <= 1_000_100 for body in app.transport.bodies] == [True, True, False]


def test_what_fails_is_tried_again_after_what_the_server_asked_for(make_app: MakeApp) -> None:
    """A batch that failed is sent again, whole and in order, not before Retry-After."""
    clock = ManualClock()
    transport = MemoryTransport()
    transport.answer(Retry("busy", after=3.0), Retry("busy", after=100_000.0))
    app = make_app(transport=transport, clock=clock, batch_size=2)
    log_call(app.client, prompt="a")
    log_call(app.client, prompt="b")
    transport.wait_for_bodies(1)
    first = clock.advance_to_deadline()
    transport.wait_for_bodies(2)
    second = clock.advance_to_deadline()
    transport.wait_for_events(2)
    assert app.client.flush()

    assert 3.0 <= first <= 3.3
    assert 300.0 <= second <= 330.0
    assert prompts(app) == ["a", "b"]
    assert app.client.stats()["retried"] == 4
    assert adds_up(app)


def test_back_off_grows_without_a_word_of_the_server(make_app: MakeApp) -> None:
    """Without Retry-After the waits are random, the n-th at most 2^(n-1) seconds."""
    clock = ManualClock()
    transport = MemoryTransport()
    transport.answer(*[Retry("refused")] * 6)
    app = make_app(transport=transport, clock=clock, batch_size=1)
    log_call(app.client)
    for attempt in range(1, 7):
        transport.wait_for_bodies(attempt)
        assert clock.advance_to_deadline() <= 2.0 ** (attempt - 1)
    transport.wait_for_events(1)

    assert app.client.flush()


def test_one_warning_is_said_per_outage(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage is warned of once, its end is told, and the next outage is warned of again."""
    caplog.set_level("INFO", "watchllm")
    transport = MemoryTransport()
    away = Retry("the collector is away", after=0.0)
    transport.answer(away, away, away, Delivered(), away)
    app = make_app(transport=transport)
    log_call(app.client)
    assert app.client.flush()
    log_call(app.client)
    assert app.client.flush()
    app.client.close()

    assert [(r.levelname, r.message.split(":")[0]) for r in caplog.records] == [
        ("WARNING", "Events wait and are sent again"),
        ("INFO", "Events are delivered again. (the problem before occurred 3 times)"),
        ("WARNING", "Events wait and are sent again"),
        ("INFO", "Events are delivered again. (the problem before occurred 1 times)"),
    ]


def test_a_batch_that_is_too_large_is_split(make_app: MakeApp) -> None:
    """A batch answered 413 is sent in halves; nothing is lost or sent out of order."""
    transport = MemoryTransport()
    transport.answer(TooLarge(), TooLarge())
    app = make_app(transport=transport, clock=ManualClock(), batch_size=8)
    for n in range(8):
        log_call(app.client, prompt=f"{n}")
    assert app.client.flush()

    counts = [body.count(b'"event_id"') for body in transport.bodies]
    assert counts[:3] == [8, 4, 2]
    assert prompts(app) == [f"{n}" for n in range(8)]


def test_an_event_that_alone_is_too_large_is_dropped_and_counted(make_app: MakeApp) -> None:
    """What a server takes in no size is given up, named, and reported with the next batch."""
    transport = MemoryTransport()
    transport.answer(TooLarge())
    app = make_app(transport=transport)
    log_call(app.client, prompt="large")
    assert app.client.flush()
    log_call(app.client, prompt="small")
    assert app.client.flush()

    assert prompts(app) == ["small"]
    assert app.client.stats()["dropped"] == {"too_large": 1}
    assert transport.bodies[-1].endswith(b',"losses":{"too_large":1}}')
    log_call(app.client)
    assert app.client.flush()
    assert b"losses" not in transport.bodies[-1]
    assert adds_up(app)


def test_a_refused_batch_is_sent_event_by_event(make_app: MakeApp) -> None:
    """After a batch is refused each event is tried alone, and only the bad one is lost."""

    class Picky(MemoryTransport):
        def send(self, body: bytes, timeout: float) -> Outcome:
            if b'"bad"' in body:
                self.bodies.append(body)
                return Refused("400 invalid")
            return super().send(body, timeout)

    app = make_app(transport=Picky(), clock=ManualClock(), batch_size=5)
    for n in ("0", "1", "bad", "3", "4"):
        log_call(app.client, prompt=n)
    assert app.client.flush()

    assert prompts(app) == ["0", "1", "3", "4"]
    assert app.client.stats()["refused"] == 1
    for _ in range(5):
        log_call(app.client, prompt="after")
    assert app.client.flush()
    assert app.transport.bodies[-1].count(b'"event_id"') == 5
    assert adds_up(app)


def test_events_that_the_server_names_are_counted_as_refused(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer may take some events and not others; an index that is none is ignored."""
    transport = MemoryTransport()
    refusals = [Refusal(1, "id", "invalid_field", "status is wrong"), Refusal(99), Refusal(-1)]
    transport.answer(Delivered(refusals))
    app = make_app(transport=transport, clock=ManualClock(), batch_size=3)
    for _ in range(3):
        log_call(app.client)
    assert app.client.flush()
    app.client.close()

    stats = app.client.stats()
    assert (stats["sent"], stats["refused"], stats["queued"]) == (2, 1, 0)
    assert "invalid_field status is wrong" in caplog.text
    assert adds_up(app)


def test_an_unknown_key_stops_the_sending_until_it_is_asked_for_again(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused key is said once; events wait, flush() is False at once, and it is tried later."""
    clock = ManualClock()
    transport = MemoryTransport()
    transport.answer(Unauthorised("the key is unknown"), Unauthorised("the key is unknown"))
    app = make_app(transport=transport, clock=clock, batch_size=1)
    log_call(app.client, prompt="a")
    assert not app.client.flush()
    log_call(app.client, prompt="b")
    assert not app.client.flush()
    assert len(transport.bodies) == 1
    assert clock.advance_to_deadline() == 300.0
    transport.wait_for_bodies(2)
    assert clock.advance_to_deadline() == 300.0
    transport.wait_for_events(2)
    assert app.client.flush()

    assert prompts(app) == ["a", "b"]
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


def test_closing_with_a_refused_key_drops_what_waits(make_app: MakeApp) -> None:
    """Nothing is sent again at the end; what waited is counted with the reason."""
    transport = MemoryTransport()
    transport.answer(Unauthorised("the key is unknown"))
    app = make_app(transport=transport)
    log_call(app.client)
    assert not app.client.flush()
    log_call(app.client)

    assert app.client.close() is False
    assert app.client.stats()["dropped"] == {"unauthorised": 2}
    assert len(transport.bodies) == 1
    assert adds_up(app)


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
    before = threading.active_count()

    assert app.client.flush() is True
    assert app.client.close() is True
    assert threading.active_count() == before
    assert app.transport.bodies == []


def test_what_is_logged_after_close_is_dropped_and_counted(app: App) -> None:
    """A closed client takes no event, returns an id all the same, and does not raise."""
    app.client.close()
    event_id = log_call(app.client)

    assert event_id
    assert app.client.stats()["dropped"] == {"closed": 1}
    assert app.client.flush() is True
    assert adds_up(app)


def test_a_transport_that_raises_costs_nothing(make_app: MakeApp) -> None:
    """An exception of a transport is a failed attempt; the events go with the next."""

    def fail() -> Outcome:
        raise RuntimeError

    transport = MemoryTransport()
    transport.answer(fail)
    clock = ManualClock()
    app = make_app(transport=transport, clock=clock, batch_size=1)
    log_call(app.client)
    transport.wait_for_bodies(1)
    clock.advance_to_deadline()
    transport.wait_for_events(1)

    assert adds_up(app)


def test_an_outcome_that_nobody_knows_is_a_failed_attempt(make_app: MakeApp) -> None:
    """A transport of a newer kind loses nothing with an older worker, and nothing with nonsense."""

    class Strange(Outcome):
        __slots__ = ()

    transport = MemoryTransport()
    transport.answer(Strange())
    clock = ManualClock()
    app = make_app(transport=transport, clock=clock, batch_size=1)
    log_call(app.client)
    transport.wait_for_bodies(1)
    clock.advance_to_deadline()
    transport.wait_for_events(1)

    assert app.client.flush()


def test_a_broken_answer_is_a_failed_attempt(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """A transport that answers nonsense has its batch sent again."""
    transport = MemoryTransport()
    nonsense: Any = Delivered([None])  # type: ignore[list-item] # it is the case
    transport.answer(nonsense)
    clock = ManualClock()
    app = make_app(transport=transport, clock=clock, batch_size=1)
    log_call(app.client)
    transport.wait_for_bodies(1)
    clock.advance_to_deadline()
    transport.wait_for_bodies(2)
    assert app.client.flush()

    assert "the transport's answer is broken: AttributeError" in caplog.text
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
    config, _ = load({"api_key": "k", "project_id": "p", "batch_size": 1}, {})
    worker = Worker(config, Flaky(), transport, clock, stats, Problems())
    assert worker.submit(b"{}")
    clock.advance_to_deadline()
    transport.wait_for_events(1)

    assert worker.close(10)
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
    config, _ = load({"api_key": "k", "project_id": "p"}, {})
    worker = Worker(config, MemorySpool(), transport, clock, stats, Problems())
    assert worker.close(5)
    worker.after_fork()

    assert worker.submit(b"{}") is False
    assert worker.close(5) is True


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
    config, _ = load({"api_key": "k", "project_id": "p"}, {})

    class Late(MemorySpool):
        def append(self, data: bytes) -> tuple[int, int]:
            worker.close(5)
            return super().append(data)

    spool = Late()
    worker = Worker(config, spool, transport, clock, stats, Problems())
    worker.submit(b"{}")

    assert spool.queued() == 0
    assert stats.snapshot(0)["dropped"] == {"closed": 1}


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
