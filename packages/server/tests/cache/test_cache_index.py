"""The index in memory: what is its own; what every index does is in test_cache_backends.py."""

from __future__ import annotations

import numpy as np
from keeping import key
from watchllm_server.cache.index import MemoryIndex

Vector = np.ndarray[tuple[int], np.dtype[np.float32]]


def vector(seed: int, size: int = 16) -> Vector:
    """Return a vector of length 1."""
    found = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return found / np.linalg.norm(found)


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
