"""What has begun and not ended: in a forked child, at exit, and when a generator is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import watchllm
from watchllm._enums import StepType
from watchllm.instrumentation._call import Call, UnderWay
from watchllm.instrumentation._openai import CHAT
from watchllm.instrumentation._tree import Tree

if TYPE_CHECKING:
    from typing import Iterator

    from watchllm.testing import CapturedEvents


def test_at_exit_calls_that_are_under_way_are_logged(watchllm_events: CapturedEvents) -> None:
    """Once, though their streams are dropped a moment later."""
    calls = UnderWay()
    call = Call(CHAT, {"model": "m"})
    calls.calls.add(call)
    calls.end()
    call.end(ended="dropped")

    (event,) = watchllm_events.all()
    assert event["response_metadata"]["ended"] == "dropped"


def test_in_a_child_calls_of_the_parent_are_not_logged(watchllm_events: CapturedEvents) -> None:
    """The child may drop copies of their streams, or end."""
    calls = UnderWay()
    call = Call(CHAT, {"model": "m"})
    calls.calls.add(call)
    calls.after_fork()
    call.end(ended="dropped")

    assert watchllm_events.all() == []


def test_a_coroutine_that_is_closed_has_left_its_call(watchllm_events: CapturedEvents) -> None:
    """The end of an event loop is no error of the provider."""

    def ask() -> Iterator[None]:
        with Call(CHAT, {"model": "m"}):
            yield

    waiting = ask()
    next(waiting)
    del waiting

    (event,) = watchllm_events.all()
    assert event["status"] == "success"
    assert event["response_metadata"]["ended"] == "closed early"


def test_what_is_open_in_a_tree_is_the_parents(watchllm_events: CapturedEvents) -> None:
    """A child of a fork logs below it, and not its end."""
    tree = Tree(None)
    tree.begin("call", None, "model", new_run="r")
    tree.begin("step", None, "tool", new_run="r").enter()
    tree.after_fork()
    watchllm.get_client().log_error(None, "in the child")
    tree.end_call("call", {})
    tree.end_step("step", StepType.TOOL_CALL)
    watchllm.get_client().log_error(None, "later")

    inside, later = watchllm_events.all()
    assert inside["event_type"] == later["event_type"] == "error"
    assert inside["run_id"] == "r"
    assert "parent_event_id" in inside
    assert "parent_event_id" not in later
