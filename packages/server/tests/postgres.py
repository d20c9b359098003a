"""A PostgreSQL of the machine's own, started for tests in a directory and on a socket of theirs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@cache
def programs() -> Path | None:
    """Return the directory of PostgreSQL's programs, or None where it is not installed."""
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    found += sorted(path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    usable = found and (os.geteuid() != 0 or _user() is not None)
    return found[-1] if usable else None


@contextmanager
def running() -> Iterator[str]:
    """Start a server and return its URL; it ends with the block."""
    bin_dir = programs()
    assert bin_dir is not None
    # Not pytest's own directory, which other users may not enter; and a socket's path is short.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    user = _user() if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(home, user)

    def run(*command: str) -> None:
        subprocess.run(
            command, user=user, cwd=home, check=True, stdout=subprocess.DEVNULL, timeout=50
        )

    data = str(home / "data")
    options = f"-c listen_addresses= -c unix_socket_directories={home} -c fsync=off"
    control = (str(bin_dir / "pg_ctl"), "-D", data, "-w", "-t", "40")
    try:
        run(str(bin_dir / "initdb"), "-D", data, "-U", "tests", "-A", "trust", "-N")
        run(*control, "-o", options, "-l", str(home / "log"), "start")
        try:
            yield f"postgresql://tests@/postgres?host={home}"
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home)


def _user() -> str | None:
    """Return whom to run it as: PostgreSQL does not run as root."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return None
