"""The verifier: what it weighs, and what no weight can overrule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.cache import guards, verify
from watchllm_server.cache.calibrate import LEVELS
from watchllm_server.cache.verify import Text, Trees, Verifier, features, joined, moved
from watchllm_server.errors import ModelError

TOKENS = st.lists(st.integers(200, 9_000), max_size=90)
TEXTS = st.text("ab 12?not from to", max_size=30)


class Sure(Verifier):
    """A verifier whose network says yes to everything, so that what refuses is not the network."""

    def __init__(self, said: float = 9.0) -> None:
        self._vetoes = verify.VETOES
        weights = verify.load_weights("fusion.npz")
        self._trees, self._weights = Trees(weights), weights["weights"]
        self.said, self.asked = said, 0

    def network(self, one: list[int], other: list[int]) -> float:
        self.asked += 1
        return self.said


def text(words: str) -> Text:
    """Return a text with a token for each word."""
    return Text([1_000 + len(word) for word in words.split()], guards.read(words))


@given(cosine=st.floats(-1, 1), agreed=st.floats(-40, 40))
def test_what_is_not_compared_could_never_have_been_served(cosine: float, agreed: float) -> None:
    """Below the least cosine no opinion of the judges reaches the lowest level; above, some do."""
    is_served = moved(cosine, agreed) >= LEVELS[-1]

    assert cosine >= verify.LEAST_COSINE - 1e-9 or not is_served
    assert moved(verify.LEAST_COSINE + 1e-6, 40) >= LEVELS[-1]


@given(one=TOKENS, other=TOKENS, limit=st.integers(8, 64))
def test_two_texts_fit_into_one_input(one: list[int], other: list[int], limit: int) -> None:
    """Within the limit, both sides are there, the longer is cut, and sides are told apart."""
    ids, sides = joined(one, other, limit)

    assert len(ids) == len(sides) <= limit
    assert ids[0] == 101
    assert ids.count(102) == 2
    left = [token for token, side in zip(ids, sides, strict=True) if side == 0][1:-1]
    right = [token for token, side in zip(ids, sides, strict=True) if side == 1][:-1]
    assert left == one[: len(left)]
    assert right == other[: len(right)]
    if len(one) + len(other) + 3 <= limit:
        assert (left, right) == (one, other)
    else:
        assert len(ids) == limit


@given(st.data())
def test_trees_sum_the_leaves_that_the_features_lead_to(data: st.DataObject) -> None:
    """All trees at once come to what walking each of them comes to."""
    trees = data.draw(st.lists(tree(3), min_size=1, max_size=5))
    values = data.draw(st.lists(st.floats(-1, 1), min_size=3, max_size=3))

    found = Trees(flat(trees)).score(values)

    assert found == pytest.approx(0.5 + sum(walk(each, values) for each in trees))


def tree(depth: int) -> st.SearchStrategy[Any]:
    """Return trees: a leaf's value, or a feature, a threshold and two trees."""
    leaf = st.floats(-1, 1)
    if depth == 0:
        return leaf
    return leaf | st.tuples(st.integers(0, 2), st.floats(-1, 1), tree(depth - 1), tree(depth - 1))


def walk(each: Any, values: list[float]) -> float:
    """Return the value of the leaf that a tree leads to."""
    while not isinstance(each, float):
        each = each[2] if values[each[0]] <= each[1] else each[3]
    return each


def flat(trees: list[Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Return trees as the arrays that they are shipped as."""
    nodes: list[list[float]] = []

    def put(each: Any) -> int:
        place = len(nodes)
        nodes.append([0, np.inf, place, place, 0.0])
        if isinstance(each, float):
            nodes[place][4] = each
        else:
            nodes[place][:4] = [each[0], each[1], put(each[2]), put(each[3])]
        return place

    roots = [put(each) for each in trees]
    columns = [np.array(column) for column in zip(*nodes, strict=True)]
    feature, left, right = (columns[n].astype(int) for n in (0, 2, 3))
    return {
        "feature": feature, "threshold": columns[1], "left": left, "right": right,
        "value": columns[4], "roots": np.array(roots), "base": np.array(0.5),
        "depth": np.array(4),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "veto"),
    [
        ("Book a table for four", "Book a table for five", "numbers"),
        ("Is it open on Sunday?", "Is it open on Monday?", "dates"),
        ("Turn on the light", "Turn off the light", "opposites"),
        ("Trains from Rome to Berlin", "Trains from Berlin to Rome", "direction"),
        ('Translate "good day"', 'Translate "good night"', "quoted"),
    ],
)
def test_a_veto_stands_whatever_else_is_said(one: str, other: str, veto: str) -> None:
    """A conflict in what must not differ is no hit, and the network is not even asked."""
    judge = Sure()

    verdict = judge.judge(text(one), text(other), 0.999)

    assert verdict.confidence == 0
    assert veto in verdict.vetoes
    assert judge.asked == 0


def test_the_network_moves_the_decision() -> None:
    """The same pair is a hit or none by what the network says."""
    pair = text("How do I reset my password?"), text("How can I reset my password?")

    assert Sure(9.0).judge(*pair, 0.97).confidence > verify.THRESHOLD
    assert Sure(-9.0).judge(*pair, 0.97).confidence < verify.THRESHOLD


def test_a_pair_that_may_be_served_is_read_in_both_orders() -> None:
    """What may be a hit is read twice, so that it does not matter which was asked first."""

    class Ordered(Sure):
        def network(self, one: list[int], other: list[int]) -> float:
            self.asked += 1
            return 3.0 if one < other else 1.0

    one, other = text("How do I reset my password?"), text("How might I change a password?")
    judge = Ordered()

    verdict, turned = judge.judge(one, other, 0.97), judge.judge(other, one, 0.97)

    assert judge.asked == 4
    assert verdict.network == turned.network == 2.0
    assert verdict.confidence == turned.confidence


def test_what_the_network_has_not_seen_as_a_whole_it_cannot_agree_to() -> None:
    """Of long texts it reads the beginnings: it may object, and no agreement makes a hit."""
    long = text("how do i reset my password " * 12)

    assert Sure(9.0).judge(long, long, 0.99).confidence < verify.THRESHOLD


@given(one=TEXTS, other=TEXTS, cosine=st.floats(0, 1))
def test_trees_see_the_same_in_both_directions(one: str, other: str, cosine: float) -> None:
    """The features of two texts do not depend on which was asked first."""
    a, b = guards.read(one), guards.read(other)

    assert features(a, b, guards.compare(a, b), cosine) == features(
        b, a, guards.compare(b, a), cosine
    )


@given(cosine=st.floats(-1, 1), agreed=st.floats(-40, 40))
def test_a_confidence_is_between_0_and_1(cosine: float, agreed: float) -> None:
    """However far judges go, and more agreement never lowers it."""
    assert 0 <= moved(cosine, agreed) <= moved(cosine, agreed + 1) <= 1


def test_missing_weights_are_said_in_one_sentence() -> None:
    """A package without its weights cannot compare, and says so."""
    with pytest.raises(ModelError, match="weights cannot be read"):
        verify.load_weights("another.npz")
