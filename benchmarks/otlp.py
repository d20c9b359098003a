"""Measure how many spans per second the server takes over OTLP/HTTP and can be asked for.

Spans are calls of a model with 2,048 characters of prompt, 1,024 of response, 14 attributes, 5 to
a trace, 50 to a request, in protobuf as OpenTelemetry's exporters send them. An answer of 200 means
that the events are on disk; the count of what can be queried is read right after the last one.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import urllib.request

from load import percentile, post_all, text
from measured import KEY, PROJECT, measured_on, running
from rich.console import Console
from rich.table import Table
from spans import PROMPT, RESPONSE, SPANS, Attributes, export, taken, tokens

ROUNDS = [(4, 20_000), (8, 20_000), (16, 20_000)]


def genai(seed: random.Random, number: int) -> Attributes:
    """Return a call of a model in the words of OpenTelemetry's conventions."""
    asked, answered = (
        json.dumps([{"role": role, "parts": [{"type": "text", "content": text(length, seed)}]}])
        for role, length in (("user", PROMPT), ("assistant", RESPONSE))
    )
    tokens_input, tokens_output = tokens(seed, number)
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.response.id": f"chatcmpl-{seed.randrange(10**12)}",
        "gen_ai.input.messages": asked,
        "gen_ai.output.messages": answered,
        "server.address": "api.openai.com",
        "user.id": f"user-{seed.randrange(5_000)}",
        "server.port": 443,
        "gen_ai.request.max_tokens": 512,
        "gen_ai.usage.input_tokens": tokens_input,
        "gen_ai.usage.output_tokens": tokens_output,
        "gen_ai.response.finish_reasons": ["stop"],
    }


def queryable(port: int, at_least: int) -> int:
    """Return how many events the runs have between them; there are at least so many runs."""
    events = 0
    cursor = ""
    while True:
        url = f"http://127.0.0.1:{port}/v1/runs?limit=1000{cursor}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            page = json.load(answer)
        events += sum(run["events"] for run in page["runs"])
        if not page["has_more"] or events > at_least:
            return events
        cursor = f"&cursor={page['next_cursor']}"


def main() -> None:
    """Run every round against one server and print the table."""
    console = Console()
    seed = random.Random(7)
    with (
        tempfile.TemporaryDirectory(prefix="watchllm-bench-") as directory,
        running(directory) as server,
    ):
        total = 0
        table = Table(title=f"Spans over OTLP/HTTP, {SPANS} a request")
        for column in ("connections", "spans", "kB a span", "spans/s", "p50 ms", "p99 ms"):
            table.add_column(column, justify="right")
        table.add_column("server CPU s per 1,000", justify="right")
        table.add_column("RSS MB", justify="right")
        for connections, spans in ROUNDS:
            with console.status(f"making {spans:,} spans"):
                bodies = [export(seed, "chat gpt-4o", genai) for _ in range(spans // SPANS)]
            before = server.cpu_seconds()
            with console.status(f"posting over {connections} connections"):
                result = asyncio.run(
                    post_all(
                        server.port,
                        KEY,
                        bodies,
                        connections,
                        path="/v1/traces",
                        content_type="application/x-protobuf",
                        stored=taken,
                    )
                )
            used = server.cpu_seconds() - before
            total += result.stored
            if result.stored != spans:
                console.print(f"[red]stored {result.stored} of {spans}: {result.statuses}")
            milliseconds = [1_000 * second for second in result.seconds]
            table.add_row(
                f"{connections}",
                f"{result.stored:,}",
                f"{sum(map(len, bodies)) / spans / 1_000:.1f}",
                f"{result.stored / result.wall:,.0f}",
                f"{percentile(milliseconds, 0.5):.0f}",
                f"{percentile(milliseconds, 0.99):.0f}",
                f"{1_000 * used / max(result.stored, 1):.3f}",
                f"{server.memory_mb():.0f}",
            )
        console.print(table)
        console.print(
            f"{queryable(server.port, total):,} of {total:,} events are in the runs of {PROJECT}"
        )
        console.print(measured_on("watchllm-server", "chdb", "protobuf"))


if __name__ == "__main__":
    main()
