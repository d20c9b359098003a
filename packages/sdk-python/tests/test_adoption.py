"""What a dead process left is sent by a living one, in turns with its own events."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

from conftest import delivery, log_call

from watchllm import WatchLLMClient
from watchllm._delivery import ADOPT_SECONDS
from watchllm._spool import DiskSpool, Folder, Orphans
from watchllm._stats import Stats
from watchllm.testing import (
    Delivered,
    ManualClock,
    MemoryTransport,
    Outcome,
    Refusal,
    Refused,
    Retry,
    TooLarge,
)

if TYPE_CHECKING:
    import pytest

    from watchllm._delivery import Delivery


class Process:
    """A delivery with a spool on disk, under a clock that is moved by hand."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.transport = MemoryTransport()
        self.stats = Stats()
        self.spool = DiskSpool(folder, 1 << 28, self.clock)
        self.delivery: Delivery = delivery(
            self.spool,
            self.transport,
            self.clock,
            self.stats,
            batch_size=2,
            orphans=Orphans(folder, self.clock),
        )

    def sent(self) -> list[str]:
        """Return the names of the events delivered."""
        return [event["name"] for event in self.transport.events]

    def counts(self) -> dict[str, Any]:
        """Return the counters."""
        return self.stats.snapshot(self.spool.accepted(), self.spool.queued())


def record(name: str, size: int = 0) -> bytes:
    """Return the record of an event."""
    return b'J{"name":"%b","text":"%b"}' % (name.encode(), b"x" * size)


def leave(folder: Folder, *records: bytes) -> None:
    """Leave events in a directory of its own, as a process does that is killed."""
    before = folder.owners()
    spool = DiskSpool(folder, 1 << 28, ManualClock())
    for one in records:
        spool.append(one)
    spool.end()
    # Other processes have other numbers.
    (path,) = set(folder.owners()).difference(before)
    os.rename(path, os.path.join(folder.path, f"{os.getpid() + 1}-dead"))


def test_a_new_process_sends_what_a_dead_one_left(folder: Folder) -> None:
    """It begins by itself, before anything is logged, and clears the directory away."""
    leave(folder, record("a"), record("b"), record("c"))
    process = Process(folder)
    process.delivery.adopt()
    process.transport.wait_for_events(3)

    assert process.delivery.close(5)
    assert process.sent() == ["a", "b", "c"]
    assert process.counts()["adopted"] == 3
    assert process.counts()["logged"] == 0
    assert folder.owners() == []


def test_a_process_without_orphans_starts_no_thread(folder: Folder) -> None:
    """Where nobody left anything, nothing happens until the first event."""
    before = set(threading.enumerate())
    process = Process(folder)
    process.delivery.adopt()

    assert set(threading.enumerate()) <= before
    process.delivery.close(1)


def test_own_events_and_those_of_the_dead_take_turns(folder: Folder) -> None:
    """A large legacy holds up nobody: batches alternate."""
    leave(folder, *(record(f"old {n}") for n in range(250)))
    process = Process(folder)

    def log_meanwhile() -> Outcome:
        log(process, 4)
        return Delivered()

    process.transport.answer(log_meanwhile)
    process.delivery.adopt()
    process.transport.wait_for_events(254)
    names = process.sent()

    assert names[:100] == [f"old {n}" for n in range(100)]
    assert names[100:104] == ["new 0", "new 1", "new 2", "new 3"]
    assert sorted(names[104:]) == sorted(f"old {n}" for n in range(100, 250))
    assert process.delivery.close(5)


def log(process: Process, number: int) -> None:
    """Log events of this process."""
    for n in range(number):
        process.delivery.submit(record(f"new {n}"))


def test_an_adopted_batch_that_fails_is_tried_again(folder: Folder) -> None:
    """A failure costs nothing: the events are sent after the back-off."""
    leave(folder, record("a"))
    process = Process(folder)
    process.transport.answer(Retry("down", after=7.0))
    process.delivery.adopt()
    process.transport.wait_for_bodies(1)
    process.clock.advance_to_deadline()
    process.transport.wait_for_events(1)

    assert process.delivery.close(5)
    assert process.sent() == ["a"]


def test_what_cannot_be_sent_before_the_end_stays_for_the_next(folder: Folder) -> None:
    """Closing gives an adopted directory back, with all that was not answered for."""
    leave(folder, record("a"))
    process = Process(folder)
    process.transport.answer(Retry("down", after=600.0))
    process.delivery.adopt()
    process.transport.wait_for_bodies(1)
    process.delivery.close(1)
    again = Process(folder)
    again.delivery.adopt()
    again.transport.wait_for_events(1)

    assert process.sent() == []
    assert again.delivery.close(5)
    assert folder.owners() == []


def test_orphans_are_looked_for_now_and_then(folder: Folder) -> None:
    """A process that dies later is adopted by one that lives on."""
    process = Process(folder)
    log(process, 2)
    process.transport.wait_for_events(2)
    leave(folder, record("late"))
    while len(process.transport.events) < 3:
        assert process.clock.advance_to_deadline() <= ADOPT_SECONDS

    assert process.sent() == ["new 0", "new 1", "late"]
    assert process.delivery.close(5)


def test_losses_of_adopted_events_are_told_but_are_not_this_process_own(folder: Folder) -> None:
    """Refused, too large and damaged ones are reported to the server; its own sums stay right."""
    leave(folder, record("a"), record("b"), record("c"), b"no record", record("d"))
    (path,) = folder.owners()
    with open(os.path.join(path, "000001.seg"), "r+b") as file:
        file.seek(64 + 8 + 2)
        file.write(b"X")
    process = Process(folder)
    answers: list[Outcome] = [
        Refused("one of them"),
        Refused("b"),
        TooLarge(),
        Delivered((Refusal(0, "id", "invalid", "it is wrong"),)),
    ]
    process.transport.answer(*answers)
    process.delivery.adopt()
    process.transport.wait_for_bodies(4)
    log(process, 2)
    assert process.delivery.flush(20)
    counts = process.counts()

    assert process.sent() == ["d", "new 0", "new 1"]
    assert (counts["sent"], counts["refused"], counts["dropped"]) == (2, 0, {})
    told: dict[str, int] = {}
    for body in process.transport.bodies[len(answers) - 1 :]:
        for reason, number in json.loads(body).get("losses", {}).items():
            told[reason] = told.get(reason, 0) + number
    assert told == {"damaged": 2, "refused": 2, "too_large": 1}
    assert process.delivery.close(5)


def test_a_child_leaves_an_adopted_directory_to_its_parent(folder: Folder) -> None:
    """After a fork only the parent goes on with what it adopted."""
    leave(folder, record("a"))
    process = Process(folder)
    process.transport.answer(Retry("down", after=600.0))
    process.delivery.adopt()
    process.transport.wait_for_bodies(1)
    process.delivery.after_fork()

    assert len(folder.owners()) == 1
    process.delivery.close(1)


def test_events_wait_in_memory_where_no_directory_can_be_had(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a home directory the client works, and says once that nothing is on disk."""
    monkeypatch.setenv("HOME", "nowhere")
    for name in ("WATCHLLM_SPOOL_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    transport = MemoryTransport()
    client = WatchLLMClient("k", "p", transport=transport, durability="disk")
    log_call(client)

    assert client.close()
    said = "Events wait in memory, not on disk: there is no home directory."
    assert caplog.messages.count(said) == 1
    assert len(transport.events) == 1
