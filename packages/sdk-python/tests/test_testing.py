"""The test kit itself."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from conftest import log_call

import watchllm
from watchllm import WatchLLMClient, testing
from watchllm.testing import Delivered, ManualClock, MemoryTransport, Retry, capture

if TYPE_CHECKING:
    from pathlib import Path

    from collector import Collector

    from watchllm.testing import CapturedEvents


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


def test_capturing_takes_what_any_client_logs() -> None:
    """Clients of the app need no key then, and what they log is redacted and complete at once."""
    with capture() as events:
        watchllm.get_client().log_error("r", "mail zoe@example.com")
        log_call(WatchLLMClient(project_id="p2"), prompt="second")

        assert len(events) == 2
        assert events[0]["error"]["message"] == "mail [REDACTED_EMAIL]"
        assert events[-1]["project_id"] == "p2"
        assert [event["prompt"] for event in events.of_type("prompt_call")] == ["second"]
        assert "second" in repr(events)


def test_a_client_that_could_not_be_made_is_not_waited_for() -> None:
    """A wrong option raises while capturing too, and the other clients' events are there."""
    with capture() as events:
        with pytest.raises(watchllm.ConfigurationError):
            WatchLLMClient(sample_rate=2)
        log_call(WatchLLMClient())

        assert len(events) == 1


def test_after_capturing_everything_is_as_before(collector: Collector) -> None:
    """The client of the process is the one it was, and new ones send over HTTP."""
    mine = watchllm.init(api_key="k", project_id="p", base_url=collector.base_url)
    with capture() as events:
        assert watchllm.get_client() is not mine
        watchllm.get_client().log_error("r", "inside")
        with capture() as inner:
            watchllm.get_client().log_error("r", "innermost")
            assert len(inner) == 1
        assert len(events) == 1
    watchllm.get_client().log_error("r", "outside")

    assert watchllm.get_client() is mine
    assert mine.close()
    assert [event["error"]["message"] for event in collector.events()] == ["outside"]


def test_pytest_has_a_fixture_for_it(tmp_path: Path) -> None:
    """A test of an app needs nothing but the name `watchllm_events`."""
    (tmp_path / "test_app.py").write_text(
        "import watchllm\n"
        "def app():\n"
        "    watchllm.get_client().log_error('r', ValueError('no'))\n"
        "def test_app(watchllm_events):\n"
        "    app()\n"
        "    assert watchllm_events.of_type('error')[0]['error']['type'] == 'ValueError'\n"
        "def test_nothing_is_left(watchllm_events):\n"
        "    assert list(watchllm_events) == []\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-W", "error", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_fixture_gives_an_empty_list_at_first(watchllm_events: CapturedEvents) -> None:
    """Each test begins with nothing logged."""
    assert len(watchllm_events) == 0
    watchllm.get_client().log_error("r", "x")
    assert len(watchllm_events) == 1
