"""Equal requests at the same time: one call is made, and nobody who follows it is left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keeping import key
from watchllm_server.cache.flights import FlightLostError, Flights, Follower, Leader

if TYPE_CHECKING:
    from collections.abc import Coroutine

KEY = key("request")
StrFlights = Flights[str, str]


def run(story: Coroutine[None, None, None]) -> None:
    """Run a story, which hangs only if somebody is stranded."""
    asyncio.run(asyncio.wait_for(story, 20))


def lead(flights: StrFlights) -> Leader[str, str]:
    """Join, and be the leader."""
    seat = flights.join(KEY)
    assert isinstance(seat, Leader)
    return seat


def follow(flights: StrFlights) -> Follower[str, str]:
    """Join, and be a follower."""
    seat = flights.join(KEY)
    assert isinstance(seat, Follower)
    return seat


async def turns(count: int = 3) -> None:
    """Let the other tasks go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def read(follower: Follower[str, str]) -> list[bytes]:
    """Return all chunks of the stream that is followed."""
    return [chunk async for chunk in follower.chunks()]


def test_followers_get_what_the_call_came_to() -> None:
    """However many wait, one call is made, and its result is everyone's."""

    async def story() -> None:
        flights = StrFlights()
        with lead(flights) as leader:
            waits = [asyncio.create_task(follow(flights).result()) for _ in range(5)]
            await turns()
            assert leader.followers == 5
            leader.land("answer")

            assert await asyncio.gather(*waits) == ["answer"] * 5
        assert len(flights) == 0

    run(story())


def test_requests_of_different_keys_do_not_meet() -> None:
    """Each key has a leader of its own, and once a call has ended the next one leads."""
    flights = StrFlights()

    assert isinstance(flights.join(key(1)), Leader)
    assert isinstance(flights.join(key(2)), Leader)
    assert len(flights) == 2
    lead(flights).land("answer")
    assert isinstance(flights.join(KEY), Leader)


def test_a_stream_reaches_followers_as_it_comes_from_its_first_byte() -> None:
    """Who joins late gets what has passed at once, and the rest with everyone else."""

    async def story() -> None:
        flights = StrFlights()
        with lead(flights) as leader, follow(flights) as early:
            heads = asyncio.create_task(early.head())
            await turns()
            leader.begin("200 event-stream")
            leader.feed(b"1")
            stream = early.chunks()
            assert await heads == "200 event-stream"
            assert await anext(stream) == b"1"
            leader.feed(b"2")
            assert await anext(stream) == b"2"
            with follow(flights) as late:
                assert await late.head() == "200 event-stream"
                rest = asyncio.create_task(read(late))
                await turns()
                leader.feed(b"3")
                leader.land("whole")

                assert await rest == [b"1", b"2", b"3"]
                assert [chunk async for chunk in stream] == [b"3"]
                assert await late.result() == "whole"

    run(story())


@pytest.mark.parametrize("raised", [True, False])
def test_each_follower_of_a_failed_call_makes_its_own(raised: bool) -> None:
    """Nobody waits for one time-out after the other: all lead, apart from each other."""

    async def story() -> None:
        flights = StrFlights()
        waits = []
        with pytest.raises(ConnectionError), lead(flights) as leader:  # noqa: PT012 - a story
            waits = [asyncio.create_task(follow(flights).result()) for _ in range(3)]
            await turns()
            if not raised:
                leader.fail()
            raise ConnectionError
        seats = await asyncio.gather(*waits)

        assert all(isinstance(seat, Leader) and seat.followers == 0 for seat in seats)
        assert len(flights) == 0

    run(story())


@pytest.mark.parametrize("begun", [True, False])
def test_one_follower_of_a_cancelled_call_leads_the_others(begun: bool) -> None:
    """The client of the leader goes; the one who came next makes the call for all who are left."""

    async def story() -> None:
        flights = StrFlights()

        async def give_up() -> None:
            with lead(flights) as leader:
                if begun:
                    leader.begin("200")
                    leader.feed(b"1")
                await asyncio.Event().wait()

        task = asyncio.create_task(give_up())
        await turns()
        followers = [follow(flights) for _ in range(3)]
        waits = [asyncio.create_task(follower.result()) for follower in followers]
        await turns()
        task.cancel()
        seat = await waits[0]
        assert isinstance(seat, Leader)
        assert seat.followers == 2
        assert isinstance(flights.join(KEY), Follower)
        seat.land("second")

        assert await asyncio.gather(*waits[1:]) == ["second", "second"]

    run(story())


def test_the_seat_of_a_follower_that_leaves_before_it_leads_goes_to_the_next() -> None:
    """Even one who is cancelled in the moment of being promoted strands nobody."""

    async def story() -> None:
        flights = StrFlights()
        first = lead(flights)
        second, third = follow(flights), follow(flights)
        wait = asyncio.create_task(third.result())
        await turns()
        with first:
            pass
        assert second.promotion is not None
        with second:
            pass

        assert isinstance(await wait, Leader)

    run(story())


def test_a_follower_in_the_middle_of_a_stream_learns_that_it_broke_off() -> None:
    """A second answer cannot go on where the first one ended; who has nothing yet starts over."""

    async def story() -> None:
        flights = StrFlights()
        leader = lead(flights)
        begun, fresh = follow(flights), follow(flights)
        leader.feed(b"1")
        stream = begun.chunks()
        await anext(stream)
        leader.fail()

        with pytest.raises(FlightLostError):
            await anext(stream)
        with pytest.raises(FlightLostError):
            await begun.result()
        assert await read(fresh) == []
        assert isinstance(await fresh.head(), Leader)

    run(story())


def test_what_is_kept_of_a_stream_is_bounded() -> None:
    """Beyond the bound nobody joins, who keeps up goes on, and who does not is let go."""

    async def story() -> None:
        flights: StrFlights = Flights(max_kept=10)
        leader = lead(flights)
        keeps_up, lags, waits = follow(flights), follow(flights), follow(flights)
        stream, slow = keeps_up.chunks(), lags.chunks()
        leader.feed(b"0")
        assert await anext(slow) == b"0"
        for number in range(20):
            assert await anext(stream) == b"%d" % number
            leader.feed(b"%d" % (number + 1))
        next_leader = flights.join(KEY)
        leader.land("whole")

        assert isinstance(next_leader, Leader)
        assert [chunk async for chunk in stream] == [b"20"]
        with pytest.raises(FlightLostError):
            await anext(slow)
        assert await read(waits) == []
        assert isinstance(waits.promotion, Leader)
        assert await lags.result() == "whole"

    run(story())


CALLS = st.lists(st.sampled_from(["land", "fail", "raise", "give up"]), max_size=12)
REQUESTS = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.none() | st.integers(0, 8)),
    min_size=1,
    max_size=12,
)


async def call(leader: Leader[str, str], outcome: str) -> str:
    """Make a call that comes to something, or not."""
    with leader:
        leader.begin("200")
        await turns(2)
        leader.feed(b"1")
        await turns(2)
        if outcome == "fail":
            leader.fail()
        if outcome == "raise":
            raise ConnectionError
        if outcome == "land":
            leader.land("answer")
        return outcome


async def request(flights: StrFlights, calls: list[str], start: int, stream: bool) -> str:
    """Make a request at some time, which reads the stream or waits for the whole."""
    await turns(start)
    seat = flights.join(KEY)
    if isinstance(seat, Leader):
        return await call(seat, calls.pop() if calls else "land")
    with seat:
        if stream:
            chunks = await read(seat)
            assert bool(chunks) == (seat.promotion is None)
        told = await seat.result()
        if isinstance(told, Leader):
            return await call(told, calls.pop() if calls else "land")
        return told


async def cancel(task: asyncio.Task[str], start: int) -> None:
    """Let the client of a request go at some time."""
    await turns(start)
    task.cancel()


@given(CALLS, REQUESTS)
def test_nobody_is_ever_stranded(
    calls: list[str], requests: list[tuple[int, bool, int | None]]
) -> None:
    """Whatever becomes of the calls and whoever leaves, every request that stays comes to an end.

    Each request begins at some time, reads the stream or waits for the whole, and may be cancelled.
    """
    ends: Counter[str] = Counter()

    async def story() -> None:
        flights = StrFlights()
        async with asyncio.TaskGroup() as cancelling:
            tasks = []
            for start, stream, cancelled in requests:
                tasks.append(asyncio.create_task(request(flights, calls, start, stream)))
                if cancelled is not None:
                    cancelling.create_task(cancel(tasks[-1], cancelled))
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                ends[result if isinstance(result, str) else type(result).__name__] += 1
        assert len(flights) == 0

    run(story())
    assert sum(ends.values()) == len(requests)
    assert set(ends) <= {
        *("answer", "land", "fail", "give up"),
        *("ConnectionError", "FlightLostError", "CancelledError"),
    }
