"""What every index does: one that compares with each, a graph, a database of several nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keeping import TurnedClock, entry, key
from watchllm_server.cache.entry import Kept
from watchllm_server.cache.index import MAX_ENTRIES, MemoryIndex
from watchllm_server.cache.pgvector import SharedQuestions
from watchllm_server.cache.questions import Row
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from watchllm_server.cache.index import Index

SIZE = 16
Vector = np.ndarray[tuple[int], np.dtype[np.float32]]


def vector(seed: int, size: int = SIZE) -> Vector:
    """Return a vector of length 1."""
    found = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return found / np.linalg.norm(found)


class Shelf(Protocol):
    """An index, with what brings a question into it."""

    clock: TurnedClock

    @property
    def index(self) -> Index: ...

    def keep(self, scope: bytes, key: bytes, vector: Vector) -> list[bytes]: ...


class InMemory:
    """The index of one node."""

    def __init__(self, most: int, many: int) -> None:
        self.index = MemoryIndex(most, many=many)
        self.clock = TurnedClock()

    def keep(self, scope: bytes, key: bytes, vector: Vector) -> list[bytes]:
        return self.index.add(scope, key, vector)


class InPostgres:
    """The questions of several nodes, of which this is one."""

    def __init__(self, url: str, most: int) -> None:
        self.clock = TurnedClock()
        self.index = SharedQuestions(url, Secret(b"s" * 32), self.clock, max_entries=most)
        self.index.load("e", 0.0)
        self.index.remove(key for (key,) in self.index._ask("SELECT key FROM watchllm_questions"))  # noqa: SLF001 - each test begins with an empty table

    def keep(self, scope: bytes, key: bytes, vector: Vector) -> list[bytes]:
        row = Row(key, scope, vector.astype(np.float16).tobytes())
        self.index.put(row, "e", "a question", Kept("project", "", entry()))
        return self.index.add(scope, key, vector)


@pytest.fixture(params=["each", "graph", "pgvector"])
def shelf_of(request: pytest.FixtureRequest) -> Iterator[Callable[..., Shelf]]:
    """Return what makes an empty index of each kind, with room for so many questions."""
    opened: list[InPostgres] = []

    def make(most: int = MAX_ENTRIES) -> Shelf:
        if request.param != "pgvector":
            return InMemory(most, many=0 if request.param == "graph" else MAX_ENTRIES)
        opened.append(InPostgres(request.getfixturevalue("pgvector_url"), most))
        return opened[-1]

    yield make
    for each in opened:
        each.index.close()


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 30), st.sampled_from("ab")),
        max_size=60,
    ),
    asked=st.integers(0, 30),
)
@settings(
    max_examples=40,
    # Each example makes an index of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_it_finds_what_comparing_with_each_finds(
    shelf_of: Callable[..., Shelf], steps: list[tuple[str, int, str]], asked: int
) -> None:
    """After any additions, moves and removals, the nearest of a scope are those of that scope."""
    shelf, kept = shelf_of(), dict[int, str]()
    for step, seed, scope in steps:
        if step == "add":
            shelf.keep(scope.encode(), key(seed), vector(seed))
            kept[seed] = scope
        else:
            shelf.index.remove([key(seed), key("another")])
            kept.pop(seed, None)

    found = shelf.index.nearest(b"a", vector(asked), 3, 0.1)

    cosines = {key(n): float(vector(n) @ vector(asked)) for n, s in kept.items() if s == "a"}
    expected = sorted((c for c in cosines.values() if c >= 0.13), reverse=True)[:3]
    assert len(shelf.index) == len(kept)
    assert [near.cosine for near in found][: len(expected)] == pytest.approx(expected, abs=0.02)
    assert all(cosines[near.key] == pytest.approx(near.cosine, abs=0.02) for near in found)


def test_a_scope_never_shows_what_is_in_another(shelf_of: Callable[..., Shelf]) -> None:
    """The same vector in another scope is not found, however alike it is."""
    shelf = shelf_of()
    shelf.keep(b"a", key(1), vector(1))

    assert shelf.index.nearest(b"b", vector(1), 3, -1) == []
    assert shelf.index.nearest(b"", vector(1), 3, -1) == []
    assert [near.key for near in shelf.index.nearest(b"a", vector(1), 3, -1)] == [key(1)]


def test_what_was_used_longest_ago_has_to_go(shelf_of: Callable[..., Shelf]) -> None:
    """The number of entries is bounded over all scopes; one that is found stays."""
    shelf = shelf_of(3)
    for n in range(3):
        shelf.keep(b"a", key(n), vector(n))
        shelf.clock.passed += 100
    shelf.index.nearest(b"a", vector(0), 1, 0.9)
    shelf.clock.passed += 100

    gone = [each for n in range(3, 6) for each in shelf.keep(b"b", key(n), vector(n))]

    assert gone == [key(1), key(2), key(0)]
    assert len(shelf.index) == 3
    assert shelf.index.nearest(b"a", vector(1), 1, 0.99) == []
    assert [near.key for near in shelf.index.nearest(b"b", vector(5), 1, 0.99)] == [key(5)]


def test_a_vector_of_another_size_finds_nothing(shelf_of: Callable[..., Shelf]) -> None:
    """A vector of another model is not compared with those of a scope, and fails nothing."""
    shelf = shelf_of()
    shelf.keep(b"a", key(1), vector(1))
    shelf.keep(b"a", key(2), vector(2, 8))

    assert shelf.index.nearest(b"a", vector(3, 4), 3, -1) == []
    assert [near.key for near in shelf.index.nearest(b"a", vector(1), 3, -1)] == [key(1)]
