"""Measure what redaction costs, and how much of the personal data in labelled texts it finds.

Times are CPU time of the thread, the median of many repeats in a warm process. Recall and precision
are measured on texts made up here (`pii_texts.py`) and, if WATCHLLM_PII_DATA names a folder of
labelled texts, on those: JSON lines with `text`, `spans` of `start`, `end` and `type`, `tier` and
`labelled_types`. A span is found if all its letters, digits and at-signs are covered.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from load import text
from measured import measured_on
from pii_texts import Labelled, made_up
from rich.console import Console
from rich.table import Table
from watchllm import RedactionConfig
from watchllm._redaction import Rules, Walk, rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REPEATS, CALLS = 15, 300
KINDS = {
    "email": ("EMAIL", "EMAIL"),  # as we count it: its name in a config, its name in the data
    "credit_card": ("CC", "CREDIT_CARD"),
    "iban": ("IBAN", "IBAN"),
    "ip": ("IP", "IP"),
    "ssn": ("SSN", "SSN"),
    "phone": ("PHONE", "PHONE"),
}
ALL_KINDS = RedactionConfig(kinds=["EMAIL", "CC", "PHONE", "SSN", "IBAN", "IP", "SECRET"])
HOSTILE = [
    "1", "1 ", "1\n", "01 ", "41 11 ", "4111 ", "4242 ", "4111-", "4111 1111 1111 1112 ", "1.1.1.",
    "123-45-", "12-", "@", "a@", "a@b.", "a@b.co ", "x@1.", "'a@", "a.", "b-", "\u7528@\u7528.",
    "\uff11", "\u200b1", "%40", "&#64;", "a [at] b [dot] ", "a at b dot ", "::", "1:", "fe80::1 ",
    "DE89 ", "+1 23 ", "phone 12 ", "ssn 123456789 ", "sk-a-", "eyJaaaaaaaaaa.", "Bearer ", "[",
    "-----BEGIN PRIVATE KEY-----", "\n            ", '"',
]  # fmt: skip


def event(number: int, prompt: str, response: str) -> dict[str, object]:
    """Return the fields of a prompt call whose ids differ in each."""
    return {
        "run_id": f"run-{number:08x}",
        "user_id": f"user-{number}",
        "prompt": prompt,
        "response": response,
        "model": "gpt-4o-mini",
        "tags": ["prod", "eu-west"],
        "tokens_input": 512,
        "tokens_output": 256,
        "response_metadata": {
            "finish_reason": "stop",
            "attempt": 1,
            "cached": False,
            "temperature": 0.7,
            "region": "eu-west-1",
        },
    }


def microseconds(events: list[dict[str, object]], rules: Rules) -> float:
    """Return the CPU microseconds that an event takes, the median of all repeats."""
    for one in events[:50]:
        Walk(rules).value(one)
    times = []
    for _ in range(REPEATS):
        before = time.thread_time()
        for one in events:
            Walk(rules).value(one)
        times.append((time.thread_time() - before) / len(events) * 1e6)
    return statistics.median(times)


def milliseconds_per_kilobyte(piece: str, rules: Rules) -> tuple[float, float]:
    """Return the time of 40 KB of a repeated piece, per KB, and its ratio to that of 10 KB."""
    took = []
    for size in (10_240, 40_960):
        hostile = (piece * (size // len(piece) + 1))[:size]
        times = []
        for _ in range(3):
            before = time.thread_time()
            Walk(rules).text(hostile)
            times.append(time.thread_time() - before)
        took.append(statistics.median(times))
    return took[1] / 40 * 1e3, took[1] / took[0]


def speed(console: Console) -> None:
    """Print what an event and a hostile text cost."""
    seed = random.Random(7)
    default, every = rules_of(True), rules_of(ALL_KINDS)
    table = Table(title="Redaction of one event, CPU microseconds (median)")
    for column in ("event", "EMAIL and CC", "all seven kinds"):
        table.add_column(column, justify="left" if column == "event" else "right")
    found = "{} write to ada@example.org or bob.k@mail.example.com {}"
    paid = "{} paid with 4111 1111 1111 1111 {}"
    makers: dict[str, Callable[[int], dict[str, object]]] = {
        "small fields alone": lambda number: event(number, "", ""),
        "3 kB, clean": lambda number: event(number, text(1_300, seed), text(1_300, seed)),
        "3 kB, two addresses and a card": lambda number: event(
            number,
            found.format(text(600, seed), text(600, seed)),
            paid.format(text(600, seed), text(600, seed)),
        ),
    }
    for name, make in makers.items():
        events = [make(number) for number in range(CALLS)]
        cells = [f"{microseconds(events, rules):.1f}" for rules in (default, every)]
        table.add_row(name, *cells)
    console.print(table)
    for name, rules in (("EMAIL and CC", default), ("all seven kinds", every)):
        costs = {piece: milliseconds_per_kilobyte(piece, rules) for piece in HOSTILE}
        slowest = max(costs, key=lambda piece: costs[piece][0])
        steepest = max(ratio for cost, ratio in costs.values() if cost > 0.01)
        console.print(
            f"hostile texts, {name}: {len(costs)} texts of 40 KB, the slowest ({slowest!r})"
            f" {costs[slowest][0]:.2f} ms/KB, 40 KB : 10 KB at most {steepest:.1f}",
            highlight=False,
            markup=False,
        )


def labelled(folder: Path) -> list[Labelled]:
    """Return the labelled texts of a folder, one for each kind that a record is labelled for."""
    texts = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            if record["category"] == "iban_tests":
                continue  # right and wrong account numbers, none of them marked
            for kind, (_, name) in KINDS.items():
                if name in record["labelled_types"] and record["tier"] != "ambiguous":
                    spans = tuple(
                        (span["start"], span["end"])
                        for span in record["spans"]
                        if span["type"] == name
                    )
                    tier = "hard" if record["tier"] == "hard" else "core"
                    form = record["category"]
                    texts.append(Labelled(kind, record["text"], spans, tier, form))
    return texts


def scores(texts: Iterable[Labelled]) -> dict[tuple[str, str], list[int]]:
    """Return spans found and missed, findings right and wrong, for each kind and tier."""
    rules = {kind: rules_of(RedactionConfig(kinds=[name])) for kind, (name, _) in KINDS.items()}
    counts: dict[tuple[str, str], list[int]] = {}
    for one in texts:
        row = counts.setdefault((one.kind, one.tier), [0, 0, 0, 0])
        found = [(start, end) for start, end, _ in rules[one.kind].spans(one.text) or ()]
        covered = {place for start, end in found for place in range(start, end)}
        for start, end in one.spans:
            read = (at for at in range(start, end) if one.text[at].isalnum() or one.text[at] == "@")
            row[0 if covered.issuperset(read) else 1] += 1
        for start, end in found:
            right = any(start < stop and end > begin for begin, stop in one.spans)
            row[2 if right else 3] += 1
    return counts


def quality(console: Console, title: str, texts: list[Labelled]) -> None:
    """Print recall and precision on labelled texts."""
    table = Table(title=f"{title}: {len({one.text for one in texts}):,} texts")
    for column in ("kind", "tier", "spans", "recall", "precision", "F1"):
        table.add_column(column, justify="left" if column in {"kind", "tier"} else "right")
    for (kind, tier), (hit, missed, right, wrong) in sorted(scores(texts).items()):
        if hit + missed:
            recall, precision = hit / (hit + missed), right / max(right + wrong, 1)
            f1 = 2 * recall * precision / max(recall + precision, 1e-9)
            cells = [f"{share:.4f}" for share in (recall, precision, f1)]
            table.add_row(kind, tier, f"{hit + missed:,}", *cells)
    console.print(table)


def main() -> None:
    """Print all tables."""
    console = Console()
    speed(console)
    quality(console, "Made-up texts", made_up(1_000))
    folder = os.environ.get("WATCHLLM_PII_DATA")
    if folder:
        quality(console, "WATCHLLM_PII_DATA", labelled(Path(folder)))
    else:
        console.print("WATCHLLM_PII_DATA is unset: measured on made-up texts only")
    console.print(measured_on("watchllm"))


if __name__ == "__main__":
    main()
