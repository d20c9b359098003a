"""The run that a task's message carries, and the flush at the end of a task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conftest import log_call
from hypothesis import given
from hypothesis import strategies as st

import watchllm
from watchllm._context import Inside, Run, current_run, trace
from watchllm.integrations import _tasks
from watchllm.integrations._flush import flush
from watchllm.integrations._tasks import Task, carried, run_of
from watchllm.testing import MemoryTransport, Outcome, Retry

if TYPE_CHECKING:
    from typing import Callable

    import pytest
    from conftest import App

values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())
messages = values | st.dictionaries(
    st.sampled_from(["run_id", "user_id", "tags", "release", "parent_event_id", "odd"]), values
)


def begin(app: App | None, message: Any = None, task_id: str = "task-1", **options: Any) -> Task:
    """Begin a task."""
    client = app.client if app else None
    return Task(message, task_id, client, options.get("seconds", 30.0), options.get("limit"))


def test_a_run_comes_out_of_a_message_as_it_went_in() -> None:
    """Run, user, tags, release and step around survive a message of JSON."""
    with trace("run-1", user_id="ada", tags=["web"], release="1.2"):
        message = carried()
    run = run_of(json.loads(json.dumps(message)))

    assert run is not None
    assert (run.run_id, run.user_id, run.tags, run.release) == ("run-1", "ada", ("web",), "1.2")


def test_a_task_sent_by_a_step_is_below_the_step() -> None:
    """The step around is carried too."""
    step = Inside(Run("run-1").below("event-1"))
    step.resume()
    message = carried()
    step.pause()

    run = run_of(message)

    assert run is not None
    assert run.parent_event_id == "event-1"


def test_outside_of_a_run_nothing_is_carried() -> None:
    """Who sends a task outside of any run sends nothing more with it."""
    assert carried() is None


@given(messages)
def test_whatever_a_message_carries_is_a_run_of_short_texts_or_none(message: Any) -> None:
    """A message may come from anybody: what is not as it has to be is left out."""
    run = run_of(message)

    assert run is None or 0 < len(run.run_id) <= 1_000
    assert run is None or all(0 < len(tag) <= 1_000 for tag in run.tags)


def test_a_message_that_is_too_long_is_left_out() -> None:
    """Texts of more than 1,000 characters, and tags beyond 100, are not taken."""
    long = "x" * 10_000_000

    run = run_of({"run_id": "run-1", "user_id": long, "tags": ["a", long] * 5_000})

    assert run_of({"run_id": long}) is None
    assert run is not None
    assert (run.user_id, run.tags) == (None, ("a",) * 50)


def test_a_task_that_carries_no_run_is_one_of_its_own(app: App) -> None:
    """It is named by the task's id, so that it is found from the queue's own log."""
    task = begin(app)
    log_call(app.client, run_id=None)
    task.end()

    (event,) = app.transport.events
    assert event["run_id"] == "task-1"
    assert current_run() is None


def test_a_task_called_like_a_function_stays_in_the_run_around(app: App) -> None:
    """Without a message the run around goes on, and nothing is waited for."""
    with trace("run-1"):
        task = begin(app)
        log_call(app.client, run_id=None)
        task.end(send=False)

    assert app.sent_one()["run_id"] == "run-1"


class Away(MemoryTransport):
    """A collector that asks to try again, until it is back."""

    def __init__(self) -> None:
        super().__init__()
        self.away = True

    def send(self, body: bytes, timeout: float) -> Outcome:
        return Retry("away", after=0.01) if self.away else super().send(body, timeout)


def test_a_task_waits_once_for_a_collector_that_is_away(make_app: Callable[..., App]) -> None:
    """While older events wait, a task does not wait at its end; they are sent when it is back."""
    transport = Away()
    app = make_app(transport=transport)
    first = begin(app, seconds=0.01)
    log_call(app.client)
    first.end()
    second = begin(app, seconds=3_600.0)
    log_call(app.client)
    second.end()

    transport.away = False

    transport.wait_for_events(2)


def test_a_task_does_not_wait_beyond_its_time_limit(make_app: Callable[..., App]) -> None:
    """What is left of the limit, less half a second, bounds the waiting."""
    app = make_app(transport=Away())
    task = begin(app, seconds=3_600.0, limit=0.2)
    log_call(app.client)

    task.end()

    assert app.transport.events == []


def test_a_limit_that_is_no_number_is_none(app: App) -> None:
    """A message may tell any limit: the task's own bound holds then."""
    task = begin(app, limit="soon")
    log_call(app.client)

    task.end()

    assert len(app.transport.events) == 1


def test_a_failure_of_ours_leaves_the_task_where_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The task runs, and warnings say what failed."""

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(_tasks, "run_of", fail)
    with watchllm.testing.capture() as events:
        client = watchllm.get_client()
        monkeypatch.setattr(client, "flush", fail)
        task = begin(None)
        log_call(client)
        task.end()
        monkeypatch.undo()

    assert "A task is in no run: RuntimeError: ours" in caplog.text
    assert "What was logged waits longer: RuntimeError: ours" in caplog.text
    assert [event["run_id"] for event in events] == ["run-1"]


def test_without_a_client_there_is_nothing_to_send() -> None:
    """A task of a process that logs nothing makes no client, and waits for nothing."""
    with watchllm.testing.capture():
        assert flush(None, 3_600.0)


def test_a_client_of_its_own_is_sent(app: App) -> None:
    """A client that is given is flushed, not that of the process."""
    log_call(app.client)

    assert flush(app.client, 30.0)
    assert len(app.transport.events) == 1
