"""One file of the spool: records behind each other, each with its length and checksum.

Layout, numbers in the byte order of the machine: 64 bytes of header (a magic text, the offset up
to which records are acknowledged), then records: 4 bytes of length, 4 of CRC-32, the data, filled
up to a multiple of 8. A length of zero ends the records. A record's data is written before its
length, so that a process that is killed leaves whole records and nothing else.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from zlib import crc32

MAGIC = b"WLLMSEG1"
FIRST = 64  # the offset of the first record
PIECE_BYTES = 1 << 20
_ACKNOWLEDGED = 8  # the offset of the offset
_LENGTH = 0xFFFFFFFF


class Segment:
    """A file of records: written by one process through a memory map, read by its worker.

    `count` and `end` say how many records it holds and up to where; `read` and `position` how many
    of them were read and up to where. Not safe for use from two threads but for `append` in one and
    `records` in another.
    """

    def __init__(self, path: str, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        self.count = 0
        self.end = FIRST
        self.read = 0
        self.position = FIRST
        self.acknowledged = FIRST
        self.sealed = False
        self.dropped = False
        self.damaged = 0
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._bytes: memoryview
        self._words: memoryview

    @classmethod
    def create(cls, path: str, size: int, *, touched: bool) -> Segment:
        """Make a file of `size` bytes, all of them allotted on the disk, and map it.

        `touched` writes all of it, so that no append waits for a page. Raises OSError, as where the
        disk is full: it is found out here, never by a write to the map.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        segment = cls(path, descriptor, size)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, size)
            else:  # pragma: no cover - macOS
                touched = True
            if touched:
                zeros = bytes(PIECE_BYTES)
                for at in range(0, size, PIECE_BYTES):
                    os.pwrite(descriptor, zeros[: size - at], at)
            os.pwrite(descriptor, MAGIC + FIRST.to_bytes(8, sys.byteorder), 0)
            segment._map = mmap.mmap(descriptor, size)
            segment._bytes = memoryview(segment._map)
            # Words are stored in one instruction; pack_into would show a reader zeros first.
            segment._words = segment._bytes.cast("Q")
        except BaseException:
            segment.remove()
            raise
        return segment

    @classmethod
    def open(cls, path: str) -> Segment:
        """Open a file that another process left; raises OSError or ValueError if it is none."""
        descriptor = os.open(path, os.O_RDWR)
        try:
            content = _content(descriptor)
            segment = cls(path, descriptor, len(content))
            segment.sealed = True
            start = int.from_bytes(content[_ACKNOWLEDGED:FIRST][:8], sys.byteorder)
            segment.acknowledged = segment.position = segment.end = start
            while True:
                word = int.from_bytes(content[segment.end : segment.end + 8], sys.byteorder)
                after = segment.end + _extent(word)
                if not word or after > len(content):
                    # A length that leads nowhere is a record that no process wrote whole.
                    segment.damaged = 1 if word else 0
                    return segment
                segment.count += 1
                segment.end = after
        except BaseException:
            os.close(descriptor)
            raise

    def append(self, data: bytes) -> bool:
        """Add a record, which is not empty; False if there is no room for it."""
        start = self.end
        size = len(data)
        after = start + _extent(size)
        if after + 8 > self.size:
            return False
        self._bytes[start + 8 : start + 8 + size] = data
        self._words[start >> 3] = crc32(data) << 32 | size
        self.end = after
        self.count += 1
        return True

    def seal(self) -> None:
        """Let go of the map: nothing more is written."""
        # Whoever takes it closes it: the app may drop what its worker seals.
        mapped, self._map = self._map, None
        if mapped is not None:
            self._words.release()
            self._bytes.release()
            mapped.close()

    def records(self, most: int, max_bytes: int) -> list[tuple[int, bytes | None]]:
        """Return the end and the data of each of the next `most` records, at least of one.

        Data that does not fit its checksum is None. `advance` then moves past them.
        """
        start, end = self.position, self.end
        chunk = os.pread(self._descriptor, min(end - start, max(max_bytes, 8)), start)
        found: list[tuple[int, bytes | None]] = []
        at = 0
        while len(found) < most and start + at < end:
            word = int.from_bytes(chunk[at : at + 8], sys.byteorder)
            after = at + _extent(word)
            if after > len(chunk):
                if found:
                    break
                # The first is read whatever its size.
                chunk = os.pread(self._descriptor, after, start)
            data = chunk[at + 8 : at + 8 + (word & _LENGTH)]
            whole = word and crc32(data) == word >> 32
            found.append((start + after, data if whole else None))
            at = after
        return found

    def advance(self, count: int, position: int) -> None:
        """Count records as read, up to an offset."""
        self.read += count
        self.position = position

    def acknowledge(self, end: int) -> None:
        """Note on the disk that the records up to an offset need not be sent again."""
        self.acknowledged = end
        os.pwrite(self._descriptor, end.to_bytes(8, sys.byteorder), _ACKNOWLEDGED)

    def remove(self) -> None:
        """Close and delete the file."""
        self.forget()
        self.unlink()

    def unlink(self) -> None:
        """Delete the file's name; an open file stays readable."""
        with suppress(OSError):
            os.unlink(self.path)

    def forget(self) -> None:
        """Close the file and leave it where it is."""
        # In a forked child any of these may have been under way in the parent.
        with suppress(Exception):
            self.seal()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)


def needed(data: bytes) -> int:
    """Return the size of the smallest file that can hold a record."""
    return FIRST + _extent(len(data)) + 8


def _content(descriptor: int) -> bytes:
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    if content[:8] != MAGIC:
        raise ValueError("this is no segment of a spool")
    return content


def _extent(word: int) -> int:
    """Return how many bytes a record takes, by its first word or its length."""
    return 8 + ((word & _LENGTH) + 7 & ~7)
