"""Measure how many events per second the server stores durably over HTTP.

Starts `watchllm serve` on a fresh data directory for each row, posts batches of 3.6 kB events over
keep-alive connections, and reads the server's CPU time and memory from /proc. Beside a load at a
steady pace single events are sent and asked for until the server shows them. The load runs on the
same machine.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from typing import TYPE_CHECKING

from load import SDK, percentile, post_all, probe, prompt_call
from measured import KEY, PROJECT, disk_of, measured_on, running
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from load import Result

# Connections, events a batch, events, and events per second or as many as are answered.
ROUNDS = [
    (16, 100, 50_000, 5_000),
    (8, 100, 20_000, None),
    (48, 100, 60_000, None),
    (64, 10, 20_000, None),
]
PROBES_APART = 0.1  # seconds


async def load(
    port: int, bodies: list[bytes], connections: int, per_second: float | None, seed: random.Random
) -> tuple[Result, list[float]]:
    """Post all, with probes beside it when it has a pace; return what the load and they saw."""
    posting = post_all(port, KEY, bodies, connections, per_second=per_second, headers=SDK)
    if per_second is None:
        return await posting, []
    count = int(len(bodies) / per_second / PROBES_APART)
    events = [prompt_call(seed, PROJECT) for _ in range(count)]
    return await asyncio.gather(posting, probe(port, KEY, events, PROBES_APART))


def measure(
    console: Console, connections: int, batch: int, events: int, rate: int | None
) -> tuple[list[str], float, float]:
    """Return a row of the table, in how many seconds its server was ready, and its MB at rest.

    Each row has a server of its own: merges go on after a load and would count in the next.
    """
    seed = random.Random(7)
    with console.status(f"making {events:,} events"):
        bodies = [
            json.dumps({"events": [prompt_call(seed, PROJECT) for _ in range(batch)]}).encode()
            for _ in range(events // batch)
        ]
    with (
        tempfile.TemporaryDirectory(prefix="watchllm-bench-") as directory,
        running(directory) as server,
    ):
        server.settle()
        idle, before = server.memory_mb(), server.cpu_seconds()
        server.forget_peak()
        per_second = None if rate is None else rate / batch
        with console.status(f"posting over {connections} connections"):
            result, shown = asyncio.run(load(server.port, bodies, connections, per_second, seed))
        used = server.cpu_seconds() - before
        with console.status("waiting for the merges"):
            server.settle()
        merged = server.cpu_seconds() - before
        disk = disk_of(directory)
        peak = server.peak_mb()
    if result.stored != events:
        console.print(f"[red]stored {result.stored} of {events}: {result.statuses}")
    milliseconds = [1_000 * second for second in result.seconds]
    pace = "" if rate is None else f" at {rate:,}/s"
    stored = max(result.stored, 1)
    row = [
        f"{connections} x {batch}{pace}",
        f"{result.stored:,}",
        f"{result.stored / result.wall:,.0f}",
        f"{percentile(milliseconds, 0.5):.0f}",
        f"{percentile(milliseconds, 0.99):.0f}",
        f"{1_000 * percentile(shown, 0.99):.0f}" if shown else "",
        f"{1_000 * used / stored:.3f}",
        f"{1_000 * merged / stored:.3f}",
        f"{peak:.0f}",
        f"{disk.bytes / (stored + len(shown)):,.0f}",
        f"{disk.word_index / (stored + len(shown)):,.0f}",
    ]
    return row, server.ready_seconds, idle


def main() -> None:
    """Measure every row and print the table."""
    console = Console(width=140)
    table = Table(title="Durable ingest over HTTP, events of 3.6 kB")
    for column in (
        *("connections x batch", "events", "events/s", "p50 ms", "p99 ms", "shown, p99 ms"),
        *("CPU s per 1,000", "and merges", "peak MB", "bytes an event", "of which index"),
    ):
        table.add_column(column, justify="right")
    starts = []
    for given in ROUNDS:
        row, *start = measure(console, *given)
        table.add_row(*row)
        starts.append(start)
    console.print(table)
    ready, idle = (percentile(list(column), 0.5) for column in zip(*starts, strict=True))
    on = measured_on("watchllm-server", "chdb")
    console.print(f"ready after {ready:.1f} s, {idle:.0f} MB idle (medians); {on}")


if __name__ == "__main__":
    main()
