"""Measure how much disk an event takes, by the length of its texts, once the merges are done.

The texts are made of the lines of a file, drawn at random: sentences that people wrote compress
less than the words that the other benchmarks make theirs of, which are used without a file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from pathlib import Path

from load import post_all, prompt_call, text
from measured import KEY, PROJECT, disk_of, measured_on, running
from rich.console import Console
from rich.table import Table

BATCH, CONNECTIONS = 100, 16
ROUNDS = [(450, 40_000), (3_072, 20_000), (12_000, 6_000)]  # characters of both texts, events


def drawn(lines: list[str], characters: int, seed: random.Random) -> str:
    """Return a text of so many characters, of lines or of made-up words."""
    if not lines:
        return text(characters, seed)
    chosen: list[str] = []
    length = 0
    while length < characters:
        chosen.append(seed.choice(lines))
        length += len(chosen[-1]) + 1
    return " ".join(chosen)[:characters]


def body(lines: list[str], characters: int, seed: random.Random) -> bytes:
    """Return a batch of events whose prompts and responses have so many characters together."""
    events = [prompt_call(seed, PROJECT) for _ in range(BATCH)]
    for event in events:
        event["prompt"] = drawn(lines, characters * 2 // 3, seed)
        event["response"] = drawn(lines, characters // 3, seed)
    return json.dumps({"events": events}).encode()


def main() -> None:
    """Store events of each length on a new server, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=Path, help="a file with a sentence or more in each line")
    given = parser.parse_args()
    lines = given.texts.read_text(errors="replace").splitlines() if given.texts else []
    lines = [line for line in lines if line.strip()]
    console = Console()
    table = Table(title="Disk by the length of the texts")
    for column in ("characters", "events", "bytes of JSON", "bytes on disk", "of which index"):
        table.add_column(column, justify="right")
    seed = random.Random(7)
    for characters, count in ROUNDS:
        with (
            tempfile.TemporaryDirectory(prefix="watchllm-bench-") as directory,
            running(directory) as server,
        ):
            with console.status(f"{count:,} events of {characters:,} characters"):
                bodies = [body(lines, characters, seed) for _ in range(count // BATCH)]
                result = asyncio.run(post_all(server.port, KEY, bodies, CONNECTIONS))
                server.settle()
                disk = disk_of(directory)
            size = sum(map(len, bodies)) / count
            table.add_row(
                f"{characters:,}",
                f"{result.stored:,}",
                f"{size:,.0f}",
                f"{disk.bytes / result.stored:,.0f}",
                f"{disk.word_index / result.stored:,.0f}",
            )
    console.print(table)
    console.print(measured_on("watchllm-server", "chdb"))


if __name__ == "__main__":
    main()
