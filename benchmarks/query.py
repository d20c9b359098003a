"""Measure how fast the server answers questions about a given number of events over HTTP.

Fills a fresh data directory through the store's own insert, starts `watchllm serve` on it, and asks
each question several times, each time with other values where it has any, one after the other. The
engine keeps no results of queries. `--copies 10 --characters 60` asks again with ten times as many
short events, and takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import shutil
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from load import percentile
from measured import KEY, Measured, disk_of, measured_on, running
from rich.console import Console
from rich.table import Table
from stored import MODELS, PER_RUN, Events, copy, event_id, fill, rare_word, run_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Client:
    """One keep-alive connection to the server."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {KEY}"}

    def get(self, path: str, **parameters: Any) -> bytes:
        """Return the body of an answer, which must be 200."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        return self._ask("GET", path + query, None)

    def find(self, **question: Any) -> bytes:
        """Return the body of an answer to a query of events."""
        return self._ask("POST", "/v1/events/query", json.dumps(question))

    def _ask(self, method: str, path: str, body: str | None) -> bytes:
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def questions(client: Client, events: Events) -> dict[str, Callable[[int], bytes]]:
    """Return the questions by name; each takes a number that picks its values."""
    seed = random.Random(11)

    def some(most: int) -> int:
        return seed.randrange(most)

    def over_time(**parameters: str) -> Callable[[int], bytes]:
        return lambda _: client.get("/v1/analytics/timeseries", period="30d", **parameters)

    day_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat().replace("+00:00", "Z")
    runs = events.count // PER_RUN
    older = json.loads(client.get("/v1/runs"))["next_cursor"]
    return {
        "newest 50": lambda _: client.find(limit=50),
        "newest 50 of a model that timed out": lambda n: client.find(
            limit=50, models=[MODELS[n % 3]], status=["timeout"]
        ),
        "newest 50 of a user": lambda _: client.find(limit=50, user_id=f"user-{some(5_000)}"),
        "one event": lambda _: client.get(f"/v1/events/{event_id(some(events.count))}"),
        "one run": lambda _: client.get(f"/v1/runs/{run_id(some(runs))}"),
        "runs": lambda _: client.get("/v1/runs"),
        "runs, second page": lambda _: client.get("/v1/runs", cursor=older),
        "runs of a user": lambda _: client.get("/v1/runs", user_id=f"user-{some(5_000)}"),
        "totals, 30 days": lambda _: client.get("/v1/analytics/stats"),
        "totals by model, 30 days": lambda _: client.get("/v1/analytics/stats", group_by="model"),
        "totals by user, 30 days": lambda _: client.get("/v1/analytics/stats", group_by="user"),
        "cost by model and day": over_time(metric="cost", group_by="model"),
        "cost by user and day": over_time(metric="cost", group_by="user"),
        "requests by tag and day": over_time(metric="requests", group_by="tag"),
        "p95 latency by release and day": over_time(metric="latency_p95", group_by="release"),
        "error rate by day": over_time(metric="error_rate"),
        "kinds of errors, 30 days": lambda _: client.get("/v1/analytics/errors"),
        "word search, rare word": lambda _: client.find(
            limit=50, text_search=rare_word(some(events.count))
        ),
        "word search, two common words": lambda _: client.find(
            limit=50, text_search="evidence warranty"
        ),
        "word search, absent word": lambda n: client.find(limit=50, text_search=f"absent{n}"),
        "substring, last day": lambda n: client.find(
            limit=50, text_search=f"absent {n}", mode="substring", date_from=day_ago
        ),
    }


def measure(
    asked: dict[str, Callable[[int], bytes]], repeat: int, server: Measured
) -> dict[str, tuple[float, float, float, float]]:
    """Ask everything; return p50, p95, the first and the server's CPU, in milliseconds."""
    found = {}
    for name, ask in asked.items():
        seconds = []
        before = server.cpu_seconds()
        for number in range(repeat):
            began = time.perf_counter()
            ask(number)
            seconds.append(time.perf_counter() - began)
        used = (server.cpu_seconds() - before) / repeat
        p50, p95 = percentile(seconds, 0.5), percentile(seconds, 0.95)
        found[name] = (1_000 * p50, 1_000 * p95, 1_000 * seconds[0], 1_000 * used)
    return found


def show(
    found: dict[str, tuple[float, float, float, float]],
    fewer: dict[str, tuple[float, float, float, float]] | None,
    title: str,
    console: Console,
) -> None:
    """Print the table, with the ratio to the times at fewer events when there are such."""
    table = Table(title=title)
    for column in ("question", "p50 ms", "p95 ms", "first ms", "server CPU ms"):
        table.add_column(column, justify="left" if column == "question" else "right")
    if fewer:
        table.add_column("p50 ratio", justify="right")
    for name, values in found.items():
        ratio = [f"{values[0] / fewer[name][0]:.1f}"] if fewer else []
        table.add_row(name, *(f"{value:.1f}" for value in values), *ratio)
    console.print(table)


def settle(directory: Path, stored: int, console: Console) -> None:
    """Let a server finish its merges; print what the events take on disk."""
    with running(directory) as server, console.status("waiting for the merges"):
        server.settle(most_seconds=180)
    disk = disk_of(directory)
    console.print(
        f"{disk.bytes / stored:,.0f} bytes an event on disk, "
        f"{disk.word_index / stored:,.0f} of them the index over words"
    )


def serve_and_ask(
    directory: Path, events: Events, chosen: argparse.Namespace, console: Console, *, export: bool
) -> dict[str, tuple[float, float, float, float]]:
    """Start a server on what is stored, ask everything, and say how soon it answered first."""
    with running(directory) as server:
        idle = server.memory_mb()
        client = Client(server.port)
        began = time.perf_counter()
        client.find(limit=50)
        first = server.ready_seconds + time.perf_counter() - began
        found = measure(questions(client, events), chosen.repeat, server)
        client.close()
        console.print(
            f"first answer {first:.1f} s after the start, {idle:.0f} MB in memory before it, "
            f"{server.memory_mb():.0f} MB after all"
        )
        if export:
            measure_export(server, events, console)
    return found


def measure_export(server: Measured, events: Events, console: Console) -> None:
    """Read an export of the newest tenth, and say how fast it came and what it took."""
    start_at = events.first + events.step * (events.count * 9 // 10)
    query = urlencode({"date_from": start_at.isoformat().replace("+00:00", "Z")})
    for form in ("jsonl", "csv", "parquet"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        headers = {"Authorization": f"Bearer {KEY}"}
        before, most, size = server.memory_mb(), 0.0, 0
        began = time.perf_counter()
        connection.request("GET", f"/v1/export?format={form}&{query}", headers=headers)
        answer = connection.getresponse()
        while piece := answer.read(1_000_000):
            size += len(piece)
            most = max(most, server.memory_mb() - before)
        wall = time.perf_counter() - began
        connection.close()
        rate = events.count / 10 / wall
        console.print(f"export {form}: {rate:,.0f} events/s, {size / 1e6:,.0f} MB", end="")
        console.print(f", at most {most:.0f} MB of memory more")


def options(description: str | None, repeat: int) -> argparse.ArgumentParser:
    """Return a parser of what is stored, and of how often each thing is measured."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many")
    parser.add_argument("--characters", type=int, default=450, help="of prompt and response")
    parser.add_argument("--repeat", type=int, default=repeat, help="how often each is measured")
    parser.add_argument("--data-dir", type=Path, help="keep the events here, and use them again")
    return parser


@contextmanager
def filled(events: Events, kept: Path | None, console: Console) -> Iterator[Path]:
    """Hand out a data directory with the events in it; it goes afterwards if it is not `kept`."""
    directory = kept or Path(tempfile.mkdtemp(prefix="watchllm-bench-"))
    try:
        if not (directory / "events").is_dir():
            fill(directory, events)
            settle(directory, events.count, console)
        yield directory
    finally:
        if kept is None:
            shutil.rmtree(directory)


def main() -> None:
    """Fill, serve, ask, and print the table."""
    parser = options(__doc__, 30)
    parser.add_argument(
        "--copies", type=int, default=1, help="ask again with so many copies of each event stored"
    )
    chosen = parser.parse_args()
    console = Console()
    events = Events(chosen.events, chosen.characters)
    with filled(events, chosen.data_dir, console) as directory:
        found = serve_and_ask(directory, events, chosen, console, export=True)
        show(found, None, f"Questions over HTTP at {events.count:,} events", console)
        if chosen.copies > 1:
            stored = events.count * chosen.copies
            copy(directory, events, chosen.copies)
            settle(directory, stored, console)
            more = serve_and_ask(directory, events, chosen, console, export=False)
            show(more, found, f"Questions over HTTP at {stored:,} events", console)
    console.print(measured_on("watchllm-server", "chdb"))


if __name__ == "__main__":
    main()
