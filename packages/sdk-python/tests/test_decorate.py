"""A decorated function of any kind behaves as before, inside a run."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from conftest import log_call

from watchllm import trace
from watchllm._context import current_run

if TYPE_CHECKING:
    from typing import AsyncGenerator, Callable, Generator, Iterator

    from conftest import App


def run_id() -> str | None:
    """Return the run that is current."""
    run = current_run()
    return run.run_id if run else None


def steps(generator: Generator[Any, Any, Any], *given: Any) -> list[tuple[str, Any]]:
    """Drive a generator by sending, throwing and closing; return what came of each."""
    seen: list[tuple[str, Any]] = []
    for value in (None, *given):
        try:
            if value is GeneratorExit:
                seen.append(("closed", generator.close()))  # type: ignore[func-returns-value] # of 3.13 on it does
            elif isinstance(value, BaseException):
                seen.append(("item", generator.throw(value)))
            else:
                seen.append(("item", generator.send(value)))
        except StopIteration as stop:
            seen.append(("returned", stop.value))
        except BaseException as error:
            seen.append((type(error).__name__, repr(error.__context__)))
        seen.append(("outside", run_id()))
    return seen


async def async_steps(generator: AsyncGenerator[Any, Any], *given: Any) -> list[tuple[str, Any]]:
    """Drive an async generator likewise."""
    seen: list[tuple[str, Any]] = []
    for value in (None, *given):
        try:
            if value is GeneratorExit:
                await generator.aclose()
                seen.append(("closed", None))
            elif isinstance(value, BaseException):
                seen.append(("item", await generator.athrow(value)))
            else:
                seen.append(("item", await generator.asend(value)))
        except StopAsyncIteration:
            seen.append(("returned", None))
        except BaseException as error:
            seen.append((type(error).__name__, repr(error.__context__)))
        seen.append(("outside", run_id()))
    return seen


def talk() -> Generator[Any, Any, str]:
    """Hand out what it is sent and what is thrown in, and end when told."""
    given: Any = "first"
    while given != "stop":
        try:
            given = yield given
        except KeyError as error:
            given = repr(error)
        if given == "fail":
            raise ValueError(given)
    return "done"


def stubborn() -> Generator[str, None, None]:
    """Go on when it is closed, once."""
    try:
        yield "item"
    except GeneratorExit:
        yield "no"


async def async_talk() -> AsyncGenerator[Any, Any]:
    """Do the same as `talk`, with other tasks in between."""
    given: Any = "first"
    while given != "stop":
        await asyncio.sleep(0)
        try:
            given = yield given
        except KeyError as error:
            given = repr(error)
        if given == "fail":
            raise ValueError(given)


async def async_stubborn() -> AsyncGenerator[str, None]:
    """Go on when it is closed, once."""
    try:
        yield "item"
    except GeneratorExit:
        yield "no"


TALKS: list[tuple[Any, ...]] = [
    ("hello", KeyError("thrown"), "more", "stop", "late"),
    ("hello", "fail", "late"),
    (RuntimeError("not caught"), "late"),
    ("hello", GeneratorExit, "late"),
    (GeneratorExit, "late"),
]


@pytest.mark.parametrize("given", TALKS)
@pytest.mark.parametrize("body", [talk, stubborn])
def test_a_generator_is_driven_as_before(
    body: Callable[[], Generator[Any, Any, Any]], given: tuple[Any, ...]
) -> None:
    """Items, results, errors and their contexts are those of the bare generator."""
    assert steps(trace("run-t")(body)(), *given) == steps(body(), *given)


@pytest.mark.parametrize("given", TALKS)
@pytest.mark.parametrize("body", [async_talk, async_stubborn])
def test_an_async_generator_is_driven_as_before(
    body: Callable[[], AsyncGenerator[Any, Any]], given: tuple[Any, ...]
) -> None:
    """Items, ends, errors and their contexts are those of the bare async generator."""

    async def both() -> tuple[Any, Any]:
        return await async_steps(trace("run-t")(body)(), *given), await async_steps(body(), *given)

    decorated, bare = asyncio.run(both())
    assert decorated == bare


def test_all_four_kinds_run_inside_and_keep_their_kind(app: App) -> None:
    """A function, a coroutine, a generator and an async generator each log into the run."""

    def log(name: str) -> None:
        log_call(app.client, run_id=None, prompt=name)

    @trace("run-t")
    def function() -> str:
        """Log."""
        log("function")
        return "result"

    @trace("run-t")
    async def coroutine() -> str:
        await asyncio.sleep(0)
        log("coroutine")
        return "result"

    @trace("run-t")
    def generator() -> Iterator[int]:
        log("generator")
        yield 1
        log("generator")

    @trace("run-t")
    async def async_generator() -> AsyncGenerator[int, None]:
        log("async generator")
        yield 1
        log("async generator")

    async def items() -> list[int]:
        return [item async for item in async_generator()]

    assert (function(), asyncio.run(coroutine())) == ("result", "result")
    assert (list(generator()), asyncio.run(items())) == ([1], [1])
    assert (function.__name__, function.__doc__) == ("function", "Log.")
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
    assert [(event["prompt"], event["run_id"]) for event in app.sent()] == [
        (name, "run-t")
        for name in ("function", "coroutine", *["generator"] * 2, *["async generator"] * 2)
    ]


def test_a_function_and_a_coroutine_that_raise_leave_the_run(app: App) -> None:
    """The exception is the same object, and the run is over."""
    error = KeyError("lost")

    @trace("run-t")
    def function() -> None:
        raise error

    @trace("run-t")
    async def coroutine() -> None:
        raise error

    for call in (function, lambda: asyncio.run(coroutine())):
        with pytest.raises(KeyError) as caught:
            call()
        assert caught.value is error
        assert run_id() is None


def test_each_call_without_a_run_around_is_a_run(app: App) -> None:
    """Without a name two calls are two runs; inside another run they are in that one."""
    seen = []

    @trace()
    def work() -> None:
        seen.append(run_id())

    work()
    work()
    with trace("outer"):
        work()

    assert seen[0] != seen[1]
    assert seen[2] == "outer"


def test_a_run_that_a_generator_enters_is_left_wherever_it_hands_out(app: App) -> None:
    """A trace around a yield is current in the generator alone, and still is when it goes on."""
    seen = []

    @trace("outer")
    def generator() -> Iterator[None]:
        with trace("inner"):
            yield
            seen.append(run_id())
        seen.append(run_id())
        yield

    for _ in generator():
        assert run_id() is None

    assert seen == ["inner", "outer"]


def test_a_cancelled_coroutine_is_out_of_the_run(app: App) -> None:
    """Cancelling raises CancelledError as before."""

    @trace("run-t")
    async def work(started: asyncio.Event) -> None:
        started.set()
        await asyncio.Event().wait()

    async def cancelled() -> bool:
        started = asyncio.Event()
        task = asyncio.ensure_future(work(started))
        await started.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancelled())
