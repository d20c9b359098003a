"""RQ with workers that fork and workers that do not, and a real Redis."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import watchllm
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from watchllm.integrations import _tasks
from watchllm.integrations.rq import WatchLLMJob

from conftest import EXAMPLES, blocks, log_call, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector import Collector
    from rq.job import Job
    from watchllm.testing import CapturedEvents

    from conftest import Program

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:rq",  # RQ 1.16 warns of itself
    "ignore:unclosed event loop:ResourceWarning",  # which it leaves behind
)
tries: list[int] = []


def add(one: int, other: int) -> int:
    """Log a call, and add."""
    log_call(f"{one} + {other}")
    return one + other


async def add_later(one: int, other: int) -> int:
    """Do the same as a coroutine."""
    return add(one, other)


def stubborn() -> str:
    """Fail once."""
    tries.append(1)
    log_call(f"try {len(tries)}")
    if len(tries) == 1:
        raise ValueError("the app's own")
    return "done"


def enqueue_more() -> None:
    """Enqueue another job from within one."""
    log_call("more")
    url = os.environ["RQ_REDIS_URL"]
    with Redis.from_url(url) as connection:
        Queue(connection=connection, job_class=WatchLLMJob).enqueue(add, 3, 4)


class PatientJob(WatchLLMJob):
    """A job that waits longer for what it has logged."""

    flush_seconds = 30.0


@pytest.fixture
def connection(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a connection to an empty Redis."""
    monkeypatch.setenv("RQ_REDIS_URL", redis_url)
    with Redis.from_url(redis_url) as opened:
        opened.flushall()
        yield opened


@pytest.fixture
def queue(connection: Any) -> Queue:
    """Return a queue whose jobs carry their run."""
    return Queue(connection=connection, job_class=PatientJob)


def work(queue: Queue, job_class: type[Job] = PatientJob) -> None:
    """Do all jobs of a queue in this process."""
    worker = SimpleWorker([queue], connection=queue.connection, job_class=job_class)
    worker.log.disabled = True
    worker.work(burst=True)


def test_a_job_is_in_the_run_of_whoever_enqueued_it(
    queue: Queue, watchllm_events: CapturedEvents
) -> None:
    """Run, user, tags and release go with the job, for functions and for coroutines."""
    with watchllm.trace("run-1", user_id="ada", tags=["web"], release="1.2"):
        jobs = [queue.enqueue(each, 1, 2) for each in (add, add_later)]
    work(queue)

    assert [job.latest_result().return_value for job in jobs] == [3, 3]
    assert len(watchllm_events) == 2
    for event in watchllm_events:
        assert (event["run_id"], event["user_id"]) == ("run-1", "ada")
        assert (event["tags"], event["release"]) == (["web"], "1.2")


def test_a_job_that_a_job_enqueues_and_a_retry_stay_in_the_run(
    queue: Queue, watchllm_events: CapturedEvents
) -> None:
    """The run goes on with what a job enqueues, and with a second try."""
    tries.clear()
    with watchllm.trace("run-1"):
        queue.enqueue(enqueue_more)
        queue.enqueue(stubborn, retry=Retry(max=1))
    work(queue)

    assert [event["prompt"] for event in watchllm_events] == ["more", "try 1", "3 + 4", "try 2"]
    assert {event["run_id"] for event in watchllm_events} == {"run-1"}


def test_a_job_enqueued_outside_of_a_run_is_named_by_its_id(
    queue: Queue, watchllm_events: CapturedEvents
) -> None:
    """It is found by what RQ's own log calls it."""
    job = queue.enqueue(add, 1, 2)
    work(queue)

    assert [event["run_id"] for event in watchllm_events] == [job.id]


def test_what_is_in_a_job_s_meta_does_no_harm(
    queue: Queue, watchllm_events: CapturedEvents
) -> None:
    """What cannot be read is as if not there; what the app keeps there stays."""
    job = queue.enqueue(add, 1, 2, meta={"watchllm": {"run_id": 7}, "own": "kept"}, job_timeout=-1)
    work(queue)

    assert job.latest_result().return_value == 3
    assert [event["run_id"] for event in watchllm_events] == [job.id]
    assert job.get_meta() == {"watchllm": {"run_id": 7}, "own": "kept"}


@pytest.mark.parametrize("broken", [False, True])
def test_results_and_exceptions_are_as_without_it(
    queue: Queue, watchllm_events: CapturedEvents, monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    """Also when our code is made to fail: at enqueuing, and before and after a job."""

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    if broken:
        monkeypatch.setattr("watchllm.integrations.rq.carried", fail)
        monkeypatch.setattr(_tasks, "run_of", fail)
        monkeypatch.setattr(watchllm.get_client(), "flush", fail)
    tries.clear()
    with watchllm.trace("run-1"):
        good, bad = queue.enqueue(add, 1, 2), queue.enqueue(stubborn)
    work(queue)
    monkeypatch.undo()

    assert good.latest_result().return_value == 3
    told = bad.latest_result().exc_string
    assert told.splitlines()[-1] == "ValueError: the app's own"
    assert "RuntimeError" not in told
    assert len(watchllm_events) == 2


def test_a_work_horse_of_the_example_has_sent_its_call_before_it_ends(
    start: Callable[..., Program], collector: Collector, connection: Any, redis_url: str
) -> None:
    """RQ forks for each job and ends the child without the calls at exit: nothing is lost."""
    folder = EXAMPLES / "rq"
    job_class = "watchllm.integrations.rq.WatchLLMJob"
    command = ("rq", "worker", "--url", redis_url, "--job-class", job_class)
    start(*command, folder=folder)
    program = start(sys.executable, "jobs.py", "Rome", folder=folder, RQ_REDIS_URL=redis_url)
    wait_until(lambda: program.process.poll() is not None, "no answer came")

    printed = program.end()
    collector.wait_for_events(1)

    (event,) = collector.events()
    assert printed == f"{event['run_id']}: Rome is sunny.\n"
    assert (event["user_id"], event["tags"]) == ("ada", ["jobs"])


def test_the_program_of_the_page_runs(
    load: Callable[[str, str], Any], connection: Any, watchllm_events: CapturedEvents
) -> None:
    """The queue of the how-to page has its job's call in the run of the one who enqueued it."""
    page = load(blocks("rq")[0], "page")
    queue = Queue(connection=connection, job_class=page.queue.job_class)

    with watchllm.trace("run-1"):
        job = queue.enqueue(page.answer, "2 + 2?")
    work(queue, WatchLLMJob)

    assert job.latest_result().return_value == "4"
    assert [event["run_id"] for event in watchllm_events] == ["run-1"]
