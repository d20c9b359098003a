"""The spool in memory holds what waits, and says what it dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchllm._spool import MemorySpool, Record
from watchllm._spool._memory import OVERHEAD_BYTES


def numbers(spool: MemorySpool, most: int = 100) -> list[int]:
    """Take and return the numbers of the oldest records."""
    return [record.number for record in spool.take(most, 10**9)]


def test_events_come_out_in_the_order_they_went_in() -> None:
    """Records are numbered from 1 and taken oldest first, up to the limit of events."""
    spool = MemorySpool()
    for n in range(5):
        assert spool.append(b"%d" % n) == (n + 1, 0)

    assert [record.data for record in spool.take(3, 100)] == [b"0", b"1", b"2"]
    assert [record.data for record in spool.take(3, 100)] == [b"3", b"4"]
    assert spool.take(3, 100) == []


def test_a_batch_is_limited_by_bytes_but_never_empty() -> None:
    """Events are taken up to the limit of bytes; one that is larger alone is taken alone."""
    spool = MemorySpool()
    for data in (b"x" * 50, b"x" * 40, b"x" * 10):
        spool.append(data)

    assert [len(record.data) for record in spool.take(9, 20)] == [50]
    assert [len(record.data) for record in spool.take(9, 52)] == [40, 10]


def test_beyond_its_size_the_oldest_waiting_events_are_dropped() -> None:
    """A full spool drops from the old end, says how many, and keeps what is being sent."""
    spool = MemorySpool(3 * (10 + OVERHEAD_BYTES))
    for _ in range(3):
        spool.append(b"0123456789")
    taken = spool.take(1, 100)

    assert spool.append(b"0123456789") == (2, 1)
    assert spool.queued() == 3
    spool.acknowledge(taken)
    assert numbers(spool) == [3, 4]


def test_an_event_larger_than_the_spool_is_dropped_itself() -> None:
    """What can never fit is dropped with all that had to make room."""
    spool = MemorySpool(10 + OVERHEAD_BYTES)
    spool.append(b"small")

    assert spool.append(b"x" * 11) == (0, 2)
    assert spool.queued() == 0


def test_what_is_given_back_comes_out_first_again() -> None:
    """Records given back wait again in their old order, before younger ones."""
    spool = MemorySpool()
    for _ in range(4):
        spool.append(b"x")
    first = spool.take(2, 100)
    spool.give_back(first)
    spool.give_back(first)  # twice changes nothing

    assert numbers(spool) == [1, 2, 3, 4]


def test_settled_means_that_nothing_up_to_a_number_waits_or_is_taken() -> None:
    """An event is settled once it is acknowledged, not when it is taken."""
    spool = MemorySpool()
    for _ in range(3):
        spool.append(b"x")

    assert spool.settled((0, 0))
    assert not spool.settled((0, 1))
    taken = spool.take(2, 100)
    assert not spool.settled((0, 1))
    spool.acknowledge(taken)
    assert spool.settled((0, 2))
    assert not spool.settled(spool.mark())


def test_ending_empties_the_spool_and_says_how_many_were_lost() -> None:
    """Ending counts waiting and taken events; acknowledging them later changes nothing."""
    spool = MemorySpool()
    for _ in range(3):
        spool.append(b"x")
    taken = spool.take(1, 100)

    assert spool.end() == 3
    spool.acknowledge(taken)
    spool.give_back(taken)
    assert spool.queued() == spool.waiting() == 0
    assert spool.settled((0, 3))


def test_a_child_starts_empty() -> None:
    """After a fork the child's spool holds nothing of the parent's and counts anew."""
    spool = MemorySpool()
    spool.append(b"x")
    spool.after_fork()
    spool.append(b"y")

    assert [(record.number, record.data) for record in spool.take(9, 100)] == [(1, b"y")]


@given(st.lists(st.tuples(st.sampled_from("atgk"), st.integers(1, 30)), max_size=60))
def test_no_event_is_lost_or_doubled(steps: list[tuple[str, int]]) -> None:
    """Appended = dropped + acknowledged + queued after any sequence of operations."""
    spool = MemorySpool(5 * (20 + OVERHEAD_BYTES))
    taken: list[Record] = []
    appended = dropped = acknowledged = 0
    for step, size in steps:
        if step == "a":
            appended += 1
            dropped += spool.append(b"x" * size)[1]
        elif step == "t" and not taken:
            taken = spool.take(size, 40)
        elif step == "g":
            spool.give_back(taken)
            taken = []
        elif step == "k":
            acknowledged += len(taken)
            spool.acknowledge(taken)
            taken = []

        assert appended == dropped + acknowledged + spool.queued()
