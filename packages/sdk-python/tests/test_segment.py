"""A segment holds whole records, whatever becomes of its process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchllm._spool._segment import FIRST, Segment, needed

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 4_096


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return where a segment may be made."""
    return str(tmp_path / "000001.seg")


def read(segment: Segment, most: int = 1_000, max_bytes: int = 10**6) -> list[bytes | None]:
    """Read the next records and move past them."""
    found = segment.records(most, max_bytes)
    segment.advance(len(found), found[-1][0])
    return [data for _, data in found]


def reopened(segment: Segment) -> Segment:
    """Return what another process finds after this one is gone."""
    segment.forget()
    return Segment.open(segment.path)


def test_records_come_back_in_order(path: str) -> None:
    """What was appended is read in the order of appending, by the same process and by the next."""
    segment = Segment.create(path, SIZE, touched=False)
    written = [b"one", b"2", b"three" * 100, b"12345678"]
    assert all(segment.append(data) for data in written)

    assert read(segment, most=2) == written[:2]
    assert read(segment) == written[2:]
    found = reopened(segment)
    assert (found.count, read(found)) == (4, written)
    found.remove()
    assert not os.path.exists(path)


def test_a_record_that_does_not_fit_is_not_appended(path: str) -> None:
    """A full segment takes nothing more and keeps what it has."""
    segment = Segment.create(path, needed(b"x" * 10), touched=True)

    assert segment.append(b"x" * 10)
    assert not segment.append(b"y")
    assert read(segment) == [b"x" * 10]
    segment.remove()


def test_all_of_a_segment_is_on_the_disk_at_once(path: str) -> None:
    """The blocks of a segment are allotted when it is made, so that no write fails later."""
    segment = Segment.create(path, 1 << 20, touched=False)

    assert os.stat(path).st_blocks * 512 >= 1 << 20
    assert os.stat(path).st_mode & 0o777 == 0o600
    segment.remove()


def test_reading_is_limited_by_bytes_but_never_empty(path: str) -> None:
    """Records come up to the limit of bytes; one that is larger alone comes alone."""
    segment = Segment.create(path, SIZE, touched=False)
    for data in (b"x" * 500, b"x" * 40, b"x" * 10, b"x"):
        segment.append(data)

    assert [len(data or b"") for data in read(segment, max_bytes=100)] == [500]
    assert [len(data or b"") for data in read(segment, max_bytes=75)] == [40, 10]
    segment.remove()


def test_what_is_acknowledged_is_not_found_again(path: str) -> None:
    """After a restart reading begins behind what was acknowledged."""
    segment = Segment.create(path, SIZE, touched=False)
    for data in (b"one", b"two", b"three"):
        segment.append(data)
    segment.acknowledge(segment.records(2, SIZE)[-1][0])
    found = reopened(segment)

    assert (found.count, read(found)) == (1, [b"three"])
    found.remove()


def test_a_record_whose_length_was_not_written_is_not_there(path: str) -> None:
    """Data without its length, as a process leaves it that is killed in between, is no record."""
    segment = Segment.create(path, SIZE, touched=False)
    segment.append(b"whole")
    segment.append(b"torn")
    with open(path, "r+b") as file:
        file.seek(FIRST + 16)
        file.write(bytes(8))
    found = reopened(segment)

    assert (found.damaged, read(found)) == (0, [b"whole"])
    found.remove()


def test_a_record_with_other_bytes_than_were_written_is_none(path: str) -> None:
    """The checksum tells a damaged record; those behind it are read all the same."""
    segment = Segment.create(path, SIZE, touched=False)
    for data in (b"one", b"two", b"three"):
        segment.append(data)
    with open(path, "r+b") as file:
        file.seek(FIRST + 16 + 8)
        file.write(b"X")
    found = reopened(segment)

    assert read(found) == [b"one", None, b"three"]
    found.remove()


def test_a_length_that_leads_nowhere_ends_the_records_and_is_counted(path: str) -> None:
    """Where a length is damaged nothing behind it can be found; that is one damaged record."""
    segment = Segment.create(path, SIZE, touched=False)
    for data in (b"one", b"two"):
        segment.append(data)
    with open(path, "r+b") as file:
        file.seek(FIRST + 16)
        file.write(b"\xff\xff\xff\x7f\0\0\0\0")
    found = reopened(segment)

    assert (found.damaged, read(found)) == (1, [b"one"])
    found.remove()


@pytest.mark.parametrize("content", [b"", b"WLLM", b"another kind of file" * 10, bytes(4096)])
def test_what_is_no_segment_is_refused(path: str, content: bytes) -> None:
    """A file that holds something else is not read as records."""
    with open(path, "wb") as file:
        file.write(content)

    with pytest.raises(ValueError, match="no segment"):
        Segment.open(path)


def test_a_segment_is_never_made_over_another(path: str) -> None:
    """Making a segment where a file is fails and leaves that file alone."""
    with open(path, "wb") as file:
        file.write(b"other")

    with pytest.raises(FileExistsError):
        Segment.create(path, SIZE, touched=False)
    assert os.path.getsize(path) == 5


def test_a_size_that_cannot_be_had_is_an_error_and_leaves_no_file(path: str) -> None:
    """Where the disk has no room that is found out when the segment is made."""
    with pytest.raises((OSError, OverflowError)):
        Segment.create(path, 1 << 62, touched=False)
    assert not os.path.exists(path)


def test_a_sealed_segment_is_read_as_before_and_forgotten_twice(path: str) -> None:
    """Sealing lets go of the map alone; forgetting and removing again do nothing."""
    segment = Segment.create(path, SIZE, touched=False)
    segment.append(b"data")
    segment.seal()
    segment.seal()

    assert read(segment) == [b"data"]
    segment.forget()
    segment.remove()
    segment.remove()


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=30), st.integers(1, 400))
def test_any_records_survive(written: list[bytes], max_bytes: int) -> None:
    """Any bytes come back whole and in order, however they are read."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        segment = Segment.create(os.path.join(folder, "1.seg"), 1 << 16, touched=False)
        for data in written:
            assert segment.append(data)
        found = reopened(segment)
        again: list[bytes | None] = []
        while len(again) < len(written):
            again += read(found, most=7, max_bytes=max_bytes)

        assert again == written
        found.remove()
