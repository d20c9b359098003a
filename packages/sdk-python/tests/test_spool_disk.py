"""The spool on disk keeps what was appended, within its size, and falls back to memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spools import ALL, MEGABYTE, data, drain, files

from watchllm._spool import DiskSpool, Folder, Orphans
from watchllm._spool import _disk as disk
from watchllm._spool._segment import Segment
from watchllm.testing import ManualClock

if TYPE_CHECKING:
    from watchllm._spool import Record


def test_nothing_is_on_the_disk_before_the_first_event(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """A client that logs nothing leaves no trace."""
    spool = make()

    assert (spool.take(1, 1), spool.waiting(), spool.tidy(), spool.end()) == ([], 0, 0, 0)
    assert not os.path.exists(folder.root)


def test_events_come_out_in_the_order_they_went_in(make: Callable[..., DiskSpool]) -> None:
    """Taking goes from the oldest on, within both limits."""
    spool = make()
    for n in range(5):
        assert spool.append(b"event %d" % n) == (n + 1, 0)
    first = spool.take(2, MEGABYTE)

    assert data(first) == [b"event 0", b"event 1"]
    assert data(spool.take(ALL, 40)) == [b"event 2", b"event 3"]
    assert (spool.waiting(), spool.queued(), spool.accepted()) == (1, 5, 5)
    spool.acknowledge(first)
    assert (spool.waiting(), spool.queued(), spool.accepted()) == (1, 3, 5)
    spool.end()


def test_what_is_given_back_comes_out_first_again(make: Callable[..., DiskSpool]) -> None:
    """A batch that failed is sent before what came later."""
    spool = make()
    for n in range(4):
        spool.append(b"%d" % n)
    records = spool.take(2, MEGABYTE)
    spool.give_back(records)
    spool.give_back(records)

    assert spool.waiting() == 4
    assert data(spool.take(1, MEGABYTE)) == [b"0"]
    assert drain(spool) == [b"1", b"2", b"3"]
    spool.end()


def test_settled_means_that_nothing_up_to_a_mark_is_left(make: Callable[..., DiskSpool]) -> None:
    """A mark is settled once all before it are acknowledged, whatever came later."""
    spool = make()
    spool.append(b"a")
    mark = spool.mark()
    spool.append(b"b")
    (record,) = spool.take(1, MEGABYTE)

    assert not spool.settled(mark)
    spool.give_back([record])
    assert not spool.settled(mark)
    spool.acknowledge(spool.take(1, MEGABYTE))
    assert spool.settled(mark)
    assert not spool.settled(spool.mark())
    spool.end()


def test_the_next_process_finds_what_was_not_acknowledged(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """After the end of one process another adopts the rest, once, and cleans up behind it."""
    spool = make()
    for n in range(5):
        spool.append(b"%d" % n)
    spool.acknowledge(spool.take(2, MEGABYTE))
    spool.take(1, MEGABYTE)

    assert spool.end() == 0
    clock = ManualClock()
    orphans = Orphans(folder, clock)
    adopted = orphans.next()
    assert adopted is not None
    assert orphans.next() is None
    assert adopted.waiting() == 3
    assert drain(adopted) == [b"2", b"3", b"4"]
    adopted.end()
    assert folder.owners() == []


def test_a_spool_that_was_delivered_leaves_nothing(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """Once all is acknowledged the directory of the process is gone with its end."""
    spool = make()
    spool.append(b"a")
    assert drain(spool) == [b"a"]
    spool.end()

    assert folder.owners() == []


@pytest.mark.usefixtures("small")
def test_segments_are_deleted_as_soon_as_they_are_done(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """The disk holds what waits and little more, in whatever order it is acknowledged."""
    spool = make()
    for n in range(40):
        spool.append(b"%1000d" % n)
    assert len(files(folder)) >= 13
    batches = [spool.take(5, MEGABYTE) for _ in range(20)]
    for batch in batches:
        spool.acknowledge(batch)
        spool.tidy()

    assert sum(map(len, batches)) == 40
    assert spool.queued() == 0
    assert len(files(folder)) == 1 + disk.MOST_SPARES
    spool.append(b"on")
    assert drain(spool) == [b"on"]
    spool.end()
    assert folder.owners() == []


@pytest.mark.usefixtures("small")
def test_beyond_its_size_the_oldest_segment_gives_way(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """The oldest events are dropped and counted; what is being sent then is not sent again."""
    spool = make(max_bytes=5 * 4_096)
    taken = []
    dropped = 0
    for n in range(40):
        dropped += spool.append(b"%1000d" % n)[1]
        if n == 2:
            taken = spool.take(1, MEGABYTE)
    kept = [int(text) for text in drain(spool)]

    assert kept == list(range(40 - len(kept), 40))
    assert dropped + len(taken) + len(kept) == 40
    assert 9 <= len(kept) <= 15
    spool.acknowledge(taken)
    assert (spool.queued(), spool.fullness() <= 1.0) == (0, True)
    spool.end()
    assert folder.owners() == []


@pytest.mark.usefixtures("small")
def test_a_segment_that_gives_way_while_it_is_read_is_read_no_further(
    make: Callable[..., DiskSpool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was dropped and counted as such is not sent as well."""
    spool = make(max_bytes=2 * 4_096)
    for n in range(5):
        spool.append(b"%1000d" % n)
    read = Segment.records
    dropped: list[int] = []

    def race(segment: Segment, most: int, max_bytes: int) -> list[tuple[int, bytes | None]]:
        found = read(segment, most, max_bytes)
        if not dropped:
            dropped.append(0)
            for n in range(5, 12):
                dropped[0] += spool.append(b"%1000d" % n)[1]
        return found

    monkeypatch.setattr(Segment, "records", race)
    kept = [int(text) for text in drain(spool)]
    assert dropped[0] > 0
    assert kept == list(range(dropped[0], 12))
    spool.end()


def test_an_event_larger_than_a_segment_has_one_of_its_own(
    make: Callable[..., DiskSpool],
) -> None:
    """Large events are kept like any other."""
    spool = make()
    large = os.urandom(9 * MEGABYTE)
    spool.append(b"small")
    spool.append(large)
    spool.append(b"after")

    assert drain(spool) == [b"small", large, b"after"]
    spool.end()


@pytest.mark.usefixtures("small")
def test_the_worker_makes_room_ahead(make: Callable[..., DiskSpool], folder: Folder) -> None:
    """Spares wait for an app that logs much, but never beyond what the spool may take."""
    spool = make()
    for n in range(8):
        spool.append(b"%1000d" % n)
    spool.tidy()
    before = files(folder)
    for n in range(8, 12):
        spool.append(b"%1000d" % n)

    assert files(folder) == before
    drain(spool)
    spool.end()
    tight = make(max_bytes=3 * 4_096)
    for n in range(8):
        tight.append(b"%1000d" % n)
    tight.tidy()
    assert tight.fullness() <= 1.0
    tight.end()


def test_files_that_are_no_segments_are_cleared_away_on_adoption(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """A process that died while it made a segment left nothing to send; the rest is adopted."""
    spool = make()
    spool.append(b"one")
    (path,) = folder.owners()
    spool.end()
    for name, content in {"000002.seg": b"", "000003.seg": b"WLLMSEG1" + bytes(4096)}.items():
        with open(os.path.join(path, name), "wb") as file:
            file.write(content)
    adopted = Orphans(folder, ManualClock()).next()

    assert adopted is not None
    assert drain(adopted) == [b"one"]
    adopted.end()
    assert folder.owners() == []


def test_a_dead_process_with_nothing_to_send_is_cleared_away(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """An empty directory of a dead process is removed, and none is adopted."""
    spool = make()
    spool.append(b"one")
    (path,) = folder.owners()
    spool.end()
    with open(os.path.join(path, "000001.seg"), "wb"):
        pass

    assert Orphans(folder, ManualClock()).next() is None
    assert folder.owners() == []


def test_other_processes_may_have_left_something(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """Only directories of other processes are a reason to look for orphans."""
    orphans = Orphans(folder, ManualClock())
    spool = make()
    spool.append(b"one")
    assert not orphans.are_there()
    os.mkdir(os.path.join(folder.path, "1-abc"))

    assert orphans.are_there()
    spool.end()


def test_a_child_starts_empty_and_leaves_the_parents_events(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """After a fork the child has no event of the parent's, and deletes nothing of it."""
    parent = make()
    parent.append(b"parent")
    before = files(folder)
    copy = make()
    copy.append(b"x")
    copy.after_fork()

    assert (copy.queued(), copy.accepted(), copy.take(1, 1)) == (0, 0, [])
    copy.append(b"child")
    assert drain(copy) == [b"child"]
    assert set(before) <= set(files(folder))
    assert drain(parent) == [b"parent"]
    copy.end()
    parent.end()


def test_an_event_logged_inside_an_append_comes_after_it(
    make: Callable[..., DiskSpool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finaliser that logs while an event is appended damages neither."""
    spool = make()
    spool.append(b"first")
    append = Segment.append
    inner: list[tuple[int, int]] = []

    def interrupted(segment: Segment, data: bytes) -> bool:
        if not inner:
            inner.append(spool.append(b"inner"))
        return append(segment, data)

    monkeypatch.setattr(Segment, "append", interrupted)
    spool.append(b"outer")

    assert inner == [(0, 0)]
    assert drain(spool) == [b"first", b"outer", b"inner"]
    spool.end()


@given(
    st.lists(
        st.tuples(st.sampled_from(["append", "take", "acknowledge", "give back", "tidy"]),
                  st.integers(0, 1500)),
        max_size=60,
    )
)  # fmt: skip
def test_no_event_is_lost_or_doubled(steps: list[tuple[str, int]]) -> None:
    """Whatever is done in whatever order: each event is acknowledged once, dropped, or there."""
    import tempfile

    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patched:
        patched.setattr(disk, "FIRST_BYTES", 4_096)
        patched.setattr(disk, "SEGMENT_BYTES", 4_096)
        folder = Folder(root, "u", "p")
        spool = DiskSpool(folder, 6 * 4_096, ManualClock())
        appended = dropped = 0
        taken: list[list[Record]] = []
        gone: list[bytes] = []
        for step, number in steps:
            if step == "append":
                dropped += spool.append(b"%d " % appended + b"x" * number)[1]
                appended += 1
            elif step == "take":
                taken.append(spool.take(1 + number % 7, 3_000))
            elif step == "tidy":
                assert spool.tidy() == 0
            elif taken and step == "give back":
                spool.give_back(taken.pop(number % len(taken)))
            elif taken:
                records = taken.pop(number % len(taken))
                spool.acknowledge(records)
                gone += data(records)
        held = [record for records in taken for record in records]
        assert spool.queued() == appended - dropped - len(gone)
        assert spool.accepted() == appended
        gone += data(held)
        spool.acknowledge(held)
        gone += drain(spool)
        numbers = [int(text.split()[0]) for text in gone]
        assert len(numbers) == len(set(numbers)) == appended - dropped
        spool.end()
        assert folder.owners() == []
