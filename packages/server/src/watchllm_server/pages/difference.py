"""Where two texts differ, line by line."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

from watchllm_server.pages.words import visible

Mark = Literal["same", "out", "in", "gap"]

_MOST_LINES: Final = 1_000
_MOST_CHARACTERS: Final = 100_000
_AROUND: Final = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a comparison."""

    mark: Mark
    """In both texts, in the first alone, in the second alone; a gap says what it leaves out."""
    text: str


def difference(first: str, second: str) -> list[Line]:
    """Return the lines of two texts with what differs marked; empty when the texts are the same.

    Of texts that are too long to compare, the one line is a gap that says so.
    """
    if first == second:
        return []
    one, other = visible(first).split("\n"), visible(second).split("\n")
    if max(len(one), len(other)) > _MOST_LINES or len(first) + len(second) > _MOST_CHARACTERS:
        text = f"They differ, but are too long to compare: {len(first):,} and {len(second):,}"
        return [Line("gap", f"{text} characters.")]
    found: list[Line] = []
    steps = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    for number, (tag, begin, end, other_begin, other_end) in enumerate(steps):
        if tag == "equal":
            found += _same(one[begin:end], first=number == 0, last=number == len(steps) - 1)
        else:
            found += [Line("out", text) for text in one[begin:end]]
            found += [Line("in", text) for text in other[other_begin:other_end]]
    return found


def _same(lines: list[str], *, first: bool, last: bool) -> list[Line]:
    """Return the lines beside what differs; a gap stands for those that are far from it."""
    before, after = 0 if first else _AROUND, 0 if last else _AROUND
    left_out = len(lines) - before - after
    if left_out <= 1:
        return [Line("same", text) for text in lines]
    gap = Line("gap", f"{left_out:,} lines are the same.")
    head = [Line("same", text) for text in lines[:before]]
    return [*head, gap, *(Line("same", text) for text in lines[len(lines) - after :])]
