"""Write a data directory to one file while it is in use, and make a directory of such a file."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from watchllm_server.errors import BackupError
from watchllm_server.store.snapshot import Snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchllm_server.clock import Clock
    from watchllm_server.metadata import Metadata
    from watchllm_server.store.base import EventStore

_FORMAT = 1
# Written last: a file without it was cut off.
_MANIFEST = "manifest.json"
_METADATA = "metadata.db"
_EVENTS = "events"


class Backup:
    """Write backups of a store and its metadata. Safe to use from any thread.

    The events are those of one moment, for which inserts wait some milliseconds. Projects and keys
    are those of a moment later, so that no event is without its project; those in PostgreSQL are
    left to its own tools.
    """

    def __init__(self, store: EventStore, metadata: Metadata, clock: Clock) -> None:
        self._store = store
        self._metadata = metadata
        self._clock = clock

    def write(self, path: Path) -> int:
        """Write a new file and return its size in bytes, once it is synced to disk.

        Raises BackupError or StoreError; what was begun is removed then.
        """
        if not isinstance(self._store, Snapshots):
            raise BackupError(
                "The events are in a ClickHouse server: back them up with its BACKUP statement."
            )
        if not path.is_absolute() or not path.parent.is_dir():
            raise BackupError(f"{path} must be a file in a directory that exists.")
        if path.exists():
            raise BackupError(f"{path} exists already: choose another name.")
        part = path.with_name(f"{path.name}.part")
        try:
            _make(part)
            with tarfile.open(part, "w") as archive:
                self._fill(archive, self._store)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            # A link, unlike a renaming, never replaces what came to be there meanwhile.
            os.link(part, path)
        except OSError as error:
            raise BackupError(f"{path} cannot be written: {error.strerror}.") from error
        finally:
            part.unlink(missing_ok=True)
        return path.stat().st_size

    def _fill(self, archive: tarfile.TarFile, store: Snapshots) -> None:
        count = 0
        with store.snapshot() as files:
            for source, name in files:
                archive.add(source, f"{_EVENTS}/{name}", recursive=False)
                count += 1
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / _METADATA
            has_metadata = self._metadata.copy_to(copy)
            if has_metadata:
                archive.add(copy, _METADATA)
        manifest = {
            "format": _FORMAT,
            "created_at": self._clock.now().isoformat(),
            "files": count,
            "metadata": has_metadata,
        }
        text = json.dumps(manifest).encode()
        member = tarfile.TarInfo(_MANIFEST)
        member.size, member.mode = len(text), 0o600
        archive.addfile(member, BytesIO(text))


def restore(path: Path, directory: Path) -> int:
    """Make a data directory of a backup, in a place that is empty or does not exist.

    Returns the number of the store's files. Raises BackupError and leaves nothing behind then.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BackupError(f"{directory} is not empty: restore into a directory that is new.")
    begun = directory.with_name(f"{directory.name}.restoring-{os.getpid()}")
    try:
        begun.mkdir(mode=0o700, parents=True)
        try:
            count = _unpack(path, begun)
            if directory.exists():
                directory.rmdir()
            begun.rename(directory)
        finally:
            shutil.rmtree(begun, ignore_errors=True)
    except tarfile.TarError as error:
        raise BackupError(f"{path} is no backup, or was cut off: {error}.") from error
    except OSError as error:
        raise BackupError(f"{path} cannot be restored: {error.strerror}.") from error
    return count


def _unpack(path: Path, directory: Path) -> int:
    with tarfile.open(path) as archive:
        # It refuses members and links that lead out of the directory.
        archive.extractall(directory, members=_known(archive), filter="data")
    manifest = directory / _MANIFEST
    if not manifest.is_file():
        raise BackupError(f"{path} is no backup, or was cut off: it has no manifest.")
    try:
        told = json.loads(manifest.read_bytes())
        known, count = told["format"] == _FORMAT, int(told["files"])
    except (ValueError, KeyError, TypeError):
        raise BackupError(f"{path} has a manifest that cannot be read.") from None
    if not known:
        raise BackupError(f"{path} was written by a newer version: upgrade watchllm-server.")
    manifest.unlink()
    found = sum(1 for file in (directory / _EVENTS).rglob("*") if _is_content(file))
    if found != count:
        raise BackupError(f"{path} is damaged: it has {found} files of {count}.")
    return count


def _known(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        if PurePosixPath(member.name).parts[:1] in ((_EVENTS,), (_METADATA,), (_MANIFEST,)):
            yield member


def _is_content(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _make(path: Path) -> None:
    """Make an empty file that only its owner can read, and that was not there."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
