"""The spool on disk where the disk fails: memory takes over, and what is damaged is counted."""

from __future__ import annotations

import errno
import os
import shutil
from typing import Callable

import pytest
from spools import ALL, MEGABYTE, data, drain

from watchllm._spool import DiskSpool, Folder
from watchllm._spool import _disk as disk
from watchllm._spool._segment import Segment
from watchllm.testing import ManualClock


@pytest.mark.usefixtures("small")
def test_where_no_spare_can_be_made_the_next_append_says_it(
    make: Callable[..., DiskSpool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making spares fails silently: nothing is lost by it."""
    spool = make()
    for n in range(8):
        spool.append(b"%1000d" % n)
    with monkeypatch.context() as patched:
        patched.setattr(Segment, "create", _full_disk)
        assert spool.tidy() == 0

    assert spool.trouble is None
    assert len(drain(spool)) == 8
    spool.end()


def _full_disk(*_: object, **__: object) -> Segment:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_means_memory_until_there_is_room(
    make: Callable[..., DiskSpool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events wait in memory while the disk is full, and one sentence says why."""
    clock = ManualClock()
    spool = make(clock=clock)
    with monkeypatch.context() as patched:
        patched.setattr(Segment, "create", _full_disk)
        assert spool.append(b"a") == (1, 0)
        trouble, spool.trouble = spool.trouble, None
        clock.advance(disk.RETRY_SECONDS)
        assert spool.append(b"b") == (2, 0)
    assert spool.append(b"c") == (3, 0)
    clock.advance(disk.RETRY_SECONDS)
    assert spool.append(b"d") == (4, 0)
    mark = spool.mark()

    assert trouble == (
        "The spool cannot be written (No space left on device): events wait in memory instead."
    )
    assert spool.trouble is None
    assert (spool.queued(), spool.accepted()) == (4, 4)
    assert not spool.settled(mark)
    records = spool.take(ALL, MEGABYTE)
    assert data(records) == [b"d"]
    spool.acknowledge(records)
    records = spool.take(ALL, MEGABYTE)
    spool.give_back(records)
    assert drain(spool) == [b"a", b"b", b"c"]
    assert spool.settled(mark)
    spool.end()


def test_what_waits_in_memory_is_lost_at_the_end_and_told(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """Where a file stands in the way of the directory, the end tells how many are lost."""
    with open(folder.root, "wb"):
        pass
    spool = make()
    spool.append(b"a")

    assert spool.trouble is not None
    assert spool.end() == 1


@pytest.mark.usefixtures("small")
def test_a_directory_that_was_removed_is_made_anew(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """Somebody deletes the spool while the app runs: what is open is still sent."""
    spool = make()
    spool.append(b"%1000d" % 0)
    shutil.rmtree(folder.root)
    for n in range(1, 8):
        spool.append(b"%1000d" % n)

    assert [int(text) for text in drain(spool)] == list(range(8))
    assert spool.trouble is None
    spool.end()


def test_damaged_records_are_counted_and_the_others_sent(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """A byte that changed on the disk costs the one event."""
    spool = make()
    for text in (b"one", b"two", b"three"):
        spool.append(text)
    (path,) = folder.owners()
    with open(os.path.join(path, "000001.seg"), "r+b") as file:
        file.seek(64 + 16 + 8)
        file.write(b"X")

    assert drain(spool) == [b"one", b"three"]
    assert (spool.tidy(), spool.tidy(), spool.queued()) == (1, 0, 0)
    spool.end()


def test_a_segment_of_damaged_records_alone_is_passed_over(
    make: Callable[..., DiskSpool], folder: Folder
) -> None:
    """Nothing is taken from it, and what comes later is."""
    spool = make()
    spool.append(b"one")
    (path,) = folder.owners()
    with open(os.path.join(path, "000001.seg"), "r+b") as file:
        file.seek(64 + 8)
        file.write(b"X")

    assert spool.take(1, MEGABYTE) == []
    spool.append(b"two")
    assert drain(spool) == [b"two"]
    assert spool.tidy() == 1
    spool.end()


def test_a_file_that_can_no_longer_be_read_is_counted(
    make: Callable[..., DiskSpool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails in reading costs the events on it, and no call hangs."""
    spool = make()
    spool.append(b"one")
    spool.append(b"two")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Segment, "records", fail)
        assert spool.take(ALL, MEGABYTE) == []
    assert (spool.tidy(), spool.queued()) == (2, 0)
    spool.end()
