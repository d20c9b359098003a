"""The directory that a server keeps its data in, and owns alone."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class OwnedError(StartError):
    """Say that another process owns the directory."""


# Less would not hold the empty tables of the store and one group.
_LEAST_FREE = 32_000_000


def prepare(directory: Path) -> Path:
    """Make the directory if it is missing, check that it can be written to, and return it.

    Raises StartError.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = directory / f".probe-{os.getpid()}"
        try:
            probe.write_bytes(b"x" * 4_096)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise StartError(_why(directory, error)) from error
    if shutil.disk_usage(directory).free < _LEAST_FREE:
        raise StartError(_why(directory, OSError(errno.ENOSPC, "")))
    return directory.resolve()


@contextmanager
def owned(directory: Path) -> Iterator[None]:
    """Own the directory for as long as the block runs; raise OwnedError when another process does.

    The lock goes with the process, however it ends.
    """
    try:
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(_why(directory, error)) from error
    try:
        _lock(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except BlockingIOError:
        owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        raise OwnedError(
            f"Another watchllm server (pid {owner}) uses {directory}: stop it, or choose "
            "another --data-dir."
        ) from None
    except OSError as error:
        raise StartError(_why(directory, error)) from error


def _why(directory: Path, error: OSError) -> str:
    place = f"The data directory {directory}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{place} is on a full disk: free some space, or choose another --data-dir."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{place} is not a directory: choose another --data-dir."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{place} cannot be written to: change its permissions, or choose another --data-dir."
        )
    return f"{place} cannot be used: {error.strerror}."
