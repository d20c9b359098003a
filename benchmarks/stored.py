"""Made-up events in a store: many, over thirty days, put there without HTTP."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from load import text
from measured import PROJECT
from msgspec import Raw
from rich.progress import track
from watchllm_server import datadir
from watchllm_server.events import read_event
from watchllm_server.store.embedded import EmbeddedStore
from watchllm_server.store.words import index_words

if TYPE_CHECKING:
    from pathlib import Path

    from watchllm_server.rows import Row

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


def fill(directory: Path, events: Events) -> None:
    """Store the events."""
    store = EmbeddedStore(datadir.prepare(directory) / "events", memory_bytes=1_500_000_000)
    try:
        for first in track(range(0, events.count, GROUP), description="storing events"):
            last = min(first + GROUP, events.count)
            store.insert_group([events.row(number) for number in range(first, last)])
        # As a server does once events stop coming.
        index_words(store, seconds=0, wait=True)
    finally:
        store.close()


def copy(directory: Path, events: Events, copies: int) -> None:
    """Store each event that often in all, each copy with an id, a run and a time of its own.

    The engine does it, which makes them faster than Python could.
    """
    import chdb  # noqa: PLC0415 - takes a second, and few runs need it

    connection = chdb.connect(f"{os.path.realpath(directory)}/events")
    connection.query("SYSTEM STOP MERGES events")
    shift = events.step / copies / timedelta(microseconds=1)
    for number in track(range(1, copies), description="copying them"):
        # Nothing in it but numbers of ours.
        connection.query(
            f"INSERT INTO events SELECT * REPLACE (concat(event_id, '-{number}') AS event_id, "  # noqa: S608 - see above
            f"concat(run_id, '-{number}') AS run_id, "
            f"addMicroseconds(ts, {round(number * shift)}) AS ts) "
            "FROM (SELECT * FROM events WHERE event_id NOT LIKE '%-%') "
            "SETTINGS max_threads = 1, max_insert_threads = 1, "
            "min_insert_block_size_rows = 200000, max_partitions_per_insert_block = 0, "
            "exclude_materialize_skip_indexes_on_insert = 'by_word'"
        )
    connection.query("SYSTEM START MERGES events")
    there = int(str(connection.query("SELECT count() FROM events")))
    connection.close()
    if there != copies * events.count:
        raise SystemExit(f"There are {there} events after the copying, not {copies} of each.")
