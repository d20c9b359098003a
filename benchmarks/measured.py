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
PART = re.compile(r"(\d{6})_(\d+)_(\d+)_\d+(?:_\d+)?")
WORD_INDEX = "skp_idx_by_word"


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

    def forget_peak(self) -> None:
        """Let `peak_mb` be about what comes from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak_mb(self) -> float:
        """Return the most resident memory that it had, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1_024 / 1e6

    def settle(self, most_seconds: int = 20) -> None:
        """Wait until it has had a second with little to do, but no longer than that."""
        for _ in range(most_seconds):
            before = self.cpu_seconds()
            time.sleep(1)
            if self.cpu_seconds() - before < 0.05:
                return


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


class Disk(NamedTuple):
    """The bytes of the parts that count, and which of them are the index over words."""

    bytes: int
    word_index: int


def disk_of(directory: str | Path) -> Disk:
    """Return what the events take; what merges have replaced is not counted, but removed later."""
    tables: defaultdict[Path, list[tuple[str, int, int, Path]]] = defaultdict(list)
    for path in Path(directory).glob("events/store/*/*/*"):
        if found := PART.fullmatch(path.name):
            month, low, high = found.groups()
            tables[path.parent].append((month, int(low), int(high), path))
    sizes = [
        (file.name, file.stat().st_size)
        for parts in tables.values()
        for month, low, high, path in parts
        if not any(
            other == month and first <= low and high <= last and (first, last) != (low, high)
            for other, first, last, _ in parts
        )
        for file in path.rglob("*")
        if file.is_file()
    ]
    words = sum(size for name, size in sizes if name.startswith(WORD_INDEX))
    return Disk(sum(size for _, size in sizes), words)


def measured_on(*packages: str) -> str:
    """Return the versions of packages and of Python, and the number of cores, for people."""
    versions = [f"{name} {version(name)}" for name in packages]
    return ", ".join([*versions, f"Python {platform.python_version()}", f"{os.cpu_count()} cores"])
