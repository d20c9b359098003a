"""One thread serves everybody in turn, and ends with the last."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

from watchllm import WatchLLMClient
from watchllm._outcome import Delivered
from watchllm._runtime import CLOCK, INTERPRETERS, pause
from watchllm._worker import Worker, worker_for
from watchllm.testing import ManualClock, MemoryTransport

if TYPE_CHECKING:
    import pytest


class Steps:
    """Something to do for a number of steps."""

    def __init__(self, name: str, steps: int, done: list[str], ended: threading.Event) -> None:
        self.name = name
        self.left = steps
        self.done = done
        self.ended = ended

    def next_at(self, now: float) -> float | None:
        return now if self.left else None

    def step(self) -> bool:
        self.done.append(f"{self.name} {threading.current_thread().name}")
        self.left -= 1
        if not self.left:
            self.ended.set()
        return bool(self.left)

    def begin_close(self, deadline: float) -> None:
        self.done.append(f"{self.name} begins {deadline}")

    def finish_close(self, deadline: float) -> bool:
        self.done.append(f"{self.name} ends {deadline}")
        return True


class Idle(Steps):
    """Something that has nothing to do for now."""

    idle = True

    def next_at(self, now: float) -> float | None:
        return None if self.idle else now


class Gone(Steps):
    """Something that a fork in its own step takes away."""

    worker: Worker

    def step(self) -> bool:
        self.worker.after_fork()
        return super().step()


def test_all_have_their_turn_on_one_thread() -> None:
    """Nobody waits for the end of another, and everything runs on the one thread."""
    done: list[str] = []
    first, second = threading.Event(), threading.Event()
    worker = Worker(ManualClock())
    with worker.condition:
        worker.add(Steps("a", 3, done, first))
        worker.add(Steps("b", 3, done, second))
    assert first.wait(30)
    assert second.wait(30)

    assert done == ["a watchllm", "b watchllm"] * 3


def test_the_thread_ends_with_the_last_and_begins_again_with_the_next() -> None:
    """No idle thread stays behind when every client is closed."""
    others = set(threading.enumerate())
    worker = Worker(ManualClock())
    for name in ("a", "b"):
        done: list[str] = []
        ended = threading.Event()
        worker.add(Steps(name, 1, done, ended))
        assert ended.wait(30)
        for thread in set(threading.enumerate()) - others:
            thread.join(30)
        assert done == [f"{name} watchllm"]
        assert set(threading.enumerate()) <= others


def test_closing_asks_all_before_it_waits_for_one() -> None:
    """Every delivery gets the same deadline, so that all together take no longer than one."""
    clock = ManualClock()
    worker = Worker(clock)
    told: list[str] = []
    served = [Idle("a", 1, told, threading.Event()), Idle("b", 1, told, threading.Event())]
    for one in served:
        worker.add(one)
    clock.advance(3)
    worker.close(2)

    assert told == ["a begins 5.0", "b begins 5.0", "a ends 5.0", "b ends 5.0"]
    with worker.condition:
        for one in served:
            one.idle = False
        worker.condition.notify_all()


def test_where_no_thread_can_be_started_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the interpreter no thread begins: whoever asked does the work itself."""

    def refuse(_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert not Worker(ManualClock()).add(Steps("a", 1, [], threading.Event()))


def test_all_clients_of_a_process_share_one_thread() -> None:
    """However many clients there are, there is one thread; a test's clock has its own."""
    threads = set()

    def answer() -> Delivered:
        threads.add(threading.current_thread())
        return Delivered()

    clients = []
    for number in range(5):
        transport = MemoryTransport()
        transport.answer(answer)
        clients.append(WatchLLMClient("k", f"p{number}", transport=transport))
        clients[-1].log_error("r", "x")

    assert all(client.close() for client in clients)
    assert [thread.name for thread in threads] == ["watchllm"]
    assert worker_for(CLOCK) is worker_for(CLOCK)
    assert worker_for(ManualClock()) is not worker_for(CLOCK)


def test_a_pause_lets_other_threads_run() -> None:
    """Whoever pauses gives way for a moment."""
    ran = threading.Event()
    threading.Thread(target=ran.set).start()
    pause(0.0)
    while not ran.is_set():
        pause(0.001)

    assert ran.is_set()


def test_a_child_serves_nobody_until_something_is_added() -> None:
    """After a fork the child's worker is as new, whatever the parent's was about."""
    done: list[str] = []
    ended = threading.Event()
    worker = Worker(ManualClock())
    gone = Gone("parent", 1, done, threading.Event())
    gone.worker = worker
    worker.add(gone)
    assert gone.ended.wait(30)
    worker.add(Steps("child", 1, done, ended))
    assert ended.wait(30)

    assert done == ["parent watchllm", "child watchllm"]


def test_a_sub_interpreter_gets_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the interpreter is not the main one no thread is started, though it could be."""
    stand_in = SimpleNamespace(get_current=lambda: 1, get_main=lambda: 0)
    monkeypatch.setitem(sys.modules, INTERPRETERS, stand_in)
    before = set(threading.enumerate())
    worker = Worker(ManualClock())
    told: list[str] = []
    alone = Steps("a", 1, told, threading.Event())

    assert not worker.add(alone)
    assert not worker.add(alone)
    assert set(threading.enumerate()) <= before
    worker.close(1)
    assert told == ["a begins 1.0", "a ends 1.0"]


def test_whoever_is_added_twice_is_served_once() -> None:
    """Adding again what is served changes nothing."""
    done: list[str] = []
    ended = threading.Event()
    worker = Worker(ManualClock())
    steps = Steps("a", 2, done, ended)
    with worker.condition:
        assert worker.add(steps)
        assert worker.add(steps)
    assert ended.wait(30)

    assert done == ["a watchllm"] * 2


def test_what_the_thread_serves_is_left_to_it() -> None:
    """Whoever finds that something is served by now does no step of it."""
    done: list[str] = []

    class DueElsewhere(Idle):
        def next_at(self, now: float) -> float | None:
            is_thread = threading.current_thread().name == "watchllm"
            return super().next_at(now) if is_thread else now

    served = DueElsewhere("a", 1, done, threading.Event())
    worker = Worker(CLOCK)
    assert worker.add(served)

    assert worker.step_alone(served, 0.0)

    assert done == []
    with worker.condition:
        served.idle = False
        worker.condition.notify_all()
    assert served.ended.wait(30)
    assert done == ["a watchllm"]


def test_last_words_are_said_before_anything_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged then is still taken, in a child of a fork too."""
    monkeypatch.setattr("watchllm._worker.may_have_threads", lambda: False)
    told: list[str] = []
    worker = Worker(ManualClock())
    worker.before_exit(lambda: told.append("last words"))
    worker.after_fork()
    worker.add(Steps("a", 1, told, threading.Event()))
    worker.close(1)

    assert told == ["last words", "a begins 1.0", "a ends 1.0"]
