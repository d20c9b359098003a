"""Directories of the spool: one for each destination, in it one for each process.

<root>/<project>-<hash>/destination.json     where its events go; never a key
<root>/<project>-<hash>/<pid>-<random>/lock  locked (flock) as long as the process lives
<root>/<project>-<hash>/<pid>-<random>/*.seg the segments of that process
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from watchllm._runtime import roll

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Mapping

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment] # its absence is what is tested for

ABOUT = "destination.json"
LOCK = "lock"
SUFFIX = ".seg"
_SHOWN = 40  # characters of a project's id in a name


class SpoolUnusable(Exception):  # noqa: N818 - it ends nothing: events wait in memory instead
    """Say why no spool can be kept on the disk here."""


def default_root(environ: Mapping[str, str]) -> str:
    """Return the directory for the state of a user's programs; raises SpoolUnusable without one."""
    home = environ.get("HOME") or os.path.expanduser("~")
    if sys.platform == "darwin":  # pragma: no cover
        state = os.path.join(home, "Library", "Application Support")
    else:
        state = environ.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")
    if not os.path.isabs(state):
        raise SpoolUnusable("there is no home directory")
    return os.path.join(state, "watchllm", "spool")


class Claim:
    """The directory of one process, held by a lock that the system lets go when the process ends.

    Everything in here is the claim's alone until `release`.
    """

    def __init__(self, path: str, lock: int) -> None:
        self.path = path
        self._lock = lock

    def release(self) -> None:
        """Let others have it; delete it if nothing but the lock is in it."""
        if self.segments() == []:
            # The lock goes last: whoever opens it before sees that it is gone.
            with suppress(OSError):
                os.unlink(os.path.join(self.path, LOCK))
            with suppress(OSError):
                os.rmdir(self.path)
        self.forget()

    def forget(self) -> None:
        """Close the lock's file; in a child this leaves the parent's lock as it is."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            with suppress(OSError):
                os.close(lock)

    def segments(self) -> list[str]:
        """Return the paths of the segments, oldest first."""
        try:
            names = sorted(name for name in os.listdir(self.path) if name.endswith(SUFFIX))
        except OSError:
            return []
        return [os.path.join(self.path, name) for name in names]


class Folder:
    """The directory of one destination. Makes nothing until `claim`."""

    def __init__(self, root: str, base_url: str, project_id: str) -> None:
        from hashlib import sha256

        digest = sha256(f"{base_url}\n{project_id}".encode("utf-8", "replace")).hexdigest()
        shown = "".join(c if c.isalnum() and c.isascii() else "_" for c in project_id[:_SHOWN])
        self.root = root
        self.path = os.path.join(root, f"{shown}-{digest[:12]}")
        self.base_url = base_url
        self.project_id = project_id

    def claim(self) -> Claim:
        """Make a directory for this process; raises SpoolUnusable where that cannot be."""
        if fcntl is None:  # pragma: no cover - Windows
            raise SpoolUnusable("this system has no locks that end with their process")
        try:
            os.makedirs(self.root, 0o700, exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(self.path, 0o700)
            state = os.lstat(self.path)
            if hasattr(os, "geteuid") and state.st_uid != os.geteuid():
                raise SpoolUnusable(f"{self.path} belongs to another user")
            if state.st_mode & 0o077:
                os.chmod(self.path, 0o700)
            self._describe()
            path = os.path.join(self.path, f"{os.getpid()}-{int(roll() * 2**48):012x}")
            os.mkdir(path, 0o700)
            return Claim(path, _locked(os.path.join(path, LOCK), os.O_CREAT | os.O_EXCL))
        except OSError as error:
            raise SpoolUnusable(f"{error.strerror or error}: {error.filename}") from None

    def _describe(self) -> None:
        about = os.path.join(self.path, ABOUT)
        if os.path.exists(about):
            return
        import json

        draft = f"{about}.{os.getpid()}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"base_url": self.base_url, "project_id": self.project_id}, file)
        os.replace(draft, about)

    def owners(self) -> list[str]:
        """Return the paths of the directories of all processes, living and dead."""
        try:
            names = sorted(os.listdir(self.path))
        except OSError:
            return []
        paths = [os.path.join(self.path, name) for name in names if name.partition("-")[1]]
        return [path for path in paths if os.path.isdir(path)]

    def orphans(self) -> Iterator[Claim]:
        """Claim what dead processes left, one after the other."""
        for path in self.owners():
            claim = adopt(path)
            if claim is not None:
                yield claim

    def used_bytes(self) -> int:
        """Return how much disk all segments take."""
        total = 0
        for path in self.owners():
            with suppress(OSError), os.scandir(path) as entries:
                total += sum(entry.stat().st_size for entry in entries)
        return total


def adopt(path: str) -> Claim | None:
    """Claim the directory of a process that is dead; None if it lives, or another was faster."""
    lock = os.path.join(path, LOCK)
    try:
        descriptor = _locked(lock, 0)
    except OSError:
        return None
    claim = Claim(path, descriptor)
    try:
        # Another may have emptied and deleted it between our opening and our locking.
        if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
            return claim
    except OSError:
        pass
    claim.forget()
    return None


def _locked(path: str, flags: int) -> int:
    """Open a file and lock it; raises OSError if somebody else holds the lock."""
    descriptor = os.open(path, os.O_RDWR | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def destinations(root: str) -> list[Folder]:
    """Return the folders of all destinations that have a spool under a root."""
    import json

    found = []
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return []
    for name in names:
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            with open(os.path.join(root, name, ABOUT), encoding="utf-8") as file:
                about = json.load(file)
            folder = Folder(root, about["base_url"], about["project_id"])
            if os.path.basename(folder.path) == name:
                found.append(folder)
    return found
