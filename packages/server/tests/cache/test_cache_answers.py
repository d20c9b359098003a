"""Whether two answers say the same."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.cache.answers import plain, same
from watchllm_server.errors import ModelError


class Given:
    """Embeds a text as the vector that was given for it."""

    name = "given"

    def __init__(self, vectors: dict[str, tuple[float, float]] | None = None) -> None:
        self._vectors = vectors

    async def embed(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]] | None:
        if self._vectors is None:
            raise ModelError("broken")
        found = self._vectors.get(text)
        return None if found is None else np.array(found, np.float32)

    def close(self) -> None:
        pass


def told(one: str, other: str, embedder: Given | None = None) -> bool | None:
    """Return what is said of two answers."""
    return asyncio.run(same(one, other, embedder or Given()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Paris.", "paris"),
        ("**Paris** is the capital", "Paris is the\n capital."),
        ("Use `ls`", "use ls"),
        ("ﬁne", "fine"),
    ],
)
def test_what_a_model_varies_is_no_difference(one: str, other: str) -> None:
    """Case, spaces, emphasis and a mark at the end do not count, and no model is asked."""
    assert told(one, other) is True


@given(st.text(max_size=30))
def test_an_answer_is_the_same_as_itself(answer: str) -> None:
    """Any answer says what it says, and what is plain stays as it is."""
    assert told(answer, answer) is True
    assert plain(plain(answer)) == plain(answer)


def test_alike_answers_with_another_number_are_not_the_same() -> None:
    """However alike the vectors are, 30 days are not 14."""
    vectors = {"Within 30 days": (1.0, 0.0), "Within 14 days": (1.0, 0.0)}

    assert told("Within 30 days", "Within 14 days", Given(vectors)) is False


def test_other_wordings_are_told_by_their_vectors() -> None:
    """Near vectors say the same, others do not."""
    vectors = {"a b": (1.0, 0.0), "b c": (0.95, 0.3122), "c d": (0.0, 1.0)}

    assert told("a b", "b c", Given(vectors)) is True
    assert told("a b", "c d", Given(vectors)) is False


def test_what_cannot_be_told_is_not_guessed() -> None:
    """Without a vector, or with a broken model, nothing is said."""
    assert told("a b", "b c", Given({})) is None
    assert told("a b", "b c") is None


class Opinion:
    """Always has one opinion, and notes what it was asked."""

    def __init__(self, said: bool | None) -> None:
        self.said = said
        self.asked: list[tuple[str, ...]] = []

    async def same_question(self, one: str, other: str) -> bool | None:
        raise AssertionError

    async def same_answer(self, question: str, one: str, other: str) -> bool | None:
        self.asked.append((question, one, other))
        return self.said


@pytest.mark.parametrize(("said", "expected"), [(True, True), (False, False), (None, True)])
def test_a_reviewer_decides_where_words_leave_it_open(said: bool | None, expected: bool) -> None:
    """Its opinion goes before the vectors', and without one those decide."""
    reviewer = Opinion(said)
    vectors = Given({"It is blue": (1.0, 0.0), "Blue it is": (1.0, 0.0)})

    found = asyncio.run(
        same("It is blue", "Blue it is", vectors, question="Which?", reviewer=reviewer)
    )

    assert found is expected
    assert reviewer.asked == [("Which?", "It is blue", "Blue it is")]


def test_a_reviewer_is_not_asked_what_words_tell() -> None:
    """For equal answers, and for those whose numbers conflict, no call is paid for."""
    reviewer = Opinion(said=None)

    equal = asyncio.run(same("Paris", "paris.", Given(), reviewer=reviewer))
    conflict = asyncio.run(same("It is 5", "It is 6", Given(), reviewer=reviewer))

    assert (equal, conflict) == (True, False)
    assert reviewer.asked == []
