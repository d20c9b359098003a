"""Measure what the gateway adds to a call, beside the least that any proxy in Python adds.

A provider that answers at once, a bare proxy and `watchllm serve` run side by side, each in a
process of its own; the load of each row goes to one of them. The gateway does all that it does in
production: the key, limits, the exact cache (which never has the answer but in the rows that say
so), the price, and the record of each call, stored in the embedded engine. CPU is that of the whole
server, its store included. All run on one machine, so that rates are lower bounds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import uvloop
from fire import Fired, fire
from load import percentile, text
from measured import KEY, PROJECT, Measured, measured_on
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HERE = Path(__file__).parent
LONGEST_START, LONGEST_END = 60, 30  # seconds
WARM_UP = 0.5
MINUTE = 60
NONE_ADDED: Mapping[str, str] = MappingProxyType({})


class Load(NamedTuple):
    """A row's load: what it is called, whether it streams, and whether each request is new."""

    name: str
    stream: bool
    new: bool


LOADS = [
    Load("answer of 1 kB", stream=False, new=True),
    Load("stream of 22 chunks", stream=True, new=True),
    Load("exact hit", stream=False, new=False),
    Load("exact hit as a stream", stream=True, new=False),
]
CONNECTIONS = [1, 16]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(port: int, *arguments: str, **environment: str) -> Iterator[Measured]:
    """Run a Python program that listens on a port, and end it with SIGTERM."""
    started = time.perf_counter()
    running = subprocess.Popen(
        [sys.executable, *arguments], env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        while running.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.perf_counter() - started > LONGEST_START:
                    raise
                time.sleep(0.02)
        yield Measured(port, running, time.perf_counter() - started)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(LONGEST_END)


def requests(
    load: Load, run: str, headers: Mapping[str, str] = NONE_ADDED
) -> Callable[[int], bytes]:
    """Return what makes the requests of a row: 2 kB of chat, as OpenAI's client sends them."""
    words = text(1_800, random.Random(7))
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-type: application/json\r\n"
        "user-agent: OpenAI/Python 3.54.0\r\nx-stainless-lang: python\r\n"
        "x-stainless-retry-count: 0\r\n"
    ) + "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    def make(number: int) -> bytes:
        named = f"{run} {number}" if load.new else "always the same"
        request = {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": f"{named}: {words}"}],
            "temperature": 0.2,
            **({"stream": True} if load.stream else {}),
        }
        body = json.dumps(request, separators=(",", ":")).encode()
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    return make


def measure(server: Measured, load: Load, connections: int, seconds: float) -> list[str]:
    """Return the figures of one row."""
    run = f"{load.name} {connections}"
    uvloop.run(fire(server.port, connections, WARM_UP, requests(load, f"warm {run}")))
    before = server.cpu_seconds()
    fired: Fired = uvloop.run(fire(server.port, connections, seconds, requests(load, run)))
    cpu = server.cpu_seconds() - before
    if fired.failed:
        raise SystemExit(f"{fired.failed} requests failed")
    return [
        f"{fired.per_second:,.0f}",
        f"{1e3 * percentile(fired.seconds, 0.5):.2f}",
        f"{1e3 * percentile(fired.seconds, 0.99):.1f}",
        f"{1e3 * percentile(fired.first, 0.5):.2f}",
        f"{1e3 * cpu / len(fired.seconds):.2f}",
        f"{server.memory_mb():.0f}",
    ]


def main() -> None:
    """Run every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load in each row")
    parser.add_argument(
        "--soak", type=float, default=0, help="seconds of load at the end, a row for each minute"
    )
    options = parser.parse_args()
    provider_port, bare_port, port = free_port(), free_port(), free_port()
    table = Table(title="What the gateway adds to a call of 2 kB")
    for column in (
        *("load", "connections", "through", "calls/s", "p50 ms", "p99 ms", "first byte p50 ms"),
        *("CPU ms a call", "RSS MB"),
    ):
        table.add_column(column, justify="right")
    with (
        tempfile.TemporaryDirectory(prefix="watchllm-bench-") as directory,
        process(provider_port, str(HERE / "gateway_provider.py"), str(provider_port)) as provider,
        process(
            bare_port,
            str(HERE / "gateway_bare.py"),
            str(bare_port),
            f"http://127.0.0.1:{provider_port}",
        ) as bare,
        process(
            port,
            *("-m", "watchllm_server", "serve", "--port", str(port), "--data-dir", directory),
            WATCHLLM_INIT_PROJECT_ID=PROJECT,
            WATCHLLM_INIT_API_KEY=KEY,
            WATCHLLM_PROVIDER_OPENAI_BASE_URL=f"http://127.0.0.1:{provider_port}/v1",
        ) as gateway,
    ):
        # The price lists take two seconds of CPU to load, which are no call's.
        gateway.settle()
        table.add_row("at rest", "", "the gateway", *([""] * 5), f"{gateway.memory_mb():.0f}")
        places = [("nothing", provider), ("a bare proxy", bare), ("the gateway", gateway)]
        for load in LOADS:
            for connections in CONNECTIONS:
                for name, server in places if load.new else places[2:]:
                    figures = measure(server, load, connections, options.seconds)
                    table.add_row(load.name, str(connections), name, *figures)
        for begun in range(0, math.ceil(options.soak), MINUTE):
            row = Load(f"answers, minute {begun // MINUTE + 1}", stream=False, new=True)
            figures = measure(gateway, row, 16, min(MINUTE, options.soak - begun))
            table.add_row(row.name, "16", "the gateway", *figures)
    console = Console()
    console.print(table)
    console.print(f"Measured with {measured_on('aiohttp', 'uvicorn', 'chdb')}.")


if __name__ == "__main__":
    main()
