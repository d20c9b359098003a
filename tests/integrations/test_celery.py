"""Celery with workers of threads and of forked processes, and a real broker."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import watchllm
from celery import Celery, chain, chord, signals
from celery.contrib.testing.worker import start_worker
from watchllm.integrations import _tasks
from watchllm.integrations.celery import connect

from conftest import EXAMPLES, blocks, log_call, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from celery import Task
    from collector import Collector
    from watchllm.testing import CapturedEvents

    from conftest import Program

app = Celery("tests", broker="memory://", backend="cache+memory://")
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
tries: list[int] = []


@app.task
def add(one: int, other: int) -> int:
    """Log a call, and add."""
    log_call(f"{one} + {other}")
    return one + other


@app.task
def total(numbers: list[int]) -> int:
    """Log a call, and add."""
    log_call("total")
    return sum(numbers)


@app.task(bind=True, max_retries=1)
def stubborn(self: Task) -> str:
    """Fail once."""
    tries.append(1)
    log_call(f"try {len(tries)}")
    if len(tries) == 1:
        raise self.retry(countdown=0)
    return "done"


@app.task(time_limit=600)
def failing() -> None:
    """Raise."""
    log_call("failing")
    raise ValueError("the app's own")


@pytest.fixture(autouse=True)
def _connected() -> None:
    connect(flush_seconds=30.0)


@pytest.fixture(scope="module")
def _worker() -> Iterator[None]:
    with start_worker(
        app, pool="threads", concurrency=4, perform_ping_check=False, shutdown_timeout=30
    ):
        yield


@pytest.fixture
def worker(_worker: None, watchllm_events: CapturedEvents) -> CapturedEvents:
    """Have a worker of threads in this process; return what is logged."""
    return watchllm_events


def runs(events: CapturedEvents) -> set[str]:
    """Return the runs of all events."""
    return {event["run_id"] for event in events}


def test_a_task_is_in_the_run_of_whoever_sent_it(worker: CapturedEvents) -> None:
    """Run, user, tags and release go with the message, and so does the step around."""

    @watchllm.step
    def plan() -> int:
        result: int = add.delay(1, 2).get(timeout=100)
        return result

    with watchllm.trace("run-1", user_id="ada", tags=["web"], release="1.2"):
        assert plan() == 3

    (call,) = worker.of_type("prompt_call")
    (step,) = worker.of_type("agent_step")
    assert (call["run_id"], call["user_id"]) == ("run-1", "ada")
    assert (call["tags"], call["release"]) == (["web"], "1.2")
    assert call["parent_event_id"] == step["event_id"]


def test_chains_chords_and_retries_stay_in_the_run(worker: CapturedEvents) -> None:
    """What a task sends, be it itself once more, is in the task's run."""
    tries.clear()
    with watchllm.trace("run-1"):
        assert chain(add.s(1, 2), add.s(3)).delay().get(timeout=100) == 6
        assert chord([add.s(1, 1), add.s(2, 2)], total.s()).delay().get(timeout=100) == 6
        assert stubborn.delay().get(timeout=100) == "done"

    assert len(worker) == 7
    assert runs(worker) == {"run-1"}


def test_a_task_sent_outside_of_a_run_is_named_by_its_id(worker: CapturedEvents) -> None:
    """It is found by what Celery's own log calls it."""
    sent = add.delay(1, 2)
    sent.get(timeout=100)

    assert runs(worker) == {sent.id}


def test_tasks_at_once_are_each_in_their_own_run(worker: CapturedEvents) -> None:
    """Threads of one worker do not see each other's runs."""
    names = [f"run-{number}" for number in range(8)]
    sent = []
    for number, name in enumerate(names):
        with watchllm.trace(name):
            sent.append(add.delay(number, 0))
    for each in sent:
        each.get(timeout=100)

    found = {event["prompt"]: event["run_id"] for event in worker}
    assert found == {f"{number} + 0": name for number, name in enumerate(names)}


def test_a_task_called_like_a_function_is_in_the_run_around(
    watchllm_events: CapturedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`apply()` stays in the run, and whoever called it does not wait for a flush."""
    flushed: list[float] = []
    monkeypatch.setattr(watchllm.get_client(), "flush", flushed.append)
    with watchllm.trace("run-1") as run_id:
        assert add.apply((1, 2)).get() == 3
        with watchllm.trace() as after:
            assert after == run_id
    monkeypatch.undo()

    assert runs(watchllm_events) == {"run-1"}
    assert flushed == [0.0]


def test_a_message_that_anybody_sends_does_no_harm(worker: CapturedEvents) -> None:
    """A header that cannot be read is as if not there."""
    for header in ("nonsense", {"run_id": 7}, {"run_id": "r" * 100_000}, None):
        sent = add.apply_async((1, 2), headers={"watchllm": header})
        assert sent.get(timeout=100) == 3
        assert worker[-1]["run_id"] == sent.id


def test_results_and_exceptions_are_as_without_it(
    worker: CapturedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when our code is made to fail: at sending, and before and after a task."""

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    seen = []
    for broken in (False, True):
        if broken:
            monkeypatch.setattr("watchllm.integrations.celery.carried", fail)
            monkeypatch.setattr(_tasks, "run_of", fail)
            monkeypatch.setattr(watchllm.get_client(), "flush", fail)
        with watchllm.trace("run-1"):
            assert add.delay(1, 2).get(timeout=100) == 3
            with pytest.raises(ValueError, match="the app's own") as raised:
                failing.delay().get(timeout=100)
        lines = traceback.extract_tb(raised.value.__traceback__)
        seen.append([line.name for line in lines])
    monkeypatch.undo()

    assert seen[0] == seen[1]
    assert len(worker) == 4


def test_connecting_twice_connects_once(worker: CapturedEvents) -> None:
    """The last options hold, and each task is begun once."""
    connect(flush_seconds=29.0)

    receivers = [signals.task_prerun.receivers, signals.before_task_publish.receivers]
    assert add.delay(1, 2).get(timeout=100) == 3
    assert [len(those) for those in receivers] == [1, 1]
    assert len(worker) == 1


def test_a_task_that_began_before_it_was_connected_ends_as_ever() -> None:
    """Its end finds nothing that is to be left."""
    add.push_request(id="task-1")
    try:
        answers = signals.task_postrun.send(sender=add, task=add, task_id="task-1")
    finally:
        add.pop_request()

    assert [answer for _, answer in answers] == [None]


def test_a_forked_worker_sends_what_the_task_of_the_example_has_logged(
    start: Callable[..., Program], collector: Collector, redis_url: str
) -> None:
    """A pool of processes answers in the run of the program that asked, before any of them ends."""
    folder = EXAMPLES / "celery"
    command = ("celery", "-A", "tasks", "worker", "--pool", "prefork", "--concurrency", "2")
    worker = start(*command, folder=folder, CELERY_BROKER_URL=redis_url)
    program = start(sys.executable, "tasks.py", "Rome", folder=folder, CELERY_BROKER_URL=redis_url)
    wait_until(lambda: program.process.poll() is not None, "no answer came")

    printed = program.end()
    collector.wait_for_events(1)

    (call,) = collector.events()
    assert printed == f"{call['run_id']}: Rome is sunny.\n"
    assert (call["user_id"], call["tags"]) == ("ada", ["jobs"])
    assert worker.process.poll() is None


def test_the_program_of_the_page_runs(
    load: Callable[[str, str], Any], watchllm_events: CapturedEvents
) -> None:
    """The app of the how-to page has its task's call in the run of the sender."""
    page = load(blocks("celery")[0], "page")
    page.app.conf.update(
        broker_url="memory://", result_backend="cache+memory://", task_default_queue="page"
    )

    with (
        start_worker(page.app, pool="solo", perform_ping_check=False, shutdown_timeout=30),
        watchllm.trace("run-1"),
    ):
        assert page.answer.delay("2 + 2?").get(timeout=100) == "4"

    assert runs(watchllm_events) == {"run-1"}
