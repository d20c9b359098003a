"""Kill the server under load, again and again, and count what it loses or shows twice.

Each round starts `watchllm serve` on the same directory, posts batches over several connections,
and ends the process with SIGKILL at a random moment. The next round asks for every event that was
answered 200, sends again what was not answered, and counts each event. Exits with 1 when an event
that was answered is missing, or one is there twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from load import prompt_call
from measured import KEY, PROJECT, start
from rich.console import Console
from rich.progress import track

CONNECTIONS, BATCH = 16, 25


@dataclass
class Round:
    """What one round sent: every batch by its ids, and which of them were answered 200."""

    run_id: str
    sent: list[list[dict[str, object]]] = field(default_factory=list)
    answered: list[list[dict[str, object]]] = field(default_factory=list)


@dataclass
class Findings:
    """What all rounds together have found."""

    answered: int = 0
    unanswered_but_stored: int = 0
    lost: int = 0
    twice: int = 0
    incomplete: int = 0
    ready_seconds: list[float] = field(default_factory=list)


def batch(seed: random.Random, run_id: str) -> list[dict[str, object]]:
    """Return events of two months, so that a group is cut between two partitions."""
    events = [prompt_call(seed, PROJECT) for _ in range(BATCH)]
    for number, event in enumerate(events):
        event["run_id"] = run_id
        event["timestamp"] = f"2026-1{number % 2}-05T00:00:00.{seed.randrange(10**6):06}Z"
    return events


async def load(port: int, current: Round, seed: random.Random) -> None:
    """Post batches until the connections break."""

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                events = batch(seed, current.run_id)
                body = json.dumps({"events": events}).encode()
                current.sent.append(events)
                head = (
                    "POST /v1/events/batch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                writer.write(head.encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                status = int(answer.split(b" ", 2)[1])
                length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                content = json.loads(await reader.readexactly(length))
                if status == 200 and content["total_processed"] == len(events):
                    current.answered.append(events)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS)))


def ask(port: int, path: str, content: dict[str, Any]) -> Any:
    """Post JSON and return the JSON of the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(content).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{path} was answered {error.code}: {error.read().decode()}") from None


def stored(port: int, run_id: str) -> Counter[str]:
    """Return how often each event of a run is there."""
    found: Counter[str] = Counter()
    question: dict[str, Any] = {"run_id": run_id, "limit": 1_000}
    while True:
        page = ask(port, "/v1/events/query", question)
        found.update(event["event_id"] for event in page["events"])
        if not page["has_more"]:
            return found
        question["cursor"] = page["next_cursor"]


def check(port: int, last: Round, findings: Findings) -> None:
    """Compare what is stored with what was answered, then deliver everything again."""
    found = stored(port, last.run_id)
    answered = {str(event["event_id"]) for events in last.answered for event in events}
    findings.answered += len(answered)
    findings.lost += len(answered - set(found))
    findings.unanswered_but_stored += len(set(found) - answered)
    findings.twice += sum(count > 1 for count in found.values())
    for events in last.sent:
        ask(port, "/v1/events/batch", {"events": events})
    again = stored(port, last.run_id)
    sent = {str(event["event_id"]) for events in last.sent for event in events}
    findings.incomplete += len(sent - set(again))
    findings.twice += sum(count > 1 for count in again.values())


async def one_round(port: int, process: Any, current: Round, seed: random.Random) -> None:
    """Load the server and kill it at a random moment of it."""
    posting = asyncio.create_task(load(port, current, seed))
    await asyncio.sleep(seed.uniform(0.05, 0.8))
    process.kill()
    process.wait()
    await posting


def main() -> int:
    """Run the rounds and print the counts."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--seed", type=int, default=7)
    given = options.parse_args()
    console = Console()
    seed = random.Random(given.seed)
    findings = Findings()
    last: Round | None = None
    with tempfile.TemporaryDirectory(prefix="watchllm-kill-") as directory:
        for number in track(range(given.rounds + 1), "killing", console=console):
            port, process, ready = start(directory)
            findings.ready_seconds.append(ready)
            try:
                if last is not None:
                    check(port, last, findings)
                if number < given.rounds:
                    last = Round(f"run-{number}")
                    asyncio.run(one_round(port, process, last, seed))
            finally:
                process.kill()
                process.wait()
    console.print(
        f"{given.rounds} kills; {findings.answered:,} events answered 200, of which "
        f"{findings.lost} lost; {findings.unanswered_but_stored:,} stored without an answer; "
        f"after all were sent again {findings.incomplete} missing, {findings.twice} there twice; "
        f"ready again after at most {max(findings.ready_seconds):.1f} s"
    )
    return 1 if findings.lost or findings.twice or findings.incomplete else 0


if __name__ == "__main__":
    sys.exit(main())
