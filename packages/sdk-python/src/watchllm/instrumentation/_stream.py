"""What a stream iterates over, observed: each item goes to the call, and the end does, however."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from watchllm.instrumentation._call import Call


class _Observed:
    """Stand for an iterator, with all else that it can do."""

    __slots__ = ("__weakref__", "_inner", "call")

    def __init__(self, inner: Any, call: Call) -> None:
        self._inner = inner
        self.call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        self.call.end(ended="dropped")


class ObservedIterator(_Observed):
    """Observe an iterator."""

    __slots__ = ()

    def __iter__(self) -> ObservedIterator:
        return self

    def __next__(self) -> Any:
        try:
            item = self._inner.__next__()
        except StopIteration:
            self.call.end()
            raise
        except BaseException as error:
            self.call.end(error)
            raise
        self.call.chunk(item)
        return item


class ObservedAsyncIterator(_Observed):
    """Observe an asynchronous iterator."""

    __slots__ = ()

    def __aiter__(self) -> ObservedAsyncIterator:
        return self

    async def __anext__(self) -> Any:
        try:
            item = await self._inner.__anext__()
        except StopAsyncIteration:
            self.call.end()
            raise
        except BaseException as error:
            self.call.end(error)
            raise
        self.call.chunk(item)
        return item
