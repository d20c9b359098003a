"""Whether the answer to one question is the answer to another: the second stage of a lookup.

Trees over what the guards see and a small network that reads both texts at once say whether they
ask the same. That moves the cosine of the two vectors: far down where they object, a little up
where they agree. Alone they decide worse than the cosine on questions of a kind that they have not
learned from; together they are better on all that were measured. Their weights are this project's
own: tools/verifier makes them from texts that may be shipped.
"""

from __future__ import annotations

import math
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from watchllm_server.cache import embed, guards, lexicon
from watchllm_server.cache.calibrate import LEVELS
from watchllm_server.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from watchllm_server.cache.guards import Signs

    Array = np.ndarray[Any, Any]

MAX_TOKENS: Final = 64
"""Of a pair, as the network reads it; of longer ones it reads the beginnings."""
THRESHOLD: Final = 0.935
"""The confidence from which on a hit would be served by one who has measured nothing."""
VETOES: Final = frozenset(
    {"numbers", "dates", "units", "opposites", "direction", "quoted", "code", "asked"}
)
"""Conflicts that refuse a hit whatever else speaks for it; the other guards are weighed."""
# What so few trees say, the network does not turn into a hit: it is not asked.
_HOPELESS: Final = -4.0
# What the judges' probability weighs beside a cosine. Chosen by hand: from 0.1 to 0.3 it hardly
# matters.
_WEIGHT: Final = 0.2
LEAST_COSINE: Final = (1 + _WEIGHT) * LEVELS[-1] - _WEIGHT
"""Below it, two texts are not compared: not even judges who are sure would have them served."""
# What is less sure after one order is served by nobody, whatever the other order says.
_WORTH: Final = 0.78
_CLS, _SEP = 101, 102
_MARKS: Final = 3


class Text(NamedTuple):
    """What is known of a text before it is compared: tokens without start and end, and signs."""

    tokens: list[int]
    signs: Signs


class Verdict(NamedTuple):
    """What the verifier says of two texts.

    `confidence` is between 0 and 1 that one answer serves both, 0 where a veto was put in; `vetoes`
    are the guards that put it in; the rest is what each judge said, for those who ask why.
    """

    confidence: float
    vetoes: tuple[str, ...]
    cosine: float
    trees: float
    network: float | None


class Verifier:
    """Judge pairs of questions. Thread-safe.

    One call takes half a millisecond of a core where guards or trees refuse, else 2 to 8.
    Raises ModelError where a file of the folder is damaged or the weights are missing.
    """

    def __init__(self, folder: Path, *, vetoes: Collection[str] = VETOES) -> None:
        embed.check(folder)
        self._tokenizer = embed.load_tokenizer(folder / embed.TOKENIZER)
        self._session = embed.session(folder / embed.VERIFIER)
        self._vetoes = frozenset(vetoes)
        weights = load_weights("fusion.npz")
        self._trees = Trees(weights)
        self._weights: Array = weights["weights"]

    def read(self, text: str) -> Text:
        """Return what is to be known of a text; the same text may be compared with many."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return Text(encoded.ids, guards.read(text))

    def judge(self, one: Text, other: Text, cosine: float) -> Verdict:
        """Return whether one answer serves both texts, of which the vectors have this cosine."""
        differences = guards.compare(one.signs, other.signs)
        vetoes = tuple(name for name in differences.conflicts() if name in self._vetoes)
        trees = self._trees.score(features(one.signs, other.signs, differences, cosine))
        if vetoes or trees < _HOPELESS:
            return Verdict(0.0, vetoes, cosine, trees, None)
        network = self.network(one.tokens, other.tokens)
        agreed = self._agreed(cosine, trees, network)
        if moved(cosine, agreed) >= _WORTH:
            # It reads from left to right: what it says of both orders is steadier.
            network = (network + self.network(other.tokens, one.tokens)) / 2
            agreed = self._agreed(cosine, trees, network)
        if len(one.tokens) + len(other.tokens) > MAX_TOKENS - _MARKS:
            agreed = min(agreed, 0.0)  # it has not seen all: what it says is no agreement
        return Verdict(moved(cosine, agreed), (), cosine, trees, network)

    def _agreed(self, cosine: float, trees: float, network: float) -> float:
        return float(np.dot(self._weights, signals(cosine, trees, network)))

    def network(self, one: list[int], other: list[int]) -> float:
        """Return what the network says, as log odds."""
        ids, sides = joined(one, other, MAX_TOKENS)
        inputs = {"input_ids": np.array([ids]), "sides": np.array([sides])}
        return float(self._session.run(None, inputs)[0][0, 0])


def moved(cosine: float, agreed: float) -> float:
    """Return a cosine as judges move it who give these log odds to "the same", from 0 to 1."""
    probability = 1 / (1 + math.exp(-max(-30.0, min(30.0, agreed))))
    return max(0.0, min(1.0, (cosine + _WEIGHT * probability) / (1 + _WEIGHT)))


def signals(cosine: float, trees: float, network: float) -> list[float]:
    """Return what is weighed into the log odds of a judgement, the constant last."""
    return [cosine, trees, network, 1.0]


def load_weights(name: str) -> dict[str, Array]:
    """Return weights that come with the package. Raises ModelError where they do not."""
    try:
        with resources.files("watchllm_server.cache").joinpath("weights", name).open("rb") as file:
            found = np.load(file)
            return {each: found[each] for each in found.files}
    except (OSError, ValueError) as error:
        raise ModelError(f"the verifier's weights cannot be read: {error}") from None


def joined(one: list[int], other: list[int], limit: int) -> tuple[list[int], list[int]]:
    """Return two texts as one input of at most `limit` tokens, and the side of each token.

    The texts come without the tokens of their starts and ends. The longer is cut first.
    """
    room = limit - _MARKS
    if len(one) + len(other) > room:
        half = room // 2
        if len(one) <= half:
            other = other[: room - len(one)]
        elif len(other) <= half:
            one = one[: room - len(other)]
        else:
            one, other = one[: room - half], other[:half]
    return [_CLS, *one, _SEP, *other, _SEP], [0] * (len(one) + 2) + [1] * (len(other) + 1)


class Trees:
    """Sum the leaves of boosted trees, all of them a step at a time."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self._feature: Array = weights["feature"]
        self._threshold: Array = weights["threshold"]
        self._left: Array = weights["left"]
        self._right: Array = weights["right"]
        self._value: Array = weights["value"]
        self._roots: Array = weights["roots"]
        self._base = float(weights["base"])
        self._depth = int(weights["depth"])

    def score(self, given: list[float]) -> float:
        """Return the log odds that the trees give to features."""
        values = np.array(given)
        at = self._roots
        for _ in range(self._depth):
            low = values[self._feature[at]] <= self._threshold[at]
            at = np.where(low, self._left[at], self._right[at])
        return self._base + float(self._value[at].sum())


def features(
    one: Signs, other: Signs, differences: guards.Differences, cosine: float
) -> list[float]:
    """Return what the trees see of two texts; the order of the two does not matter."""
    words, others = set(one.words), set(other.words)
    content, contents = set(one.content), set(other.content)
    lengths = sorted((len(one.words), len(other.words)))
    alone = sorted((len(content - contents), len(contents - content)))
    trigrams, more = _trigrams(one.text), _trigrams(other.text)
    asked, asks = (lexicon.QUESTIONS & side for side in (words, others))
    small = sorted(
        (
            len(words - others) - len(content - contents),
            len(others - words) - len(contents - content),
        )
    )
    return [
        cosine,
        *map(float, differences[:-1]),  # of the last, nothing that the trees learn from tells
        _share(words, others),
        _share(content, contents),
        _share(trigrams, more),
        *map(float, alone),
        *map(float, lengths),
        lengths[0] / max(1, lengths[1]),
        *map(float, small),
        float(bool(asked) and bool(asks) and asked.isdisjoint(asks)),
        float(bool(asked) != bool(asks)),
        float(one.words[:1] != other.words[:1]),
        (guards.inversions(one, other) + guards.inversions(other, one)) / 2,
        float(sorted(one.content) == sorted(other.content)),
        float(one.text.endswith("?") != other.text.endswith("?")),
        float(max(one.negations, other.negations)),
        float(max(len(one.numbers), len(other.numbers))),
        len(content & contents) / max(1, min(len(content), len(contents))),
    ]


def _share(one: set[str], other: set[str]) -> float:
    both = one | other
    return len(one & other) / len(both) if both else 1.0


def _trigrams(text: str) -> set[str]:
    plain = f" {' '.join(text.lower().split())[:2_000]} "
    return {plain[n : n + 3] for n in range(len(plain) - 2)}
