"""Measure how many events per second the server stores durably over HTTP.

Starts `watchllm serve` on a fresh data directory, posts batches of 3.6 kB events over keep-alive
connections, and reads the server's CPU time from /proc. The load runs on the same machine.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from pathlib import Path

from load import SDK, percentile, post_all, prompt_call
from measured import KEY, PROJECT, Measured, disk_bytes, measured_on, running
from rich.console import Console
from rich.table import Table

# Connections, events a batch, events, and events per second or as many as are answered.
ROUNDS = [
    (16, 100, 50_000, 5_000),
    (8, 100, 20_000, None),
    (48, 100, 60_000, None),
    (64, 10, 20_000, None),
]


def settle(server: Measured) -> None:
    """Wait until the server has had a second with little to do, or for 20 seconds."""
    for _ in range(20):
        before = server.cpu_seconds()
        time.sleep(1)
        if server.cpu_seconds() - before < 0.05:
            return


def main() -> None:
    """Run every round against one server and print the table."""
    console = Console()
    seed = random.Random(7)
    with (
        tempfile.TemporaryDirectory(prefix="watchllm-bench-") as directory,
        running(directory) as server,
    ):
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
            before = server.cpu_seconds()
            per_second = None if rate is None else rate / batch
            with console.status(f"posting over {connections} connections"):
                result = asyncio.run(
                    post_all(
                        server.port, KEY, bodies, connections, per_second=per_second, headers=SDK
                    )
                )
            used = server.cpu_seconds() - before
            memory = server.memory_mb()
            with console.status("waiting for the merges"):
                settle(server)
            merged = server.cpu_seconds() - before
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
        on = measured_on("watchllm-server", "chdb")
        console.print(f"ready after {server.ready_seconds:.1f} s; {on}")


if __name__ == "__main__":
    main()
