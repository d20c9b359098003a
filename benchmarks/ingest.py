"""Measure how many events per second the server stores durably over HTTP.

Starts `watchllm serve` on a fresh data directory, posts batches of 3.6 kB events over keep-alive
connections, and reads the server's CPU time from /proc. The load runs on the same machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

from load import percentile, post_all, prompt_call
from rich.console import Console
from rich.table import Table

PROJECT, KEY = "proj-bench", "wllm_key-of-the-benchmark-0123456789"
# The directory of a part: its month, the range of inserts that it holds, how often it was merged.
PART = re.compile(r"(\d{6})_(\d+)_(\d+)_\d+")
# Connections, events a batch, events, and events per second or as many as are answered.
ROUNDS = [
    (16, 100, 50_000, 5_000),
    (8, 100, 20_000, None),
    (48, 100, 60_000, None),
    (64, 10, 20_000, None),
]


def cpu_seconds(pid: int) -> float:
    """Return the user and system CPU seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def settle(pid: int) -> None:
    """Wait until the server has had a second with little to do, or for 20 seconds."""
    for _ in range(20):
        before = cpu_seconds(pid)
        time.sleep(1)
        if cpu_seconds(pid) - before < 0.05:
            return


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


def start(port: int, directory: str) -> tuple[subprocess.Popen[bytes], float]:
    """Start the server and return it with the seconds it took to be ready."""
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
    while time.perf_counter() - started < 60 and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return process, time.perf_counter() - started
        except OSError:
            time.sleep(0.02)
    process.kill()
    process.wait()
    raise SystemExit("the server did not become ready")


def main() -> None:
    """Run every round against one server and print the table."""
    console = Console()
    seed = random.Random(7)  # noqa: S311 - made-up text, no secret
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="watchllm-bench-") as directory:
        process, ready = start(port, directory)
        try:
            table = Table(title="Durable ingest over HTTP, events of 3.6 kB")
            for column in (
                *("connections x batch", "events", "events/s", "p50 ms", "p99 ms"),
                *("CPU s per 1,000", "and merges", "RSS MB", "bytes an event"),
            ):
                table.add_column(column, justify="right")
            stored = 0
            for connections, batch, events, rate in ROUNDS:
                with console.status(f"making {events:,} events"):
                    bodies = [
                        json.dumps(
                            {"events": [prompt_call(seed, PROJECT) for _ in range(batch)]}
                        ).encode()
                        for _ in range(events // batch)
                    ]
                before = cpu_seconds(process.pid)
                per_second = None if rate is None else rate / batch
                with console.status(f"posting over {connections} connections"):
                    result = asyncio.run(
                        post_all(port, KEY, bodies, connections, per_second=per_second)
                    )
                used = cpu_seconds(process.pid) - before
                memory = memory_mb(process.pid)
                with console.status("waiting for the merges"):
                    settle(process.pid)
                merged = cpu_seconds(process.pid) - before
                stored += result.stored
                if result.stored != events:
                    console.print(f"[red]stored {result.stored} of {events}: {result.statuses}")
                milliseconds = [1_000 * second for second in result.seconds]
                pace = "" if rate is None else f" at {rate:,}/s"
                table.add_row(
                    f"{connections} x {batch}{pace}",
                    f"{result.stored:,}",
                    f"{result.stored / result.wall:,.0f}",
                    f"{percentile(milliseconds, 0.5):.0f}",
                    f"{percentile(milliseconds, 0.99):.0f}",
                    f"{1_000 * used / max(result.stored, 1):.3f}",
                    f"{1_000 * merged / max(result.stored, 1):.3f}",
                    f"{memory:.0f}",
                    f"{disk_bytes(Path(directory)) / max(stored, 1):,.0f}",
                )
            console.print(table)
            versions = [f"{name} {version(name)}" for name in ("watchllm-server", "chdb")]
            python = f"Python {platform.python_version()}"
            cores = f"{os.cpu_count()} cores"
            console.print(f"ready after {ready:.1f} s;", ", ".join([*versions, python, cores]))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


if __name__ == "__main__":
    main()
