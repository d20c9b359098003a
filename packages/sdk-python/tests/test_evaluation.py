"""How many labelled addresses and cards are found, on data that is not in this repository."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from watchllm._redaction._card import CardDetector
from watchllm._redaction._email import EmailDetector
from watchllm._redaction._fold import fold, places

DATA = Path(os.environ.get("WATCHLLM_EVAL_DATA", "")) / "pii"
FILES = ("adv_card_negatives", "adv_cards", "adv_email_negatives", "adv_emails", "datafog")


def spans(detector: Any, text: str) -> list[tuple[int, int]]:
    """Return what a detector finds in a text."""
    folded, left_out = fold(text)
    found: list[tuple[int, int]] = detector.find(folded)
    if left_out is None:
        return found
    at = places(text, left_out)
    return [(at[start], at[end - 1] + 1) for start, end in found]


@pytest.mark.skipif(not os.environ.get("WATCHLLM_EVAL_DATA"), reason="WATCHLLM_EVAL_DATA is unset")
@pytest.mark.parametrize(
    ("detector", "kind", "tiers", "recall"),
    [
        (EmailDetector(), "EMAIL", ("core", "rare"), 0.998),
        (EmailDetector(), "EMAIL", ("hard",), 0.75),
        (CardDetector(), "CREDIT_CARD", ("core", "rare"), 0.99),
        (CardDetector(), "CREDIT_CARD", ("hard",), 0.95),
    ],
)
def test_recall_and_precision(
    detector: Any, kind: str, tiers: tuple[str, ...], recall: float
) -> None:
    """At least so many labelled spans are covered whole, and hardly anything else is found."""
    covered = missed = right = wrong = 0
    for name in FILES:
        for line in (DATA / f"{name}.jsonl").read_text("utf-8").splitlines():
            record = json.loads(line)
            if kind not in record["labelled_types"] or record["tier"] not in tiers:
                continue
            text = record["text"]
            found = spans(detector, text)
            gold = [(s["start"], s["end"]) for s in record["spans"] if s["type"] == kind]
            inside = {place for start, end in found for place in range(start, end)}
            for start, end in gold:
                read = [i for i in range(start, end) if text[i].isalnum() or text[i] == "@"]
                covered += inside.issuperset(read)
                missed += not inside.issuperset(read)
            for start, end in found:
                hit = any(start < stop and end > begin for begin, stop in gold)
                right += hit
                wrong += not hit

    assert covered / (covered + missed) >= recall
    assert right / (right + wrong) >= 0.99
