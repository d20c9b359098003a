"""The index: neighbours of a scope, and of no other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keeping import key
from watchllm_server.cache.index import MemoryIndex

SIZE = 16
Vector = np.ndarray[tuple[int], np.dtype[np.float32]]


def vector(seed: int, size: int = SIZE) -> Vector:
    """Return a vector of length 1."""
    found = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return found / np.linalg.norm(found)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 30), st.sampled_from("ab")),
        max_size=60,
    ),
    asked=st.integers(0, 30),
)
def test_it_finds_what_comparing_with_each_finds(
    steps: list[tuple[str, int, str]], asked: int
) -> None:
    """After any additions, moves and removals, the nearest of a scope are those of that scope."""
    index, kept = MemoryIndex(), dict[int, str]()
    for step, seed, scope in steps:
        if step == "add":
            index.add(scope.encode(), key(seed), vector(seed))
            kept[seed] = scope
        else:
            index.remove([key(seed), key("another")])
            kept.pop(seed, None)

    found = index.nearest(b"a", vector(asked), 3, 0.1)

    cosines = {key(n): float(vector(n) @ vector(asked)) for n, s in kept.items() if s == "a"}
    expected = sorted((c for c in cosines.values() if c >= 0.13), reverse=True)[:3]
    assert len(index) == len(kept)
    assert [near.cosine for near in found][: len(expected)] == pytest.approx(expected, abs=0.02)
    assert all(cosines[near.key] == pytest.approx(near.cosine, abs=0.02) for near in found)


def test_a_scope_never_shows_what_is_in_another() -> None:
    """The same vector in another scope is not found, however alike it is."""
    index = MemoryIndex()
    index.add(b"a", key(1), vector(1))

    assert index.nearest(b"b", vector(1), 3, -1) == []
    assert [near.key for near in index.nearest(b"a", vector(1), 3, -1)] == [key(1)]


def test_what_was_used_longest_ago_has_to_go() -> None:
    """The number of entries is bounded over all scopes; one that is found stays."""
    index = MemoryIndex(3)
    for n in range(3):
        index.add(b"a", key(n), vector(n))
    index.nearest(b"a", vector(0), 1, 0.9)

    assert index.add(b"b", key(3), vector(3)) == [key(1)]
    assert len(index) == 3
    assert index.nearest(b"a", vector(1), 1, 0.99) == []


def test_many_questions_of_a_scope_are_found_by_a_graph() -> None:
    """Thousands in one scope are found as surely, also after half of them were removed."""
    index = MemoryIndex()
    for n in range(1_200):
        index.add(b"a", key(n), vector(n, 64))
    index.remove(key(n) for n in range(0, 1_200, 2))

    found = [index.nearest(b"a", vector(n, 64), 1, 0.9) for n in range(1_200)]

    assert all(not near for near in found[::2])
    right = sum(near[0].key == key(2 * n + 1) for n, near in enumerate(found[1::2]) if near)
    assert right >= 590
    assert len(index) == 600


def test_vectors_of_another_model_find_nothing() -> None:
    """A vector of another size is neither kept in a scope nor compared with those in it."""
    index = MemoryIndex()
    index.add(b"a", key(1), vector(1))

    assert index.add(b"a", key(2), vector(2, 8)) == []
    assert index.nearest(b"a", vector(2, 8), 3, -1) == []
    assert len(index) == 1
