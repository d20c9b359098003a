"""The worker keeps to what the app, the interpreter and the collector can take."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from conftest import delivery, log_call, prompts

from watchllm import WatchLLMClient
from watchllm._delivery import SLOW_SECONDS
from watchllm._encoding import Encoder
from watchllm._spool import MemorySpool
from watchllm._stats import Stats
from watchllm.testing import ManualClock, MemoryTransport, Outcome, Retry, TooLarge

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Callable

    from conftest import App

    MakeApp = Callable[..., App]


class Watched(Stats):
    """Counters that tell of the first failure."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = threading.Event()

    def count(self, name: str, number: int = 1) -> None:
        super().count(name, number)
        if name == "retried":
            self.failed.set()


def test_what_a_spool_says_is_said_once(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """An app whose spool cannot be written works on, with one warning and no loss."""
    in_the_way = tmp_path / "spool"
    in_the_way.write_text("")
    transport = MemoryTransport()
    client = WatchLLMClient("k", "p", transport=transport, spool_dir=in_the_way)
    for n in range(3):
        log_call(client, prompt=str(n))

    assert client.close()
    assert [event["prompt"] for event in transport.events] == ["0", "1", "2"]
    assert sum("events wait in memory instead" in text for text in caplog.messages) == 1


def test_an_app_that_floods_is_slowed_down_while_the_collector_takes_what_is_sent() -> None:
    """Once half the spool is full calls pause, the longer the fuller; never in an outage."""
    clock, transport, stats = ManualClock(), MemoryTransport(), Watched()
    spool = MemorySpool(250_000)
    sender = delivery(spool, transport, clock, stats, batch_size=500)
    hold = threading.Event()
    transport.answer(lambda: (hold.wait(30), Retry("down", after=9.0))[1])
    pauses: list[tuple[float, float]] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            "watchllm._delivery.pause", lambda seconds: pauses.append((spool.fullness(), seconds))
        )
        for n in range(1_100):
            sender.submit(b'J{"n":"%04d"}' % n)
        transport.wait_for_bodies(1)
        healthy = len(pauses)
        clock.advance(SLOW_SECONDS + 1)
        sender.submit(b'J{"n":"1100"}')
        hold.set()
        assert stats.failed.wait(30)
        sender.submit(b'J{"n":"1101"}')

    assert min(pauses)[0] > 0.5
    assert [dict(pauses)[full] for full in sorted(dict(pauses))] == sorted(dict(pauses).values())
    assert {seconds for _, seconds in pauses} == {0.001, 0.005, 0.02}
    assert len(pauses) == healthy
    clock.advance_to_deadline()
    assert sender.close(20)
    assert len(transport.events) == 1_102


def test_a_flush_without_a_thread_sends_itself(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread can be started a flush does its work, and gives up in time."""

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    clock = ManualClock()
    app = make_app(clock=clock)

    def answer_late() -> Outcome:
        clock.advance(9)
        return Retry("down")

    app.transport.answer(Retry("down", after=0.2), answer_late)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        log_call(app.client, prompt="a")
        assert not app.client.flush(0)
        waits: list[float | None] = []

        def pass_time(_: object, until: float | None) -> None:
            waits.append(until)
            clock.advance(0.5)

        patched.setattr(clock, "wait", pass_time)
        assert not app.client.flush(5)
        assert waits
        clock.advance(100)
        assert app.client.flush(5)

    assert prompts(app) == ["a"]


def test_a_batch_whose_json_outgrows_its_records_is_split() -> None:
    """Records are compact; those whose JSON makes a body too large go with the next one."""
    clock, transport, stats = ManualClock(), MemoryTransport(), Stats()
    spool = MemorySpool()
    sender = delivery(spool, transport, clock, stats, batch_size=3)
    text = "\n" * 400_000
    record = Encoder().record('{"event_id":"e",', {"n": 1}, {"prompt": text})
    for _ in range(3):
        sender.submit(record)

    assert sender.close(20)
    assert len(transport.bodies) == 3
    assert [event["prompt"] == text for event in transport.events] == [True] * 3


def test_an_event_that_is_too_large_for_the_collector_is_cut_until_it_fits(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """A lone event that gets 413 is sent again with its largest field halved; that is said."""
    app = make_app(clock=ManualClock(), batch_size=1)
    app.transport.answer(TooLarge(), TooLarge())
    log_call(app.client, prompt="p" * 100_000)
    assert app.client.flush()
    (event,) = app.transport.events

    assert 20_000 < len(event["prompt"]) < 30_000
    assert event["prompt"].endswith("[TRUNCATED: larger than the collector takes]")
    assert (app.client.stats()["sent"], app.client.stats()["dropped"]) == (1, {})
    assert "its largest field is cut" in caplog.text
