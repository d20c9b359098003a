"""Methods of a library, wrapped: what they answer goes to a call, and on to the app."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, Dict, Optional, Tuple

    from watchllm.instrumentation._call import Call
    from watchllm.instrumentation._patch import Switch

    Method = Callable[..., Any]
    Begin = Callable[[Any, Tuple[Any, ...], Dict[str, Any]], Optional[Call]]


def wrapped(
    begin: Begin, finish: Callable[[Call, Any, dict[str, Any]], Any]
) -> Callable[[Method, Switch], Method]:
    """Return what makes the method for a `Patch`.

    `begin` gets the arguments and returns the call that they ask for, None for anything else; it
    never raises. `finish` gets the result and returns what the app gets in its place.
    """

    def make(original: Method, switch: Switch) -> Method:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = begin(self, args, kwargs) if switch.on else None
            if call is None:
                return original(self, *args, **kwargs)
            with call:
                result = original(self, *args, **kwargs)
            try:
                return finish(call, result, kwargs)
            except Exception as failure:
                call.end_unread(failure)
                return result

        return method

    return make


def async_wrapped(
    begin: Begin, finish: Callable[[Call, Any, dict[str, Any]], Awaitable[Any]]
) -> Callable[[Method, Switch], Method]:
    """Return the same for a coroutine; `finish` is one too."""

    def make(original: Method, switch: Switch) -> Method:
        async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = begin(self, args, kwargs) if switch.on else None
            if call is None:
                return await original(self, *args, **kwargs)
            with call:
                result = await original(self, *args, **kwargs)
            try:
                return await finish(call, result, kwargs)
            except Exception as failure:
                call.end_unread(failure)
                return result

        return method

    return make
