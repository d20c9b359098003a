"""Measure how many events per second the server stores durably over HTTP.

Starts `watchllm serve` on a fresh data directory, posts batches of 3.6 kB events over keep-alive
connections, and reads the server's CPU time and memory from /proc. Beside a load at a steady pace
single events are sent and asked for until the server shows them. The load runs on the same machine.
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


def main() -> None:
    """Run every round against one server and print the table."""
    console = Console(width=140)
    seed = random.Random(7)
    with (
        tempfile.TemporaryDirectory(prefix="watchllm-bench-") as directory,
        running(directory) as server,
    ):
        table = Table(title="Durable ingest over HTTP, events of 3.6 kB")
        for column in (
            *("connections x batch", "events", "events/s", "p50 ms", "p99 ms", "shown, p99 ms"),
            *("CPU s per 1,000", "and merges", "peak MB", "bytes an event", "of which index"),
        ):
            table.add_column(column, justify="right")
        server.settle()
        idle = server.memory_mb()
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
            server.forget_peak()
            per_second = None if rate is None else rate / batch
            with console.status(f"posting over {connections} connections"):
                result, shown = asyncio.run(
                    load(server.port, bodies, connections, per_second, seed)
                )
            used = server.cpu_seconds() - before
            with console.status("waiting for the merges"):
                server.settle()
            merged = server.cpu_seconds() - before
            stored += result.stored + len(shown)
            if result.stored != events:
                console.print(f"[red]stored {result.stored} of {events}: {result.statuses}")
            milliseconds = [1_000 * second for second in result.seconds]
            pace = "" if rate is None else f" at {rate:,}/s"
            disk = disk_of(directory)
            table.add_row(
                f"{connections} x {batch}{pace}",
                f"{result.stored:,}",
                f"{result.stored / result.wall:,.0f}",
                f"{percentile(milliseconds, 0.5):.0f}",
                f"{percentile(milliseconds, 0.99):.0f}",
                f"{1_000 * percentile(shown, 0.99):.0f}" if shown else "",
                f"{1_000 * used / max(result.stored, 1):.3f}",
                f"{1_000 * merged / max(result.stored, 1):.3f}",
                f"{server.peak_mb():.0f}",
                f"{disk.bytes / max(stored, 1):,.0f}",
                f"{disk.word_index / max(stored, 1):,.0f}",
            )
        console.print(table)
        on = measured_on("watchllm-server", "chdb")
        console.print(f"ready after {server.ready_seconds:.1f} s, {idle:.0f} MB idle; {on}")


if __name__ == "__main__":
    main()
