"""Calls in flight: of equal requests at the same time, one is made, and the others follow it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

MAX_KEPT: Final = 4_000_000
"""Bytes of a stream that are kept for those who follow late or read slowly."""

HeadT = TypeVar("HeadT")
ResultT = TypeVar("ResultT")


class FlightLostError(Exception):
    """Say that the call of the leader broke off, or ran ahead, after a part of it was passed on."""


class _Flight(Generic[HeadT, ResultT]):
    """One call and those who wait for it."""

    def __init__(self) -> None:
        self.head: HeadT | None = None
        self.result: ResultT | None = None
        self.ended = False
        # What a stream has said, but for the chunks before `dropped`.
        self.chunks: deque[bytes] = deque()
        self.dropped = 0
        self.size = 0
        # In the order in which they came: the first of them leads after a cancelled leader.
        self.followers: dict[Follower[HeadT, ResultT], None] = {}

    def wake(self) -> None:
        """Let every follower look again."""
        for follower in self.followers:
            follower.news.set()


class Flights(Generic[HeadT, ResultT]):
    """Bring together requests of one key. Used by one event loop.

    `HeadT` is what followers must know before the first byte, `ResultT` what the whole call came
    to; neither is ever None, and this knows nothing of either. `max_kept` bounds the bytes kept of
    each stream.
    """

    def __init__(self, *, max_kept: int = MAX_KEPT) -> None:
        self._flights: dict[bytes, _Flight[HeadT, ResultT]] = {}
        self._max_kept = max_kept

    def __len__(self) -> int:
        """Return how many calls others can follow now."""
        return len(self._flights)

    def join(self, key: bytes) -> Leader[HeadT, ResultT] | Follower[HeadT, ResultT]:
        """Return the seat of the request: the leader's, which makes the call, or a follower's.

        Either is a context manager, which must be left, however the request ends.
        """
        flight = self._flights.get(key)
        if flight is None:
            return self._lead(key, _Flight())
        follower = Follower(self, key, flight)
        flight.followers[follower] = None
        return follower

    def _lead(self, key: bytes, flight: _Flight[HeadT, ResultT]) -> Leader[HeadT, ResultT]:
        self._flights[key] = flight
        return Leader(self, key, flight)

    def _lead_alone(self, key: bytes) -> Leader[HeadT, ResultT]:
        """Return the seat of a flight that nobody else can find."""
        return Leader(self, key, _Flight())

    def _feed(self, key: bytes, flight: _Flight[HeadT, ResultT], chunk: bytes) -> None:
        flight.chunks.append(chunk)
        flight.size += len(chunk)
        if flight.size > self._max_kept:
            # Nobody can begin to follow any more; who follows, and keeps up, goes on.
            self._close(key, flight)
            while flight.chunks and flight.size > self._max_kept:
                flight.size -= len(flight.chunks.popleft())
                flight.dropped += 1
        flight.wake()

    def _land(self, key: bytes, flight: _Flight[HeadT, ResultT], result: ResultT) -> None:
        flight.result = result
        flight.ended = True
        self._close(key, flight)
        flight.wake()

    def _lose(self, key: bytes, flight: _Flight[HeadT, ResultT], *, failed: bool) -> None:
        """End a flight that came to nothing, and seat those of its followers who can start over.

        Where the call failed, each makes its own at once: one after the other, the last would wait
        for as many time-outs as there are followers. Where the leader alone gave up, the first
        follower leads the others.
        """
        flight.ended = True
        self._close(key, flight)
        waiting = [follower for follower in flight.followers if not follower.passed]
        if failed:
            for follower in waiting:
                follower.promotion = self._lead_alone(key)
        for follower in [] if failed else waiting:
            current = self._flights.get(key)
            if current is None:
                follower.promotion = self._lead(key, _Flight())
            else:
                follower.move_to(current)
        flight.wake()

    def _close(self, key: bytes, flight: _Flight[HeadT, ResultT]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


class Leader(Generic[HeadT, ResultT]):
    """Make the call and tell the followers of it.

    Left without `land`, the call counts as failed after an Exception or `fail`, and else as given
    up: by a cancellation, or because the client is gone.
    """

    def __init__(
        self, flights: Flights[HeadT, ResultT], key: bytes, flight: _Flight[HeadT, ResultT]
    ) -> None:
        self._flights = flights
        self._key = key
        self._flight = flight

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._flight.ended:
            failed = kind is not None and issubclass(kind, Exception)
            self._flights._lose(self._key, self._flight, failed=failed)  # noqa: SLF001 - one piece

    @property
    def followers(self) -> int:
        """Return how many follow now: while there are any, the call is worth going on with."""
        return len(self._flight.followers)

    def begin(self, head: HeadT) -> None:
        """Tell what is known before the first byte."""
        self._flight.head = head
        self._flight.wake()

    def feed(self, chunk: bytes) -> None:
        """Pass on the next bytes of the answer."""
        if not self._flight.ended:
            self._flights._feed(self._key, self._flight, chunk)  # noqa: SLF001 - one piece

    def land(self, result: ResultT) -> None:
        """End the call with what it came to, which every follower takes for its own."""
        if not self._flight.ended:
            self._flights._land(self._key, self._flight, result)  # noqa: SLF001 - one piece

    def fail(self) -> None:
        """End a call that nobody should follow: each follower makes its own."""
        if not self._flight.ended:
            self._flights._lose(self._key, self._flight, failed=True)  # noqa: SLF001 - one piece


class Follower(Generic[HeadT, ResultT]):
    """Wait for what the leader's call tells. One task uses it.

    Each method may return a Leader in place of what it waits for: then the request makes the call
    itself, in that seat, as if it had been the first.
    """

    def __init__(
        self, flights: Flights[HeadT, ResultT], key: bytes, flight: _Flight[HeadT, ResultT]
    ) -> None:
        self._flights = flights
        self._key = key
        self._flight = flight
        self.news = asyncio.Event()
        self.promotion: Leader[HeadT, ResultT] | None = None
        self.passed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flight.followers.pop(self, None)
        if self.promotion is not None:
            # Has no effect once the call was made; else the seat goes to the next.
            self.promotion.__exit__(kind, error, trace)

    def move_to(self, flight: _Flight[HeadT, ResultT]) -> None:
        """Follow another leader's flight. The flights call it."""
        self._flight = flight
        self._flight.followers[self] = None
        self.news.set()

    async def head(self) -> HeadT | Leader[HeadT, ResultT]:
        """Return what the leader knows before the first byte."""
        while self.promotion is None:
            if self._flight.head is not None:
                return self._flight.head
            await self._news()
        return self.promotion

    async def result(self) -> ResultT | Leader[HeadT, ResultT]:
        """Return what the call came to. Raises FlightLostError after a part was passed on."""
        while self.promotion is None:
            if self._flight.result is not None:
                return self._flight.result
            if self._flight.ended:
                raise FlightLostError("The call that was followed broke off.")
            await self._news()
        return self.promotion

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the answer from its first, as they come.

        Ends early when `promotion` was set before anything was passed on. Raises FlightLostError
        when the call breaks off after that, or when this is too far behind it.
        """
        place = 0
        while self.promotion is None:
            flight = self._flight
            if place < flight.dropped and not self.passed:
                self.promotion = self._flights._lead_alone(self._key)  # noqa: SLF001 - one piece
            elif place < flight.dropped:
                raise FlightLostError("The stream is too far ahead.")
            elif place - flight.dropped < len(flight.chunks):
                self.passed = True
                place += 1
                yield flight.chunks[place - 1 - flight.dropped]
            elif flight.ended:
                if flight.result is None:
                    raise FlightLostError("The call that was followed broke off.")
                return
            else:
                await self._news()

    async def _news(self) -> None:
        await self.news.wait()
        self.news.clear()
