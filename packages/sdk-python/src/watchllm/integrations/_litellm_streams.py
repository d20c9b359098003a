"""LiteLLM's streams, observed: of one that the app leaves before its end it tells nobody."""

from __future__ import annotations

from weakref import WeakSet

from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

from watchllm._runtime import CLOCK
from watchllm.instrumentation._patch import Patch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Protocol

    from watchllm.instrumentation._patch import Switch

    Method = Callable[..., Any]

    class Logger(Protocol):
        """Who wants to know of streams that are left."""

        def leave(self, stream: Any, ended: str | None, error: BaseException | None) -> None:
            """Take a stream that was left, perhaps more than once. Never raises."""
            ...


_loggers: WeakSet[Logger] = WeakSet()


def observe(logger: Logger) -> None:
    """Tell a logger, as long as it lives, of each stream that the app leaves."""
    _loggers.add(logger)
    for patch in _PATCHES:
        patch.apply()


class _Asking:
    """What is around a request for the next part of a stream.

    At its end, and when it fails, LiteLLM closes a stream itself and tells of it: then it is being
    asked. Of an app that is interrupted while it waits, as by the end of a task, it tells nothing.
    """

    __slots__ = ("_stream",)

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> None:
        self._stream.watchllm_is_asked = True

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            self._stream.watchllm_is_asked = False
            self._stream.watchllm_read_at = CLOCK.monotonic()
        elif not isinstance(error, Exception):
            _tell(self._stream, None, error)


def _next(original: Method, _switch: Switch) -> Method:
    def method(self: Any) -> Any:
        with _Asking(self):
            return original(self)

    return method


def _async_next(original: Method, _switch: Switch) -> Method:
    async def method(self: Any) -> Any:
        with _Asking(self):
            return await original(self)

    return method


def _close(original: Method, _switch: Switch) -> Method:
    def method(self: Any) -> None:
        original(self)
        _leave(self, "closed early")

    return method


def _async_close(original: Method, _switch: Switch) -> Method:
    async def method(self: Any) -> None:
        await original(self)
        _leave(self, "closed early")

    return method


def _drop(original: Method, _switch: Switch) -> Method:
    def method(self: Any) -> None:
        original(self)
        _leave(self, "dropped")

    return method


def _leave(stream: Any, ended: str) -> None:
    # One that has its own way to the next part stands around another one, which is the call.
    is_call = type(stream).__anext__ is CustomStreamWrapper.__anext__
    if is_call and not getattr(stream, "watchllm_is_asked", False):
        _tell(stream, ended, None)


def _tell(stream: Any, ended: str | None, error: BaseException | None) -> None:
    for logger in list(_loggers):
        logger.leave(stream, ended, error)


_PATCHES = [
    Patch(CustomStreamWrapper, name, make)
    for name, make in (
        ("__next__", _next),
        ("__anext__", _async_next),
        ("close", _close),
        ("aclose", _async_close),
        ("__del__", _drop),
    )
    if name in vars(CustomStreamWrapper)  # older versions have `aclose` alone
]
