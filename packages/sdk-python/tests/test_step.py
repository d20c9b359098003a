"""`@step` records what a function does as an agent's step."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Any

import pytest
from conftest import breaches, log_call

from watchllm import StepType, WatchLLMClient, step, trace
from watchllm import _default as default_client
from watchllm._step import MOST_ITEMS

if TYPE_CHECKING:
    from typing import AsyncGenerator, Callable, Generator, Iterator

    from conftest import App

    from watchllm.testing import CapturedEvents


def test_a_call_is_a_step_with_inputs_output_and_time(app: App) -> None:
    """A step has the name and type given, arguments by name, the result, and no error."""

    @step("search", StepType.TOOL_CALL, client=app.client)
    def find(query: str, *, limit: int = 3, **more: Any) -> list[str]:
        return [query] * limit

    with trace("run-t", user_id="ada", tags=["beta"], release="1"):
        assert find("rome", limit=2, page=1) == ["rome", "rome"]

    event = app.sent_one()
    assert (event["step_name"], event["step_type"], event["step_number"]) == (
        "search",
        "tool_call",
        1,
    )
    assert event["input_data"] == {"query": "rome", "limit": 2, "more": {"page": 1}}
    assert event["output_data"] == {"result": ["rome", "rome"]}
    assert (event["run_id"], event["user_id"], event["tags"], event["release"]) == (
        "run-t",
        "ada",
        ["beta"],
        "1",
    )
    assert event["status"] == "success"
    assert event["latency_ms"] >= 0
    assert "error" not in event


def test_what_happens_inside_a_step_is_below_it(app: App) -> None:
    """Calls and steps inside name the step as their parent; steps of a run are counted."""

    @step("inner", client=app.client)
    def inner() -> None:
        log_call(app.client, run_id=None, prompt="call")

    @step("outer", client=app.client)
    def outer() -> None:
        inner()
        with trace(tags=["nested"]):
            inner()
        with trace("another run"):
            log_call(app.client, run_id=None, prompt="elsewhere")

    with trace("run-t"):
        outer()

    call, first, _, second, elsewhere, top = app.sent()
    assert call["parent_event_id"] == first["event_id"]
    assert first["parent_event_id"] == second["parent_event_id"] == top["event_id"]
    assert "parent_event_id" not in top
    assert "parent_event_id" not in elsewhere
    assert [event["step_number"] for event in (first, second, top)] == [1, 2, 3]


def test_a_step_outside_of_a_trace_is_a_run(app: App) -> None:
    """What is logged inside is in the same run, whose id was made for it."""

    @step(client=app.client)
    def alone() -> None:
        log_call(app.client, run_id=None)

    alone()
    call, event = app.sent()

    assert event["run_id"] == call["run_id"]
    assert event["run_id"].startswith("run-")
    assert (event["step_name"], event["step_type"]) == ("alone", "reasoning")
    assert breaches(event) == breaches(call) == []


def test_an_exception_is_recorded_and_goes_on(app: App) -> None:
    """The step has the status and the traceback; the caller gets the same exception object."""
    error = ValueError("no such city")

    @step(client=app.client)
    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no such city") as caught:
        fail()

    event = app.sent_one()
    assert caught.value is error
    assert (event["status"], event["error"]["type"]) == ("error", "ValueError")
    assert "test_step.py" in event["error"]["stack"]


class APITimeoutError(Exception):
    """A time-out as a client of a provider names it."""


@pytest.mark.parametrize("error", [APITimeoutError(), TimeoutError(), asyncio.TimeoutError()])
def test_a_timeout_has_its_own_status(app: App, error: Exception) -> None:
    """Whatever is named a time-out is one."""

    @step(client=app.client)
    async def late() -> None:
        raise error

    with pytest.raises(type(error)):
        asyncio.run(late())

    assert app.sent_one()["status"] == "timeout"


def test_arguments_are_those_of_the_call(app: App) -> None:
    """What the function changes in its arguments is not in its inputs."""

    @step(client=app.client)
    def append(state: dict[str, list[int]]) -> dict[str, list[int]]:
        state["items"].append(2)
        return state

    assert append({"items": [1]}) == {"items": [1, 2]}
    event = app.sent_one()
    assert event["input_data"] == {"state": {"items": [1]}}
    assert event["output_data"] == {"items": [1, 2]}


def test_a_method_leaves_its_object_out(app: App) -> None:
    """`self` and `cls` are no inputs."""

    class Agent:
        @step(client=app.client)
        def act(self, goal: str) -> str:
            return goal

        @classmethod
        @step(client=app.client)
        def make(cls, goal: str) -> str:
            return goal

    assert Agent().act("a") + Agent.make("b") == "ab"
    assert [event["input_data"] for event in app.sent()] == [{"goal": "a"}, {"goal": "b"}]


def test_static_and_class_methods_may_be_below(app: App) -> None:
    """A step or a trace above `@staticmethod` or `@classmethod` leaves the method what it is."""

    class Agent:
        @step("static", client=app.client)
        @staticmethod
        def static(goal: str) -> str:
            return goal

        @trace("run-t")
        @step("of class", client=app.client)
        @classmethod
        def of_class(cls, goal: str) -> str:
            return goal + cls.__name__

    assert Agent().static("a") + Agent.of_class("b") == "abAgent"
    assert [(event["step_name"], event["input_data"]) for event in app.sent()] == [
        ("static", {"goal": "a"}),
        ("of class", {"goal": "b"}),
    ]


def test_wrong_arguments_raise_what_they_always_raise(app: App) -> None:
    """A call that does not fit raises TypeError, and is recorded with what it was given."""

    @step(client=app.client)
    def one(argument: int) -> int:
        return argument

    with pytest.raises(TypeError, match="one\\(\\) got an unexpected keyword argument 'other'"):
        one(1, other=2)  # type: ignore[call-arg] # on purpose

    event = app.sent_one()
    assert event["input_data"] == {"args": [1], "other": 2}
    assert event["status"] == "error"


def test_a_function_without_a_signature_has_its_arguments_in_order(app: App) -> None:
    """Some built-in functions do not tell their parameters."""
    largest = step("largest", client=app.client)(max)

    assert largest(1, 2) == 2
    assert app.sent_one()["input_data"] == {"args": [1, 2]}


def test_a_callable_object_goes_by_its_class(app: App) -> None:
    """A step without a name has that of the function, or of the object's class."""

    class Tool:
        def __call__(self) -> str:
            return "done"

    assert step(client=app.client)(Tool())() == "done"
    assert app.sent_one()["step_name"] == "Tool"


def test_a_generator_of_texts_is_one_text(app: App) -> None:
    """A stream of texts is recorded when it ends, put together; its result stands beside it."""

    @step(client=app.client)
    def words() -> Any:
        yield "Rome "
        yield "is sunny."
        return 2

    assert "".join(words()) == "Rome is sunny."
    event = app.sent_one()
    assert event["output_data"] == {"text": "Rome is sunny.", "result": 2}


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_a_generator_that_is_left_early_is_recorded(app: App, leave: str) -> None:
    """Closed or dropped, it is a success that says so, with the items handed out so far."""

    @step(client=app.client)
    def numbers() -> Generator[int, None, None]:
        yield 1
        yield 2

    with trace("run-t"):
        running = numbers()
        next(running)
    with trace("another run", user_id="bob"):
        if leave == "close":
            running.close()
        del running
        gc.collect()

    event = app.sent_one()
    assert (event["run_id"], event["status"]) == ("run-t", "success")
    assert event["output_data"] == {"items": [1]}
    assert event["context"] == {"closed_early": True}
    assert "user_id" not in event


def test_an_async_generator_is_a_step_too(app: App) -> None:
    """Its items are recorded when it ends."""

    @step(client=app.client)
    async def numbers() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    async def all_of_them() -> list[int]:
        return [number async for number in numbers()]

    assert asyncio.run(all_of_them()) == [1, 2]
    assert app.sent_one()["output_data"] == {"items": [1, 2]}


def test_a_long_generator_keeps_its_first_items(app: App) -> None:
    """Beyond a thousand items only their number is kept."""

    @step(client=app.client)
    def numbers() -> Iterator[int]:
        yield from range(MOST_ITEMS + 2)

    assert sum(1 for _ in numbers()) == MOST_ITEMS + 2
    outputs = app.sent_one()["output_data"]
    assert (len(outputs["items"]), outputs["items_left_out"]) == (MOST_ITEMS, 2)


def test_a_cancelled_step_is_an_error_of_that_name(app: App) -> None:
    """Cancelling a task records CancelledError, and the task is cancelled."""

    @step(client=app.client)
    async def wait(started: asyncio.Event) -> None:
        started.set()
        await asyncio.Event().wait()

    async def cancelled() -> bool:
        started = asyncio.Event()
        task: asyncio.Future[None] = asyncio.ensure_future(wait(started))
        await started.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancelled())
    event = app.sent_one()
    assert (event["status"], event["error"]["type"]) == ("error", "CancelledError")


def test_without_a_client_of_its_own_a_step_uses_the_default(
    watchllm_events: CapturedEvents,
) -> None:
    """`@step` alone logs to the client of the process."""

    @step
    def alone() -> int:
        return 1

    assert alone() == 1
    assert [event["step_name"] for event in watchllm_events] == ["alone"]


def test_a_step_that_cannot_be_logged_harms_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no client can be made, and where the client fails, the function works on."""

    class Broken(WatchLLMClient):
        def __init__(self) -> None:
            """Make nothing that works."""

        def log_event(self, event: object) -> str:
            raise OSError("broken")

    def double(number: int) -> int:
        return 2 * number

    with caplog.at_level(logging.WARNING, "watchllm"):
        assert step(client=Broken())(double)(2) == 4
        monkeypatch.setattr(default_client, "default", default_client.Default())
        assert step(double)(3) == 6
        assert step(double)(4) == 8

    assert [record.getMessage().split(":")[1].strip() for record in caplog.records] == [
        "OSError",
        "ConfigurationError",
    ]


@pytest.mark.parametrize("value", [object(), b"\x00", float("nan"), {1: {2: 3}}])
def test_any_value_can_be_an_argument_and_a_result(app: App, value: Any) -> None:
    """What is no JSON is described, and conforms to the contract."""
    same: Callable[[Any], Any] = step(client=app.client)(lambda argument: argument)

    assert same(value) is value
    assert app.sent_one()["step_name"] == "<lambda>"
