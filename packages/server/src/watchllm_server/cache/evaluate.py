"""The real decision on pairs of which the truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from watchllm_server.cache.calibrate import LEVELS, Estimate, estimate
from watchllm_server.cache.embed import MiniLM
from watchllm_server.cache.verify import LEAST_COSINE, Verdict, Verifier
from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from watchllm_server.cache.embed import Vector
    from watchllm_server.cache.verify import Text

_YES = frozenset({"1", "1.0", "true", "yes", "same"})
_NO = frozenset({"0", "0.0", "false", "no", "different"})
_COLUMNS = 3


class Pair(NamedTuple):
    """Two questions, and whether one answer serves both."""

    one: str
    other: str
    same: bool


class Judged(NamedTuple):
    """A pair's truth, and the confidence that the decision has in it."""

    same: bool
    confidence: float


class Served(NamedTuple):
    """What is served from a threshold on: shares of the same pairs, and of the others."""

    threshold: float
    right: Estimate
    wrong: Estimate


class Decision:
    """Decide as a lookup does, of two texts at a time, on the calling thread.

    Takes the folder of a model. Raises ModelError where it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._model = MiniLM(folder)
        self._verifier = Verifier(folder)
        self._known: dict[str, tuple[Vector, Text] | None] = {}

    def known(self, text: str) -> tuple[Vector, Text] | None:
        """Return the vector of a text and what the verifier needs of it; None for one too long."""
        if text not in self._known:
            vector = self._model.embed(text)
            self._known[text] = None if vector is None else (vector, self._verifier.read(text))
        return self._known[text]

    def judge(self, one: str, other: str) -> Verdict:
        """Return the verdict on two texts. What is not compared has a confidence of 0."""
        left, right = self.known(one), self.known(other)
        if left is None or right is None:
            return Verdict(0.0, (), 0.0, 0.0, None)
        cosine = float(left[0] @ right[0])
        if cosine < LEAST_COSINE:
            return Verdict(0.0, (), cosine, 0.0, None)
        return self._verifier.judge(left[1], right[1], cosine)


def read_pairs(path: Path) -> list[Pair]:
    """Return the pairs of a file: two texts and a label in each line, with tabs between.

    Further columns are passed over, and so is a first line that names columns. Nothing is quoted.
    Raises StartError for what is no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"The pairs in {path} cannot be read: {error}.") from None
    found = []
    for number, line in enumerate(lines, 1):
        row = line.rstrip("\r").split("\t")
        label = row[2].strip().lower() if len(row) >= _COLUMNS else ""
        if label in _YES or label in _NO:
            found.append(Pair(row[0], row[1], label in _YES))
        elif number > 1:
            raise StartError(
                f"Line {number} of {path} is no pair: two texts and 1 (the same) or 0, with tabs."
            )
    if not found:
        raise StartError(f"There are no pairs in {path}.")
    return found


def served(judged: Sequence[Judged], threshold: float) -> Served:
    """Return what is served from a threshold on."""
    same = [each.confidence >= threshold for each in judged if each.same]
    others = [each.confidence >= threshold for each in judged if not each.same]
    return Served(threshold, estimate(sum(same), len(same)), estimate(sum(others), len(others)))


def threshold_for(judged: Iterable[Judged], rate: float) -> float:
    """Return the lowest confidence from which on no more than a share of the others is served.

    It is none below the lowest that is ever served.
    """
    others = sorted((each.confidence for each in judged if not each.same), reverse=True)
    allowed = int(rate * len(others))
    refused = others[allowed] if allowed < len(others) else 0.0
    return max(refused + 1e-9, LEVELS[-1])
