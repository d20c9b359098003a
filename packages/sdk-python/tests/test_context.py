"""`trace()` gives events their run."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING

from conftest import log_call

from watchllm import propagate, trace
from watchllm._context import Run, current_run, enter, leave

if TYPE_CHECKING:
    from typing import Generator

    from conftest import App


def test_events_inherit_what_they_leave_out(app: App) -> None:
    """Inside a trace an event takes run, user and tags from it unless it is given its own."""
    with trace("run-t", user_id="ada", tags=["beta"]) as run_id:
        log_call(app.client, run_id=None)
        log_call(app.client, run_id="own", user_id="bob", tags=["mine"])

    inherited, own = app.sent()
    assert run_id == "run-t"
    assert (inherited["run_id"], inherited["user_id"], inherited["tags"]) == (
        "run-t",
        "ada",
        ["beta"],
    )
    assert (own["run_id"], own["user_id"], own["tags"]) == ("own", "bob", ["mine"])


def test_nested_traces_share_the_run_and_add_their_tags(app: App) -> None:
    """A nested trace keeps run and user, adds tags, and leaves the outer one as it was."""
    with trace(user_id="ada", tags=["outer"]) as outer:
        with trace(tags="inner") as inner:
            log_call(app.client, run_id=None)
        with trace("other", user_id="bob", tags=["outer", "more"]):
            log_call(app.client, run_id=None)
        log_call(app.client, run_id=None)

    first, second, third = app.sent()
    assert inner == outer
    assert (first["run_id"], first["user_id"], first["tags"]) == (outer, "ada", ["outer", "inner"])
    assert (second["run_id"], second["user_id"], second["tags"]) == (
        "other",
        "bob",
        ["outer", "more"],
    )
    assert (third["run_id"], third["tags"]) == (outer, ["outer"])


def test_a_trace_without_id_starts_a_run_of_its_own() -> None:
    """Two outermost traces have different run ids."""
    with trace() as first:
        pass
    with trace() as second:
        pass

    assert first.startswith("run-")
    assert first != second


def test_a_trace_ends_with_an_exception_too(app: App) -> None:
    """After an error inside, the run is over, and the error goes on."""
    caught = None
    try:
        with trace("run-t"):
            raise KeyError
    except KeyError as error:
        caught = error
    log_call(app.client, run_id="later")

    assert caught is not None
    assert "user_id" not in app.sent_one()


def test_tasks_and_threads_each_have_their_own_run(app: App) -> None:
    """Concurrent asyncio tasks do not mix their runs, and a new thread is in none."""

    async def work(name: str) -> None:
        with trace(name):
            await asyncio.sleep(0)
            log_call(app.client, run_id=None, prompt=name)

    async def all_at_once() -> None:
        await asyncio.gather(*(work(f"task-{n}") for n in range(5)))

    asyncio.run(all_at_once())
    with trace("here"):
        thread = threading.Thread(target=log_call, args=(app.client,), kwargs={"user_id": "t"})
        thread.start()
        thread.join()

    *tasks, other = app.sent()
    assert all(event["run_id"] == event["prompt"] for event in tasks)
    assert other["run_id"] == "run-1"


def test_one_trace_can_be_entered_again_inside_itself(app: App) -> None:
    """Entering a trace twice and leaving it twice leaves no run behind."""
    again = trace("run-t")
    with again, again:
        log_call(app.client, run_id=None)
    log_call(app.client, run_id=None)

    inside, outside = app.sent()
    assert inside["run_id"] == "run-t"
    assert outside["run_id"] == outside["event_id"]
    assert "run_id" in outside["invalid_fields"]


def test_a_release_is_inherited_too(app: App) -> None:
    """Inside a trace an event has its release, through nested traces, unless given its own."""
    with trace("run-t", release="1.4.2"), trace():
        log_call(app.client, run_id=None)
        log_call(app.client, run_id=None, release="own")

    assert [event["release"] for event in app.sent()] == ["1.4.2", "own"]


def test_an_async_with_is_the_same(app: App) -> None:
    """`async with trace()` enters the run and leaves it."""

    async def work() -> str:
        async with trace("run-t") as run_id:
            log_call(app.client, run_id=None)
        return run_id

    assert asyncio.run(work()) == "run-t"
    assert app.sent_one()["run_id"] == "run-t"


def test_tasks_may_share_a_trace_and_leave_it_in_any_order(app: App) -> None:
    """Each task gets back the run that it was in, though the first to enter leaves first."""
    shared = trace(tags=["shared"])

    async def work(name: str, enter: asyncio.Event, leave: asyncio.Event) -> None:
        with trace(name):
            with shared:
                enter.set()
                await leave.wait()
            log_call(app.client, run_id=None, prompt=name)

    async def both() -> None:
        entered, left, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        first = asyncio.ensure_future(work("first", entered, go))
        await entered.wait()
        second = asyncio.ensure_future(work("second", left, asyncio.Event()))
        await left.wait()
        go.set()
        await first
        second.cancel()
        await asyncio.wait([second])

    asyncio.run(both())

    assert [(event["run_id"], event["tags"]) for event in app.sent()] == [("first", [])]


def test_a_trace_that_ends_after_one_left_open_restores_the_run_around(app: App) -> None:
    """A trace that a generator left open inside does not outlive the trace around it."""

    def generator() -> Generator[None, None, None]:
        with trace("left open"):
            yield

    kept = generator()
    with trace("outer"):
        with trace("inner"):
            next(kept)
        log_call(app.client, run_id=None)
    kept.close()

    assert app.sent_one()["run_id"] == "outer"
    assert current_run() is None


def test_a_copied_context_takes_the_run_to_a_thread(app: App) -> None:
    """A thread that runs in a copy of the context is in the run of who copied it."""
    with trace("run-t", user_id="ada"):
        context = copy_context()
    thread = threading.Thread(
        target=context.run, args=(log_call, app.client), kwargs={"run_id": None}
    )
    thread.start()
    thread.join()

    event = app.sent_one()
    assert (event["run_id"], event["user_id"]) == ("run-t", "ada")


def test_propagate_takes_the_run_to_the_threads_of_a_pool(app: App) -> None:
    """All calls on a pool's threads, several at once, are in the run of where it was made."""
    together = threading.Barrier(3)

    def work(name: str) -> str:
        """Log something."""
        together.wait()
        with trace(tags=[name]):
            log_call(app.client, run_id=None, prompt=name)
        return name

    with ThreadPoolExecutor(3) as pool:
        with trace("run-t") as run_id:
            inside = propagate(work)
        assert list(pool.map(inside, "abc")) == ["a", "b", "c"]

    assert (inside.__name__, inside.__doc__) == ("work", "Log something.")
    assert sorted((e["prompt"], e["run_id"], e["tags"]) for e in app.sent()) == [
        (name, run_id, [name]) for name in "abc"
    ]


def test_a_run_that_is_over_is_current_nowhere() -> None:
    """Left in another context and order than it was entered, it gives way to what is around."""
    with trace("around"):
        outer, inner = Run("outer"), Run("inner")
        enter(outer)
        enter(inner)
        copy_context().run(leave, outer)
        inside = current_run()
        leave(inner)
        after = current_run()

    assert inside is inner
    assert after is not None
    assert after.run_id == "around"
    assert current_run() is None


def test_what_is_below_a_run_that_is_over_is_over() -> None:
    """The end of a step that nobody has told of is that of what was around it."""
    outer = Run("outer")
    enter(outer)
    enter(outer.below("step"))
    before = current_run()
    leave(outer)

    assert before is not None
    assert before.parent_event_id == "step"
    assert current_run() is None
