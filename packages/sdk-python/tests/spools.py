"""What tests of the spool on disk share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchllm._spool import DiskSpool, Folder, Record

ALL = 10_000
MEGABYTE = 1 << 20


def data(records: list[Record]) -> list[bytes]:
    """Return what records hold."""
    return [record.data for record in records]


def drain(spool: DiskSpool) -> list[bytes]:
    """Take and acknowledge everything."""
    found: list[bytes] = []
    while True:
        records = spool.take(7, MEGABYTE)
        if not records:
            return found
        found += data(records)
        spool.acknowledge(records)


def files(folder: Folder) -> list[str]:
    """Return the names of all segments on the disk."""
    return sorted(
        name for path in folder.owners() for name in os.listdir(path) if name.endswith(".seg")
    )
