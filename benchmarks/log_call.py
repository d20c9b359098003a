"""Measure what one `log_prompt_call` of 3 kB costs its caller.

A real collector (an HTTP sink in a process of its own) takes the batches, so that the worker thread
competes for the interpreter as it does in an app. An empty loop at the same pace shows the floor of
the machine.
"""

from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import platform
import random
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from load import percentile, text
from rich.console import Console
from rich.table import Table
from watchllm import WatchLLMClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

BURST, PACED, PER_SECOND = 5_000, 2_000, 400


class Sink(http.server.BaseHTTPRequestHandler):
    """A collector that takes every batch and keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer as wire.md says, so that the SDK counts the events as delivered."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps(
            {
                "success": True,
                "total_processed": body.count(b'"event_id"'),
                "total_errors": 0,
                "errors": [],
            }
        ).encode()
        self.send_response(200)
        self.send_header("X-WatchLLM-Max-Batch", "500")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def serve(port: Connection) -> None:
    """Run the sink and tell its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    port.send(server.server_address[1])
    server.serve_forever()


def timed(call: Callable[[], object], count: int, pause: float) -> tuple[list[float], float]:
    """Return microseconds of each call, and CPU microseconds of this thread per call."""
    took = []
    cpu = 0.0
    for _ in range(count):
        if pause:
            time.sleep(pause)
        cpu_before = time.thread_time()
        before = time.perf_counter()
        call()
        took.append((time.perf_counter() - before) * 1e6)
        cpu += time.thread_time() - cpu_before
    return took, cpu / count * 1e6


def main() -> None:
    """Print the table: burst and paced, clean text and text with an address and a card."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(sender,), daemon=True
    )
    process.start()
    base_url = f"http://127.0.0.1:{receiver.recv()}/v1"
    seed = random.Random(7)  # noqa: S311 - made-up text, no secret
    prompts = {
        "clean": text(2_048, seed),
        "with an address and a card": text(1_980, seed)
        + " write to ada@example.com about 4111 1111 1111 1111",
    }
    response = text(1_024, seed)
    table = Table(title="One log_prompt_call of 3 kB, microseconds on the caller")
    for column in ("text", "pace", "p50", "p95", "p99", "thread CPU"):
        table.add_column(column, justify="left" if column == "text" else "right")
    for name, prompt in prompts.items():
        for pace, count, pause in (("burst", BURST, 0.0), ("400/s", PACED, 1 / PER_SECOND)):
            client = WatchLLMClient(api_key="bench", project_id="bench", base_url=base_url)

            def call(client: WatchLLMClient = client, prompt: str = prompt) -> None:
                client.log_prompt_call(
                    run_id="run-bench",
                    prompt=prompt,
                    model="gpt-4o",
                    response=response,
                    tokens_input=512,
                    tokens_output=256,
                    latency_ms=1250,
                    tags=["bench", "call"],
                    user_id="user-456",
                    response_metadata={"finish_reason": "stop", "n": 1, "cached": False},
                )

            call()
            took, cpu = timed(call, count, pause)
            client.close(timeout=30)
            cells = [f"{percentile(took, share):.1f}" for share in (0.5, 0.95, 0.99)]
            table.add_row(name, pace, *cells, f"{cpu:.1f}")
    empty, cpu = timed(lambda: None, PACED, 1 / PER_SECOND)
    table.add_row(
        "(an empty call)",
        "400/s",
        *(f"{percentile(empty, s):.1f}" for s in (0.5, 0.95, 0.99)),
        f"{cpu:.1f}",
    )
    console = Console()
    console.print(table)
    python = f"Python {platform.python_version()}"
    console.print(f"watchllm {version('watchllm')}, {python}, {os.cpu_count()} cores")
    process.terminate()
    process.join()


if __name__ == "__main__":
    main()
