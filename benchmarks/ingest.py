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
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path

from load import percentile, post_all, prompt_call
from rich.console import Console
from rich.table import Table

PROJECT, KEY = "proj-bench", "wllm_key-of-the-benchmark-0123456789"
ROUNDS = [(8, 100, 20_000), (48, 100, 40_000), (64, 10, 10_000)]


def cpu_seconds(pid: int) -> float:
    """Return the user and system CPU seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


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
            for column in ("connections x batch", "events", "events/s", "p50 ms", "p99 ms"):
                table.add_column(column, justify="right")
            table.add_column("server CPU s per 1,000", justify="right")
            table.add_column("RSS MB", justify="right")
            for connections, batch, events in ROUNDS:
                with console.status(f"making {events:,} events"):
                    bodies = [
                        json.dumps(
                            {"events": [prompt_call(seed, PROJECT) for _ in range(batch)]}
                        ).encode()
                        for _ in range(events // batch)
                    ]
                before = cpu_seconds(process.pid)
                with console.status(f"posting over {connections} connections"):
                    result = asyncio.run(post_all(port, KEY, bodies, connections))
                used = cpu_seconds(process.pid) - before
                if result.stored != events:
                    console.print(f"[red]stored {result.stored} of {events}: {result.statuses}")
                milliseconds = [1_000 * second for second in result.seconds]
                table.add_row(
                    f"{connections} x {batch}",
                    f"{result.stored:,}",
                    f"{result.stored / result.wall:,.0f}",
                    f"{percentile(milliseconds, 0.5):.0f}",
                    f"{percentile(milliseconds, 0.99):.0f}",
                    f"{1_000 * used / max(result.stored, 1):.3f}",
                    f"{memory_mb(process.pid):.0f}",
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
