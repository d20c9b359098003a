"""The spool on disk while its app and its worker are at work at the same time."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable

import pytest
from spools import ALL, MEGABYTE, drain, files

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Iterator

    from watchllm._spool import DiskSpool, Folder

FREED = 4  # files at most that a spool closes at once: the app gets their numbers next
LEDGER = b"what the app has written\n" * 10


@contextmanager
def before_the_next(function: Callable[..., Any], do: Callable[[], None]) -> Iterator[None]:
    """Do something just before this thread next calls a function of C, its arguments being ready.

    That is what another thread may do at that moment: the call lets it run.
    """
    done: list[bool] = []

    def look(_: object, event: str, called: object) -> None:
        if event == "c_call" and called is function and not done:
            done.append(True)
            do()

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)
    assert done


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("is_marked", [True, False])
def test_what_gives_way_meanwhile_costs_the_app_no_file_of_its_own(
    make: Callable[..., DiskSpool], folder: Folder, tmp_path: Path, is_marked: bool
) -> None:
    """A segment that is dropped while it is read or marked stays open: its number is not reused."""
    spool = make(max_bytes=2 * 4_096)
    for n in range(3):
        spool.append(b"%1000d" % n)
    ledger = tmp_path / "ledger"
    ledger.write_bytes(LEDGER)
    opened: list[int] = []

    def log_until_it_is_dropped() -> None:
        while not spool.append(b"x" * 1_000)[1]:
            pass
        opened.extend(os.open(str(ledger), os.O_RDWR) for _ in range(FREED))

    if is_marked:
        records = spool.take(1, MEGABYTE)
        with before_the_next(os.pwrite, log_until_it_is_dropped):
            spool.acknowledge(records)
    else:
        with before_the_next(os.pread, log_until_it_is_dropped):
            spool.take(1, MEGABYTE)
    spool.acknowledge(spool.take(ALL, MEGABYTE))
    for number in opened:
        os.close(number)

    assert ledger.read_bytes() == LEDGER
    assert drain(spool)
    spool.end()
    assert files(folder) == []


def test_what_ends_meanwhile_costs_the_app_no_file_of_its_own(
    make: Callable[..., DiskSpool], folder: Folder, tmp_path: Path
) -> None:
    """A client that is closed while its worker marks a segment leaves that to the worker."""
    spool = make()
    for n in range(2):
        spool.append(b"%d" % n)
    ledger = tmp_path / "ledger"
    ledger.write_bytes(LEDGER)
    opened: list[int] = []

    def close() -> None:
        spool.end()
        opened.extend(os.open(str(ledger), os.O_RDWR) for _ in range(FREED))

    records = spool.take(1, MEGABYTE)
    with before_the_next(os.pwrite, close):
        spool.acknowledge(records)
    for number in opened:
        os.close(number)

    assert ledger.read_bytes() == LEDGER
    assert len(files(folder)) == 1
    assert spool.take(ALL, MEGABYTE) == []


def test_an_event_is_in_nobodys_hands_at_no_moment(make: Callable[..., DiskSpool]) -> None:
    """Whoever waits for an event is not told that it is gone while it is being taken."""
    spool = make()
    latest = [(0, spool.mark())]
    answered = [0]
    early: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            number, mark = latest[0]
            if spool.settled(mark) and answered[0] < number:
                early.append(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(1, 300):
            spool.append(b"x")
            latest[0] = (number, spool.mark())
            spool.give_back(spool.take(1, MEGABYTE))
            records = spool.take(1, MEGABYTE)
            answered[0] = number
            spool.acknowledge(records)
    finally:
        ended.set()
        watcher.join()
        sys.setswitchinterval(interval)

    assert early == []
    spool.end()
