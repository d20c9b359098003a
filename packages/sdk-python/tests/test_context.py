"""`trace()` gives events their run."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from conftest import log_call

from watchllm import trace

if TYPE_CHECKING:
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
