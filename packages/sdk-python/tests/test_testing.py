"""The test kit itself."""

from __future__ import annotations

import threading

import pytest

from watchllm import testing
from watchllm.testing import Delivered, ManualClock, MemoryTransport, Retry


def test_a_memory_transport_keeps_bodies_and_delivered_events() -> None:
    """Every body is kept; its events only once they were answered with Delivered."""
    transport = MemoryTransport()
    transport.answer(Retry("no"), lambda: Delivered(max_batch=3))
    outcomes = [transport.send(b'{"events":[{"n":%d}]}' % n, 1) for n in range(3)]

    assert [type(one) for one in outcomes] == [Retry, Delivered, Delivered]
    assert len(transport.bodies) == 3
    assert transport.events == [{"n": 1}, {"n": 2}]
    transport.wait_for_bodies(3)
    transport.wait_for_events(2)


def test_a_manual_clock_moves_only_by_hand() -> None:
    """Both of its times move together, by what they are told."""
    clock = ManualClock(1_000)
    clock.advance(2.5)

    assert clock.monotonic() == 2.5
    assert clock.time_ns() == 2_500_001_000


def test_a_waiter_is_woken_by_the_clock_or_by_a_notification() -> None:
    """Moving the clock to the moment ends a wait for it, and so does a notification."""
    clock = ManualClock()
    condition = threading.Condition()
    woken = []

    def sleep(until: float | None) -> None:
        with condition:
            clock.wait(condition, until)
            woken.append(until)

    waiter = threading.Thread(target=sleep, args=(3.0,))
    waiter.start()
    assert clock.advance_to_deadline() == 3.0
    waiter.join()
    sleep(2.0)  # has passed: no wait at all

    assert woken == [3.0, 2.0]
    assert clock.advance_to_deadline is not None


def test_waiting_in_vain_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes is told as a TimeoutError that says what was there."""
    monkeypatch.setattr(testing, "PATIENCE_SECONDS", 0.01)

    with pytest.raises(TimeoutError, match="0 bodies were sent, not 1"):
        MemoryTransport().wait_for_bodies(1)
    with pytest.raises(TimeoutError, match="0 events were delivered, not 1"):
        MemoryTransport().wait_for_events(1)
    with pytest.raises(TimeoutError, match="nobody waits"):
        ManualClock().advance_to_deadline()
