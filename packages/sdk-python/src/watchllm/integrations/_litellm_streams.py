"""LiteLLM's streams, observed: of one that the app leaves before its end it tells nobody."""

from __future__ import annotations

from weakref import WeakSet

from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.responses import streaming_iterator as responses

from watchllm._runtime import CLOCK
from watchllm.instrumentation._answer import Answer
from watchllm.instrumentation._openai import CHAT, RESPONSES
from watchllm.instrumentation._patch import Patch
from watchllm.instrumentation._tree import guard

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
_ANY_RESPONSES = responses.BaseResponsesAPIStreamingIterator
_CALLS = (
    (CustomStreamWrapper, "__anext__"),
    (responses.SyncResponsesAPIStreamingIterator, "__next__"),
    (responses.ResponsesAPIStreamingIterator, "__anext__"),
)
"""The streams that are calls, and how their next part is asked for."""


def observe(logger: Logger) -> None:
    """Tell a logger, as long as it lives, of each stream that the app leaves."""
    _loggers.add(logger)
    if not hasattr(_ANY_RESPONSES, "__del__"):
        _ANY_RESPONSES.__del__ = lambda _stream: None  # for one to be there to wrap
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
            part = original(self)
        _note(self, part)
        return part

    return method


def _async_next(original: Method, _switch: Switch) -> Method:
    async def method(self: Any) -> Any:
        with _Asking(self):
            part = await original(self)
        _note(self, part)
        return part

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


@guard("LiteLLM")
def _note(stream: Any, part: Any) -> None:
    """Read a part of a stream, unless it keeps them itself."""
    if isinstance(stream, _ANY_RESPONSES):
        answer, _ = read_of(stream)
        RESPONSES.read_chunk(answer, part)
        stream.watchllm_answer = answer


def read_of(stream: Any) -> tuple[Answer, bool]:
    """Return what was read of a stream, and whether that is all."""
    answer = getattr(stream, "watchllm_answer", None) or Answer()
    if isinstance(stream, _ANY_RESPONSES):
        return answer, stream.completed_response is not None
    for chunk in stream.chunks:
        CHAT.read_chunk(answer, chunk)
    return answer, bool(stream.sent_last_chunk)


def _leave(stream: Any, ended: str) -> None:
    # One that has its own way to the next part stands around another one, which is the call.
    is_call = any(getattr(type(stream), name, None) is getattr(kind, name) for kind, name in _CALLS)
    if is_call and not getattr(stream, "watchllm_is_asked", False):
        _tell(stream, ended, None)


def _tell(stream: Any, ended: str | None, error: BaseException | None) -> None:
    for logger in list(_loggers):
        logger.leave(stream, ended, error)


_MAKE = {
    "__next__": _next,
    "__anext__": _async_next,
    "close": _close,
    "aclose": _async_close,
    "__del__": _drop,
}
_PATCHES = [
    Patch(kind, name, make)
    for kind in (*(kind for kind, _ in _CALLS), _ANY_RESPONSES)
    for name, make in _MAKE.items()
    if name in vars(kind) or (kind is _ANY_RESPONSES and name == "__del__")
]
"""Of what there is: older versions can close fewer of them."""
