"""Measure how fast the server answers questions about a given number of events over HTTP.

Fills a fresh data directory through the store's own insert, starts `watchllm serve` on it, and asks
each question several times, each time with other values where it has any, one after the other. The
engine keeps no results of queries.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
from load import percentile, text
from measured import KEY, PROJECT, Measured, measured_on, running
from msgspec import Raw
from rich.console import Console
from rich.progress import track
from rich.table import Table
from watchllm_server import datadir
from watchllm_server.events import read_event
from watchllm_server.store.embedded import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchllm_server.events import Row

GROUP = 10_000
DAYS = 30
PER_RUN = 10
MODELS = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"]


class Events:
    """Made-up events of the last thirty days: runs of ten, calls, steps and errors."""

    def __init__(self, count: int, characters: int) -> None:
        self.count = count
        self.characters = characters
        self.first = datetime.now(UTC) - timedelta(days=DAYS) + timedelta(minutes=2)
        self.step = timedelta(days=DAYS) / count
        self.seed = random.Random(7)
        self.texts = [text(2 * characters, self.seed) for _ in range(2_000)]

    def words(self, length: int) -> str:
        """Return a piece of one of the texts."""
        at = self.seed.randrange(self.characters)
        return self.seed.choice(self.texts)[at : at + length]

    def row(self, number: int) -> tuple[Row, Decimal | None]:
        """Return the row of an event and its cost: six in ten are calls, one in fifty an error."""
        seed = self.seed
        at = self.first + number * self.step
        event: dict[str, Any] = {
            "event_id": event_id(number),
            "event_type": "agent_step",
            "run_id": run_id(number // PER_RUN),
            "timestamp": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "env": seed.choice(["production", "staging"]),
            "tags": ["bench", f"team-{seed.randrange(8)}"],
            "user_id": f"user-{number // PER_RUN % 5_000}",
            "release": f"1.{number * 20 // self.count}.0",
            "client": {"sdk_version": "0.2.0", "platform": "bench"},
            "latency_ms": round(seed.lognormvariate(6.5, 0.8), 3),
            "status": "success" if seed.random() < 0.97 else "timeout",
        }
        if number % 50 == 49:
            message = f"No order {seed.randrange(10**6)} of {seed.choice(MODELS)}"
            event |= {"event_type": "error", "error": {"message": message, "type": "LookupError"}}
            del event["latency_ms"], event["status"]
        elif number % 10 < 6:
            event |= {
                "event_type": "prompt_call",
                "model": seed.choice(MODELS),
                "tokens_input": seed.randrange(50, 900),
                "tokens_output": seed.randrange(20, 400),
                "prompt": f"{self.words(self.characters * 2 // 3)} {rare_word(number)}",
                "response": self.words(self.characters // 3),
            }
            cost = Decimal(seed.randrange(1_000, 900_000)).scaleb(-8)
            return read_event(Raw(msgspec.json.encode(event)), PROJECT), cost
        else:
            event |= {
                "step_number": number % 10,
                "step_name": "Look up",
                "step_type": "tool_call",
                "input_data": {},
                "output_data": {"text": self.words(self.characters // 3)},
            }
        return read_event(Raw(msgspec.json.encode(event)), PROJECT), None


def event_id(number: int) -> str:
    """Return the id of an event: 32 digits, the first of which follow the time as in UUIDv7."""
    return f"{number:012x}{random.Random(number).getrandbits(80):020x}"


def run_id(number: int) -> str:
    """Return the id of a run."""
    return f"run-{number * 2_654_435_761 % 2**32:08x}"


def rare_word(number: int) -> str:
    """Return a word that ten events have."""
    return f"w{number // 10:x}z"


def fill(directory: Path, events: Events) -> float:
    """Store the events and return how many bytes one takes on disk."""
    store = EmbeddedStore(datadir.prepare(directory) / "events", memory_bytes=1_500_000_000)
    try:
        for first in track(range(0, events.count, GROUP), description="storing events"):
            last = min(first + GROUP, events.count)
            store.insert_group([events.row(number) for number in range(first, last)])
    finally:
        store.close()
    used = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    return used / events.count


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
    client: Client, events: Events, repeat: int, server: Measured, console: Console
) -> None:
    """Ask everything and print the table."""
    table = Table(title=f"Questions over HTTP at {events.count:,} events")
    for column in ("question", "p50 ms", "p95 ms", "first ms", "server CPU ms"):
        table.add_column(column, justify="left" if column == "question" else "right")
    for name, ask in questions(client, events).items():
        seconds = []
        before = server.cpu_seconds()
        for number in range(repeat):
            began = time.perf_counter()
            ask(number)
            seconds.append(time.perf_counter() - began)
        used = (server.cpu_seconds() - before) / repeat
        p50, p95 = percentile(seconds, 0.5), percentile(seconds, 0.95)
        values = (p50, p95, seconds[0], used)
        table.add_row(name, *(f"{1_000 * value:.1f}" for value in values))
    console.print(table)


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


def main() -> None:
    """Fill, serve, ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many")
    parser.add_argument("--characters", type=int, default=450, help="of prompt and response")
    parser.add_argument("--repeat", type=int, default=30, help="how often each question is asked")
    parser.add_argument("--data-dir", type=Path, help="keep the events here, and use them again")
    chosen = parser.parse_args()
    console = Console()
    events = Events(chosen.events, chosen.characters)
    directory = chosen.data_dir or Path(tempfile.mkdtemp(prefix="watchllm-bench-"))
    try:
        if not (directory / "events").is_dir():
            console.print(f"{fill(directory, events):,.0f} bytes an event on disk, before merges")
        with running(directory) as server:
            client = Client(server.port)
            measure(client, events, chosen.repeat, server, console)
            client.close()
            measure_export(server, events, console)
            memory = f"{server.memory_mb():.0f} MB in memory"
        on = measured_on("watchllm-server", "chdb")
        console.print(f"ready after {server.ready_seconds:.1f} s; {memory}; {on}")
    finally:
        if chosen.data_dir is None:
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
