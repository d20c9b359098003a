"""A small SQLite file of the server's own, which begins empty where it is damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)


def open_file(path: Path, schema: str, version: int) -> sqlite3.Connection:
    """Open a file with the tables of a schema, for use from any thread, one at a time.

    A row is there as a whole or not at all, whatever kills the process; what is deleted is
    overwritten. A file that is damaged, or of another version, is set aside as `NAME.damaged`, and
    an empty one takes its place. Otherwise what SQLite raises comes out.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _open(path, schema, version)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        _log.warning("%s is damaged or of another version: it is now %s.", path, aside.name)
        return _open(path, schema, version)


def _open(path: Path, schema: str, version: int) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    disk = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        found = disk.execute("PRAGMA user_version").fetchone()[0]
        disk.execute("PRAGMA journal_mode = WAL")
        disk.execute("PRAGMA synchronous = NORMAL")
        disk.execute("PRAGMA secure_delete = ON")
        if found == 0:
            disk.executescript(f"BEGIN;{schema}PRAGMA user_version = {version};COMMIT;")
        elif found != version:
            raise sqlite3.DatabaseError("written by another version")  # noqa: TRY301 - as damage is told
        if disk.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("damaged")  # noqa: TRY301 - likewise
    except BaseException:
        disk.close()
        raise
    return disk
