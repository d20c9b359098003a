"""The server that is measured: started, looked at, ended; and what it was measured on."""

from __future__ import annotations

import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT, KEY = "proj-bench", "wllm_key-of-the-benchmark-0123456789"
LONGEST_START, LONGEST_END = 60, 30  # seconds
# The directory of a part: its month, the range of inserts that it holds, how often it was merged.
PART = re.compile(r"(\d{6})_(\d+)_(\d+)_\d+")


class Measured(NamedTuple):
    """A server that is ready: its port, its process, and the seconds it took to be so."""

    port: int
    process: subprocess.Popen[bytes]
    ready_seconds: float

    def cpu_seconds(self) -> float:
        """Return the user and system CPU seconds that it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Return its resident memory in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def start(directory: str | Path) -> Measured:
    """Start a server on a free port and a data directory; ends the program if it is not ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "WATCHLLM_INIT_PROJECT_ID": PROJECT,
        "WATCHLLM_INIT_API_KEY": KEY,
    }
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "watchllm", "serve", "--port", str(port), "--data-dir", directory],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    while time.perf_counter() - started < LONGEST_START and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return Measured(port, process, time.perf_counter() - started)
        except OSError:
            time.sleep(0.02)
    process.kill()
    process.wait()
    raise SystemExit("the server did not become ready")


@contextmanager
def running(directory: str | Path) -> Iterator[Measured]:
    """Start a server and end it with SIGTERM."""
    server = start(directory)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(LONGEST_END)


def disk_bytes(directory: Path) -> int:
    """Return the bytes of the parts that count; what merges have replaced is removed later."""
    tables: defaultdict[Path, list[tuple[str, int, int, Path]]] = defaultdict(list)
    for path in directory.glob("events/store/*/*/*"):
        if found := PART.fullmatch(path.name):
            month, low, high = found.groups()
            tables[path.parent].append((month, int(low), int(high), path))
    return sum(
        file.stat().st_size
        for parts in tables.values()
        for month, low, high, path in parts
        if not any(
            other == month and first <= low and high <= last and (first, last) != (low, high)
            for other, first, last, _ in parts
        )
        for file in path.iterdir()
        if file.is_file()
    )


def measured_on(*packages: str) -> str:
    """Return the versions of packages and of Python, and the number of cores, for people."""
    versions = [f"{name} {version(name)}" for name in packages]
    return ", ".join([*versions, f"Python {platform.python_version()}", f"{os.cpu_count()} cores"])
