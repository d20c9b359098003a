"""Run the body of a function inside something, whichever of the four kinds the function is."""

from __future__ import annotations

from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncGenerator, Callable, Dict, Generator, Protocol, Tuple, TypeVar

    class Call(Protocol):
        """What is around the body of one call. None of its methods raises."""

        def resume(self) -> None:
            """Begin, or go on after an item."""
            ...

        def pause(self) -> None:
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
        call.resume()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call.pause()
            call.end(error=error)
            raise
        call.pause()
        call.end(result)
        return result

    return inside


def _coroutine(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def inside(*args: Any, **kwargs: Any) -> Any:
        call = begin(args, kwargs)
        call.resume()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            call.pause()
            call.end(error=error)
            raise
        call.pause()
        call.end(result)
        return result

    return inside


def _generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def inside(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = begin(args, kwargs)
        body = function(*args, **kwargs)
        go_on, given = body.send, None
        left: GeneratorExit | None = None
        while True:
            call.resume()
            try:
                item = go_on(given)
            except StopIteration as stop:
                call.pause()
                call.end(stop.value)
                return stop.value
            except BaseException as error:
                call.pause()
                call.end(error=error)
                raise
            call.pause()
            call.item(item)
            go_on = body.send
            try:
                given = yield item
            except BaseException as thrown:
                # Passed on outside of this block: what the body raises then has no context more.
                go_on, given = body.throw, thrown
                left = thrown if isinstance(thrown, GeneratorExit) else None
            if left is not None:
                call.resume()
                try:
                    body.close()
                except BaseException as error:
                    call.pause()
                    call.end(error=error)
                    raise
                call.pause()
                call.end(error=left)
                raise left

    return inside


def _async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def inside(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = begin(args, kwargs)
        body = function(*args, **kwargs)
        go_on, given = body.asend, None
        left: GeneratorExit | None = None
        while True:
            call.resume()
            try:
                item = await go_on(given)
            except StopAsyncIteration:
                call.pause()
                call.end()
                return
            except BaseException as error:
                call.pause()
                call.end(error=error)
                raise
            call.pause()
            call.item(item)
            go_on = body.asend
            try:
                given = yield item
            except BaseException as thrown:
                # Passed on outside of this block: what the body raises then has no context more.
                go_on, given = body.athrow, thrown
                left = thrown if isinstance(thrown, GeneratorExit) else None
            if left is not None:
                call.resume()
                try:
                    await body.aclose()
                except BaseException as error:
                    call.pause()
                    call.end(error=error)
                    raise
                call.pause()
                call.end(error=left)
                raise left

    return inside
