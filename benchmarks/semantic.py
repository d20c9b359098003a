"""How often the semantic cache serves the right answer, and how often a wrong one.

    WATCHLLM_EVAL_DATA=../shared/data python benchmarks/semantic.py MODEL [--most 4000]

MODEL is the folder that `watchllm models fetch` has made. Of the data, each file with the columns
text_a, text_b and label holds pairs, and each with text and intent a stream of requests, of which
those of one intent have one answer. Nothing of it was used to make the verifier, but for each
second intent of banking77, by the alphabet: those are left out here. Thresholds are either fixed
beforehand, or chosen on one half of a file and measured on the other.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from pathlib import Path
from typing import NamedTuple

import curves
import numpy as np
from watchllm_server.cache import calibrate, guards, verify
from watchllm_server.cache.evaluate import Decision
from watchllm_server.cache.index import MemoryIndex

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
DATA = Path(os.environ.get("WATCHLLM_EVAL_DATA") or BESIDE)
COLUMNS = ("text_a", "text_b", "label")
CURVE = (0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.90, 0.88, 0.86, 0.84)
STREAM = 1_500
AUDITED = 0.1  # the share of served hits that is asked upstream all the same
LEARNED_FROM = "banking77"


class Scored(NamedTuple):
    """What is known of pairs: labels, cosines, whether a veto is in, and our confidences."""

    same: np.ndarray
    cosine: np.ndarray
    vetoed: np.ndarray
    ours: np.ndarray


def rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the columns of a file and its rows: tabs part them, and nothing is quoted."""
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    return lines[0].split("\t"), [line.split("\t") for line in lines[1:]]


def scored(found: list[list[str]], decision: Decision) -> Scored:
    """Score pairs."""
    verdicts = [decision.judge(one, other) for one, other, *_ in found]
    return Scored(
        np.array([row[2] == "1" for row in found]),
        np.array([verdict.cosine for verdict in verdicts]),
        np.array([bool(verdict.vetoes) for verdict in verdicts]),
        np.array([
            verdict.confidence for verdict in verdicts
        ]),
    )  # fmt: skip


def at(same: np.ndarray, scores: np.ndarray, threshold: float) -> str:
    """Return what is served from a threshold on: of the same pairs, and of the others."""
    served = scores >= threshold
    wrong, others = int(served[~same].sum()), int((~same).sum())
    bounds = calibrate.estimate(wrong, others)
    return (
        f"{served[same].mean():6.1%} of the same, {wrong / others:6.2%} of the others "
        f"({wrong} of {others}; {bounds.low:.2%} to {bounds.high:.2%})"
    )


def threshold_for(same: np.ndarray, scores: np.ndarray, share: float) -> float:
    """Return the lowest threshold at which no more than a share of the others is served."""
    others = np.sort(scores[~same])[::-1]
    return max(float(np.nextafter(others[int(share * len(others))], 2)), calibrate.LEVELS[-1])


def report_pairs(name: str, found: Scored) -> None:
    """Print what each rule serves of pairs."""
    print(f"\n{name}: {found.same.sum()} same, {(~found.same).sum()} others")
    vetoed = np.where(found.vetoed, 0, found.cosine)
    for rule, scores, threshold in (
        ("cosine 0.80 (GPTCache's default)", found.cosine, 0.80),
        ("cosine 0.90", found.cosine, 0.90),
        ("cosine 0.95", found.cosine, 0.95),
        ("cosine 0.95 and vetoes", vetoed, 0.95),
        (f"ours at {verify.THRESHOLD}, fixed beforehand", found.ours, verify.THRESHOLD),
    ):
        print(f"  {rule:40} {at(found.same, scores, threshold)}")
    print("  ours from a confidence on, of the same / of the others:")
    for threshold in CURVE:
        served = found.ours >= threshold
        shares = f"{served[found.same].mean():.1%} / {served[~found.same].mean():.2%}"
        print(f"    {threshold:.2f}  {shares}")
    half = np.arange(len(found.same)) % 2 == 0
    for rule, scores in (
        ("cosine", found.cosine),
        ("cosine and vetoes", vetoed),
        ("ours", found.ours),
    ):
        learned = threshold_for(found.same[half], scores[half], 0.01)
        label = f"{rule}, {learned:.3f} from one half at 1 %"
        print(f"  {label:40} {at(found.same[~half], scores[~half], learned)}")
    for rule, scores in (
        ("cosine", found.cosine),
        ("cosine and vetoes", vetoed),
        ("ours", found.ours),
    ):
        best = [
            (scores[found.same] >= threshold_for(found.same, scores, share)).mean()
            for share in (0.005, 0.01, 0.03)
        ]
        label = f"{rule}, best at 0.5 / 1 / 3 % (optimistic)"
        print(f"  {label:40} " + " / ".join(f"{share:.1%}" for share in best))


def curves_of(found: Scored) -> dict[str, list[tuple[float, float]]]:
    """Return, for each rule, the shares of the others and of the same served from each score on."""
    rules = {
        "cosine": found.cosine,
        "and vetoes": np.where(found.vetoed, 0, found.cosine),
        "ours": found.ours,
    }
    drawn = {}
    for name, scores in rules.items():
        steps = np.linspace(1.0, 0.75, 251)
        drawn[name] = [
            (
                float((scores[~found.same] >= step).mean()),
                float((scores[found.same] >= step).mean()),
            )
            for step in steps
        ]
    return drawn


def stream_of(name: str, texts: list[list[str]]) -> list[list[str]]:
    """Return a stream in an order of chance, without what the verifier has learned from."""
    if name.startswith(LEARNED_FROM):
        intents = sorted({intent for _, intent in texts})
        texts = [row for row in texts if intents.index(row[1]) % 2]
    random.Random(7).shuffle(texts)
    return texts


class Kept:
    """A cache of one scope: what was asked, and the intent that stands for its answer."""

    def __init__(self, decision: Decision, rule: str) -> None:
        self._decision, self._rule = decision, rule
        self._index = MemoryIndex()
        self._kept: dict[bytes, list[str]] = {}

    def best(self, text: str) -> tuple[float, str]:
        """Return the highest score among the three nearest, and the intent of that one."""
        found = (0.0, "")
        known = self._decision.known(text)
        if known is None:
            return found
        for key, cosine in self._index.nearest(b"", known[0], 3, verify.LEAST_COSINE):
            other, intent = self._kept[key]
            score = cosine
            if self._rule == "ours":
                score = self._decision.judge(text, other).confidence
            found = max(found, (score, intent))
            if self._rule == "ours" and score >= verify.THRESHOLD:
                break  # as a lookup does
        return found

    def keep(self, row: list[str]) -> None:
        """Keep a request that was a miss."""
        known = self._decision.known(row[0])
        if known is not None:
            key = len(self._kept).to_bytes(4)
            self._kept[key] = row
            self._index.add(b"", key, known[0])


def served(
    texts: list[list[str]], decision: Decision, rule: str, threshold: float
) -> tuple[int, int]:
    """Return how many requests of a stream are hits in an empty cache, and how many are wrong."""
    kept, hits, wrong = Kept(decision, rule), 0, 0
    for row in texts:
        score, intent = kept.best(row[0])
        if score < threshold:
            kept.keep(row)
            continue
        hits += 1
        wrong += intent != row[1]
    return hits, wrong


def report_stream(name: str, texts: list[list[str]], decision: Decision) -> None:
    """Print what each rule serves of a stream, in which each miss is stored."""
    texts = texts[:STREAM]
    print(f"\n{name}: {len(texts)} requests of {len({i for _, i in texts})} intents")
    for rule, threshold in (
        ("cosine", 0.80), ("cosine", 0.85), ("cosine", 0.90), ("cosine", 0.95),
        ("ours", verify.THRESHOLD), *(("ours", each) for each in CURVE[2:]),
    ):  # fmt: skip
        hits, wrong = served(texts, decision, rule, threshold)
        shares = f"{hits / len(texts):6.1%} served, {wrong / len(texts):.2%} of all wrong"
        print(f"  {f'{rule} {threshold}':40} {shares}")


class Online(NamedTuple):
    """What a cache did that began to serve once it had measured enough.

    `begun` is the number of the first request from which on it served, None where it never did;
    `equal` requests were answered because they came again to the letter, and are no `hits`. `wrong`
    of the hits are wrong by the truth; the cache itself compared `audited` and found `found` wrong.
    """

    requests: int
    begun: int | None
    equal: int
    hits: int
    wrong: int
    audited: int
    found: int
    threshold: float


def online(texts: list[list[str]], decision: Decision, rate: float) -> Online:
    """Send a stream through a cache that has measured nothing, and learns while it serves."""
    calibration, chance = calibrate.Calibration(rate), random.Random(7)
    kept, seen = Kept(decision, "ours"), set[str]()
    threshold, begun, equal, hits, wrong, audited, found = calibrate.NEVER, None, 0, 0, 0, 0, 0
    for number, row in enumerate(texts):
        if row[0] in seen:
            equal += 1
            continue
        score, intent = kept.best(row[0])
        is_wrong = intent != row[1]
        if score < threshold:
            weight = 1.0 if threshold == calibrate.NEVER else AUDITED
            if score >= calibrate.LEVELS[-1]:
                calibration.take(calibrate.Comparison(score, is_wrong, weight))
            kept.keep(row)
            seen.add(row[0])
        else:
            begun = number if begun is None else begun
            hits += 1
            wrong += is_wrong
            if chance.random() < AUDITED:
                audited += 1
                found += is_wrong
                calibration.take(calibrate.Comparison(score, is_wrong, served=True))
        threshold = calibration.threshold()
    return Online(len(texts), begun, equal, hits, wrong, audited, found, threshold)


def report_online(name: str, texts: list[list[str]], decision: Decision) -> None:
    """Print how a cache that has measured nothing begins to serve, and how often it errs."""
    for rate in (0.01, 0.02):
        told = online(texts, decision, rate)
        measured = calibrate.estimate(told.found, told.audited)
        print(
            f"\n{name}, {len(texts)} requests, max_error_rate {rate:.0%}, learned online: serves"
            f" from request {told.begun} on, {told.hits} hits, of which {told.wrong} wrong"
            f" ({told.wrong / max(1, told.hits):.2%}); measured on {told.audited} of them:"
            f" {measured.share:.2%} ({measured.low:.2%} to {measured.high:.2%});"
            f" threshold at the end {told.threshold}"
        )


BUILT = {
    "another question before it": lambda victim, attack: f"{attack} {victim}",
    "another question after it": lambda victim, attack: f"{victim} {attack}",
    "it three times, then another": lambda victim, attack: f"{victim} " * 3 + attack,
}
"""How a question is built whose vector is near that of a victim, and which asks another thing."""


def collisions(found: list[list[str]], decision: Decision) -> dict[str, tuple[int, int, int]]:
    """Return of each way to build a collision: near by cosine, accepted, and tried."""
    texts = [text for text in dict.fromkeys(row[0] for row in found) if guards.read(text).content]
    texts = texts[:400]
    counted = {}
    for name, build in BUILT.items():
        verdicts = [
            decision.judge(build(victim, attack), victim)
            for victim, attack in zip(texts[::2], texts[1::2], strict=False)
        ]
        near = sum(verdict.cosine >= 0.90 for verdict in verdicts)
        taken = sum(verdict.confidence >= verify.THRESHOLD for verdict in verdicts)
        counted[name] = (near, taken, len(verdicts))
    return counted


def report_collisions(found: list[list[str]], decision: Decision) -> None:
    """Print how often a question that was built to be taken for another is."""
    print("\nBuilt to collide, accepted of those tried (cosine 0.90 / ours):")
    for name, (near, taken, tried) in collisions(found, decision).items():
        print(f"  {name:40} {near} / {taken} of {tried}")


def report_cost(folder: Path, found: list[list[str]]) -> None:
    """Print what a lookup costs."""
    decision = Decision(folder)
    texts = list({text for row in found[:300] for text in row[:2]})
    begun = time.process_time()
    for text in texts:
        decision.known(text)
    embedded = 1_000 * (time.process_time() - begun) / len(texts)
    times = []
    for one, other, *_ in found[:300]:
        begun = time.process_time()
        if decision.judge(one, other).network is not None:
            times.append(1_000 * (time.process_time() - begun))
    print(
        f"\nCPU of one core: {embedded:.1f} ms for a text's vector and signs; a pair that the"
        f" network reads {np.median(times):.1f} ms, {np.quantile(times, 0.99):.1f} in 99 of 100"
    )


def main() -> int:
    """Measure all files of the data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--most", type=int, default=4_000, help="pairs of a file at most")
    parser.add_argument("--svg", type=Path, help="draw the curves of the pairs into this file")
    given = parser.parse_args()
    files = sorted(DATA.glob("*.tsv")) if DATA.is_dir() else []
    if not files:
        print(f"There is no data in {DATA}: set WATCHLLM_EVAL_DATA.")
        return 0
    decision = Decision(given.model)
    pairs: list[list[str]] = []
    charts: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for path in files:
        columns, found = rows(path)
        random.Random(7).shuffle(found)
        if tuple(columns[:3]) == COLUMNS:
            pairs = found[: given.most]
            result = scored(pairs, decision)
            report_pairs(path.stem, result)
            charts[path.stem] = curves_of(result)
        elif columns == ["text", "intent"]:
            texts = stream_of(path.stem, found)
            report_stream(path.stem, texts, decision)
            report_online(path.stem, texts, decision)
    if given.svg:
        curves.draw(given.svg, charts)
    if pairs:
        report_collisions(pairs, decision)
        report_cost(given.model, pairs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
