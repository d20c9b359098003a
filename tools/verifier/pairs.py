"""The pairs that the verifier learns from: texts of our own, and public ones that may be shipped.

Sources: `groups/*.txt` and `templates.txt`, written for this; banking77 (CC BY 4.0), the first half
of its intents; and edits by rule of the texts of both. The other half of the intents, and all other
files of WATCHLLM_EVAL_DATA, are never learned from: they measure.
"""

from __future__ import annotations

import random
import re
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import edits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

HERE = Path(__file__).parent
_FOLDS = 6
_PER_TEMPLATE = 40
_ALIKE = 0.80
_NEIGHBOURS = 3


class Pair(NamedTuple):
    """Two texts, whether one answer serves both, where it is from, and the fold of its texts."""

    one: str
    other: str
    same: int
    source: str
    fold: int


class Group(NamedTuple):
    """Wordings of one question, and questions that only look like it."""

    same: list[str]
    other: list[str]


def groups() -> Iterator[Group]:
    """Read the texts that were written as groups."""
    for path in sorted((HERE / "groups").glob("*.txt")):
        for block in path.read_text().strip().split("\n\n"):
            lines = block.splitlines()
            yield Group(
                [lines[0], *(line[2:] for line in lines if line.startswith("= "))],
                [line[2:] for line in lines if line.startswith("! ")],
            )


def from_groups() -> Iterator[Pair]:
    """Pair the wordings of a group with each other, and with what only looks like them."""
    for number, group in enumerate(groups()):
        fold = number % _FOLDS
        for one, other in combinations(group.same, 2):
            yield Pair(one, other, 1, "groups", fold)
        for one in group.same:
            for other in group.other:
                yield Pair(one, other, 0, "groups", fold)
        for one, other in combinations(group.other, 2):
            yield Pair(one, other, 0, "groups", fold)


def from_templates(random_: random.Random) -> Iterator[Pair]:
    """Fill the templates: other wordings are the same, other words or meanings are not."""
    words = {
        name: values.split(", ")
        for name, _, values in (
            line.partition(": ") for line in (HERE / "words.txt").read_text().splitlines()
        )
    }
    blocks = (HERE / "templates.txt").read_text().strip().split("\n\n")
    for number, block in enumerate(blocks):
        meanings = [line.split(" | ") for line in block.splitlines()]
        slots = sorted(set(re.findall(r"\{(\w+)\}", block)))
        for _ in range(_PER_TEMPLATE):
            filled = _fill(slots, words, random_)
            meaning = random_.choice(meanings)
            one, same = random_.sample(meaning, 2)
            yield Pair(one.format(**filled), same.format(**filled), 1, "templates", number % _FOLDS)
            sibling = random_.choice(random_.choice([m for m in meanings if m is not meaning]))
            yield Pair(
                one.format(**filled), sibling.format(**filled), 0, "templates", number % _FOLDS
            )
            named = [slot for slot in slots if f"{{{slot}}}" in one and f"{{{slot}}}" in same]
            if named:
                slot = random_.choice(named)
                left = [w for w in words[_kind(slot)] if w not in filled.values()]
                changed = filled | {slot: random_.choice(left)}
                wording = random_.choice([one, one, same])
                yield Pair(
                    one.format(**filled), wording.format(**changed), 0, "templates", number % _FOLDS
                )


def _kind(slot: str) -> str:
    return slot.rstrip("0123456789")


def _fill(slots: list[str], words: dict[str, list[str]], random_: random.Random) -> dict[str, str]:
    filled: dict[str, str] = {}
    for slot in slots:
        filled[slot] = random_.choice([w for w in words[_kind(slot)] if w not in filled.values()])
    return filled


def banking(path: Path) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Return the texts with their intents of the half to learn from, and of the other half."""
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    intents = {name: n for n, name in enumerate(sorted({intent for _, intent in rows}))}
    texts = [(text.strip(), intents[intent]) for text, intent in rows]
    return (
        [(text, intent) for text, intent in texts if intent % 2 == 0],
        [(text, intent) for text, intent in texts if intent % 2 == 1],
    )


def from_banking(texts: list[tuple[str, int]], vectors: np.ndarray) -> Iterator[Pair]:
    """Pair each third text with its nearest of the same intent, and of others."""
    alike = vectors @ vectors.T
    for place in range(0, len(texts), 3):
        text, intent = texts[place]
        order = (-alike[place]).argsort()[1:60]
        same = [n for n in order if texts[n][1] == intent and alike[place, n] > _ALIKE]
        if same:
            chosen = same[place % len(same)]
            yield Pair(text, texts[chosen][0], 1, "banking", intent // 2 % _FOLDS)
        other = [n for n in order if texts[n][1] != intent][:_NEIGHBOURS]
        if other:
            chosen = other[place % len(other)]
            yield Pair(text, texts[chosen][0], 0, "banking", intent // 2 % _FOLDS)


def from_edits(texts: list[tuple[str, int]], random_: random.Random) -> Iterator[Pair]:
    """Edit texts by rule, in ways that change the answer, and in ways that do not."""
    for text, fold in texts:
        changed = edits.changes(text, random_)
        if changed and random_.random() < 0.85:  # noqa: PLR2004 - as many as there are harmless ones
            yield Pair(text, random_.choice(changed), 0, "edits", fold)
        harmless = edits.harmless(text, random_)
        if random_.random() < 0.35:  # noqa: PLR2004 - and an edit on top of a harmless one
            harmless = edits.harmless(harmless, random_)
            if changed:
                yield Pair(harmless, random_.choice(changed), 0, "edits", fold)
        if harmless != text:
            yield Pair(text, harmless, 1, "edits", fold)


def all_pairs(folder: Path, embed: Callable[[list[str]], np.ndarray]) -> list[Pair]:
    """Return all pairs, the same ones each time. Those of one fold share no text with others."""
    random_ = random.Random(7)
    texts, _ = banking(folder / "banking77_intents.tsv")
    found = [*from_groups(), *from_templates(random_)]
    found += from_banking(texts, embed([text for text, _ in texts]))
    edited = [(text, intent // 2 % _FOLDS) for text, intent in random_.sample(texts, 900)]
    edited += [
        (text, number % _FOLDS)
        for number, group in enumerate(groups())
        for text in [*group.same, *group.other]
    ]
    found += from_edits(edited, random_)
    random_.shuffle(found)
    return found
