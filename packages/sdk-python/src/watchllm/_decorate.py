"""Run the body of a function inside something, whichever of the four kinds the function is."""

from __future__ import annotations

from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncGenerator, Callable, Dict, Generator, Protocol, Tuple, TypeVar

    class Call(Protocol):
        """What is around the body of one call. None of its methods raises."""

        def __enter__(self) -> None:
            """Begin, or go on after an item."""
            ...

        def __exit__(self, *_: object) -> None:
            """Hand out an item, or end."""
            ...

        def item(self, value: Any) -> None:
            """Note what a generator hands out."""
            ...

        def end(self, result: Any = None, error: BaseException | None = None) -> None:
            """Note how the call ended; with GeneratorExit: nobody asked it to go on."""
            ...

    Function = TypeVar("Function", bound=Callable[..., Any])
    Begin = Callable[[Tuple[Any, ...], Dict[str, Any]], Call]


def decorate(function: Function, begin: Begin) -> Function:
    """Return the function so that each call runs inside what `begin` makes of its arguments.

    The kind of the function stays: who asks whether it is a coroutine function, or a generator's,
    gets the answer of before. So do results, exceptions and what is sent or thrown in.
    """
    if isinstance(function, (staticmethod, classmethod)):
        # Decorated below the method that it is in a class, not above.
        inner: Any = type(function)(decorate(function.__func__, begin))
        return inner
    wrapper: Any
    if isasyncgenfunction(function):
        wrapper = _async_generator(function, begin)
    elif iscoroutinefunction(function):
        wrapper = _coroutine(function, begin)
    elif isgeneratorfunction(function):
        wrapper = _generator(function, begin)
    else:
        wrapper = _function(function, begin)
    decorated: Any = wraps(function)(wrapper)
    return decorated  # type: ignore[no-any-return] # its parameters and its result are the same


def _function(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def inside(*args: Any, **kwargs: Any) -> Any:
        call = begin(args, kwargs)
        try:
            with call:
                result = function(*args, **kwargs)
        except BaseException as error:
            call.end(error=error)
            raise
        call.end(result)
        return result

    return inside


def _coroutine(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def inside(*args: Any, **kwargs: Any) -> Any:
        call = begin(args, kwargs)
        try:
            with call:
                result = await function(*args, **kwargs)
        except BaseException as error:
            call.end(error=error)
            raise
        call.end(result)
        return result

    return inside


def _generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def inside(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = begin(args, kwargs)
        body = function(*args, **kwargs)

        def leave(left: GeneratorExit) -> None:
            body.close()
            raise left

        go_on, given = body.send, None
        while True:
            try:
                with call:
                    item = go_on(given)
            except StopIteration as stop:
                call.end(stop.value)
                return stop.value
            except BaseException as error:
                call.end(error=error)
                raise
            call.item(item)
            go_on = body.send
            try:
                given = yield item
            except BaseException as thrown:
                # Passed on outside of this block: what the body raises then has no context more.
                go_on = leave if isinstance(thrown, GeneratorExit) else body.throw
                given = thrown

    return inside


def _async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def inside(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = begin(args, kwargs)
        body = function(*args, **kwargs)

        async def leave(left: GeneratorExit) -> None:
            await body.aclose()
            raise left

        go_on, given = body.asend, None
        while True:
            try:
                with call:
                    item = await go_on(given)
            except StopAsyncIteration:
                call.end()
                return
            except BaseException as error:
                call.end(error=error)
                raise
            call.item(item)
            go_on = body.asend
            try:
                given = yield item
            except BaseException as thrown:
                # Passed on outside of this block: what the body raises then has no context more.
                go_on = leave if isinstance(thrown, GeneratorExit) else body.athrow
                given = thrown

    return inside
