"""The worker batches by count and time, and does with each answer what it asks for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from conftest import adds_up, log_call, prompts

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

    from conftest import App

    MakeApp = Callable[..., App]


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


def test_a_batch_that_fills_right_after_another_waits_for_a_tenth_of_a_second(
    make_app: MakeApp,
) -> None:
    """An app that logs steadily makes ten requests a second of it, not one for each batch_size."""
    clock = ManualClock()
    app = make_app(clock=clock, batch_size=1)
    log_call(app.client, prompt="0")
    app.transport.wait_for_events(1)
    for n in (1, 2, 3):
        log_call(app.client, prompt=f"{n}")
    moved = clock.advance_to_deadline()
    app.transport.wait_for_events(4)

    assert moved == pytest.approx(0.1)
    assert [body.count(b'"event_id"') for body in app.transport.bodies] == [1, 3]


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
