"""Time and identity."""

from __future__ import annotations

import re
import threading
import uuid

from watchllm._runtime import Clock, IdSource, hostname, python_platform, roll, timestamp
from watchllm.testing import ManualClock


def test_ids_are_version_7_with_their_time() -> None:
    """An id is a UUID of version 7 and RFC variant that holds the clock's milliseconds."""
    clock = ManualClock(1_764_000_000_123_000_000)
    found = uuid.UUID(IdSource(clock).new())

    assert found.version == 7
    assert found.variant == uuid.RFC_4122
    assert found.int >> 80 == 1_764_000_000_123


def test_ids_rise_and_never_repeat_even_while_the_clock_stands() -> None:
    """10,000 ids of one millisecond are different and in order, from several threads."""
    ids = IdSource(ManualClock())
    found: list[list[str]] = [[] for _ in range(4)]

    def mint(into: list[str]) -> None:
        into.extend(ids.new() for _ in range(2_500))

    threads = [threading.Thread(target=mint, args=(into,)) for into in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({one for into in found for one in into}) == 10_000
    assert all(into == sorted(into) for into in found)


def test_ids_rise_when_the_clock_goes_back() -> None:
    """A clock that is set back does not put new ids before old ones."""
    clock = ManualClock()
    ids = IdSource(clock)
    before = ids.new()
    ids.after_fork()
    clock.advance(-3600)

    assert ids.new() > before


def test_timestamps_are_rfc_3339_in_utc_with_microseconds() -> None:
    """A moment is written as the contract wants it."""
    assert timestamp(1_764_000_000_123_456_789) == "2025-11-24T16:00:00.123456Z"
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"


def test_the_machine_is_described() -> None:
    """The description of the sender is what the contract's examples show."""
    assert re.fullmatch(r"python-3\.\d+\.\d+\S*-\w+", python_platform())
    assert isinstance(hostname(), str)
    assert 0 <= roll() < 1


def test_waiting_ends_at_its_moment_or_when_notified() -> None:
    """The machine's clock waits no longer than until a moment, and ends early when notified."""
    clock = Clock()
    condition = threading.Condition()
    with condition:
        clock.wait(condition, clock.monotonic() - 1)

    def notify() -> None:
        with condition:
            condition.notify_all()

    with condition:
        thread = threading.Thread(target=notify)
        thread.start()
        clock.wait(condition, None)
    thread.join()

    assert clock.time_ns() > 1_700_000_000_000_000_000
