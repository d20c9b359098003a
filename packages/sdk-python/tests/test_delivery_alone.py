"""Where no thread can be started, whoever flushes or closes sends: one at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from conftest import log_call, prompts

from watchllm.testing import Delivered, ManualClock, Outcome

if TYPE_CHECKING:
    from typing import Any, Callable

    from conftest import App

    MakeApp = Callable[..., App]


class Watched(ManualClock):
    """A clock that tells that somebody waits on it."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_on = threading.Event()

    def wait(self, condition: threading.Condition, until: float | None) -> None:
        self.waited_on.set()
        super().wait(condition, until)


@pytest.fixture
def no_thread() -> Any:
    """Let no worker have a thread, until it is undone."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "watchllm":
            raise RuntimeError("can't start new thread")
        start(thread)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        yield patched


def elsewhere(work: Callable[[], object]) -> threading.Thread:
    """Begin something on a thread of its own."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def sent_before_who_waits(app: App, clock: Watched) -> int:
    """Return how many bodies were sent by the time that somebody waits on the clock."""
    assert clock.waited_on.wait(30)
    return len(app.transport.bodies)


@pytest.mark.usefixtures("no_thread")
def test_one_flush_sends_and_the_others_wait(make_app: MakeApp) -> None:
    """Flushes at the same time send one batch after the other, or say in time that they did not."""
    clock = Watched()
    app = make_app(clock=clock)
    bodies: list[int] = []
    ends: list[bool] = []
    others: list[threading.Thread] = []

    def meanwhile() -> Outcome:
        log_call(app.client, prompt="b")
        elsewhere(lambda: ends.append(app.client.flush(0))).join()
        others.append(elsewhere(lambda: ends.append(app.client.flush(5))))
        bodies.append(sent_before_who_waits(app, clock))
        return Delivered()

    app.transport.answer(meanwhile)
    log_call(app.client, prompt="a")
    assert app.client.flush(5)
    others[0].join()

    assert bodies == [1]
    assert ends == [False, True]
    assert prompts(app) == ["a", "b"]


@pytest.mark.usefixtures("no_thread")
def test_closing_ends_in_time_while_another_sends(make_app: MakeApp) -> None:
    """A close whose time is over does not wait for a flush that is still sending."""
    app = make_app(clock=ManualClock())
    ends: list[bool] = []

    def meanwhile() -> Outcome:
        elsewhere(lambda: ends.append(app.client.close(0))).join()
        return Delivered()

    app.transport.answer(meanwhile)
    log_call(app.client)
    app.client.flush(5)

    assert ends == [False]
    assert len(app.transport.bodies) == 1


def test_a_thread_that_starts_at_last_waits_for_who_sends_in_its_place(
    make_app: MakeApp, no_thread: pytest.MonkeyPatch
) -> None:
    """The worker's thread sends nothing while a flush that began without it does."""
    clock = Watched()
    app = make_app(clock=clock, batch_size=1)
    bodies: list[int] = []

    def meanwhile() -> Outcome:
        no_thread.undo()
        log_call(app.client, prompt="b")
        bodies.append(sent_before_who_waits(app, clock))
        return Delivered()

    app.transport.answer(meanwhile)
    log_call(app.client, prompt="a")
    assert app.client.flush(5)
    assert app.client.flush(5)

    assert bodies == [1]
    assert prompts(app) == ["a", "b"]
