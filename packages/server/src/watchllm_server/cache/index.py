"""Which kept questions of a scope are near a vector: in memory, a part for each scope."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from watchllm_server.cache.embed import Vector

    Array = np.ndarray[Any, Any]

MAX_ENTRIES: Final = 100_000
# Beyond it, comparing with each takes longer than a graph of neighbours does.
_MANY: Final = 500
_STEPS: Final = 127
_FIRST: Final = 8


class Near(NamedTuple):
    """The key of a kept question, and the cosine between its vector and the one asked for."""

    key: bytes
    cosine: float


class Index(Protocol):
    """Find neighbours. Safe to use from any thread."""

    def add(self, scope: bytes, key: bytes, vector: Vector) -> list[bytes]:
        """Put a question into its scope, and return the keys of those that had to go."""
        ...

    def nearest(self, scope: bytes, vector: Vector, most: int, least: float) -> list[Near]:
        """Return up to `most` of a scope with a cosine of `least` or more, the nearest first."""
        ...

    def remove(self, keys: Iterable[bytes]) -> None:
        """Forget questions; keys that are not there are passed over."""
        ...

    def __len__(self) -> int: ...


class MemoryIndex:
    """Keep vectors in int8: 0.4 kB each. What was used longest ago goes first.

    All vectors have one length of 1; a vector of another size than its scope's finds nothing. A
    scope of more than `many` questions becomes a graph.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES, *, many: int = _MANY) -> None:
        self._max = max_entries
        self._many = many
        self._lock = threading.Lock()
        self._parts: dict[bytes, _Part] = {}
        # The scope of each key, the one that was used longest ago first.
        self._where: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._where)

    def add(self, scope: bytes, key: bytes, vector: Vector) -> list[bytes]:
        """Put a question into its scope, and return the keys of those that had to go."""
        with self._lock:
            if key in self._where:
                self._drop(key)
            part = self._parts.get(scope)
            if part is None:
                part = self._parts[scope] = _Rows(len(vector))
            if part.size != len(vector):
                return []
            part.add(key, vector)
            self._parts[scope] = _grown(part, self._many)
            self._where[key] = scope
            gone = []
            while len(self._where) > self._max:
                oldest = next(iter(self._where))
                self._drop(oldest)
                gone.append(oldest)
            return gone

    def nearest(self, scope: bytes, vector: Vector, most: int, least: float) -> list[Near]:
        """Return up to `most` of a scope with a cosine of `least` or more, the nearest first."""
        with self._lock:
            part = self._parts.get(scope)
            if part is None or part.size != len(vector):
                return []
            found = [near for near in part.nearest(vector, most) if near.cosine >= least]
            for near in found:
                self._where[near.key] = self._where.pop(near.key)
            return found

    def remove(self, keys: Iterable[bytes]) -> None:
        """Forget questions; keys that are not there are passed over."""
        with self._lock:
            for key in keys:
                if key in self._where:
                    self._drop(key)

    def _drop(self, key: bytes) -> None:
        scope = self._where.pop(key)
        part = self._parts[scope]
        part.remove(key)
        if not len(part):
            del self._parts[scope]


class _Part(Protocol):
    """The questions of one scope."""

    size: int

    def __len__(self) -> int: ...

    def add(self, key: bytes, vector: Vector) -> None: ...

    def remove(self, key: bytes) -> None: ...

    def nearest(self, vector: Vector, most: int) -> list[Near]: ...


class _Rows:
    """A few questions: each is compared."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._keys: list[bytes] = []
        self._places: dict[bytes, int] = {}
        self._rows: Array = np.zeros((_FIRST, size), np.int8)
        self._scales: Array = np.zeros(_FIRST, np.float32)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: bytes, vector: Vector) -> None:
        place = len(self._keys)
        if place == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            self._scales = np.concatenate([self._scales, np.zeros_like(self._scales)])
        self._scales[place] = _scale(vector)
        self._rows[place] = _bytes(vector)
        self._keys.append(key)
        self._places[key] = place

    def remove(self, key: bytes) -> None:
        """Take a row out, and put the last into its place."""
        place, last = self._places.pop(key), len(self._keys) - 1
        moved = self._keys.pop()
        if place != last:
            self._rows[place] = self._rows[last]
            self._scales[place] = self._scales[last]
            self._keys[place] = moved
            self._places[moved] = place

    def nearest(self, vector: Vector, most: int) -> list[Near]:
        count_ = len(self._keys)
        cosines = (self._rows[:count_].astype(np.float32) @ vector) * self._scales[:count_]
        order = np.argsort(-cosines)[:most]
        return [Near(self._keys[int(place)], float(cosines[place])) for place in order]

    def rows(self) -> Iterable[tuple[bytes, Array]]:
        """Return the keys with their vectors in int8."""
        return zip(self._keys, self._rows[: len(self._keys)], strict=True)


class _Graph:
    """Many questions: a graph of neighbours, which compares with a few hundred."""

    def __init__(self, graph: Any, rows: _Rows) -> None:
        self.size = rows.size
        self._graph = graph
        self._labels = count()
        self._keys: dict[int, bytes] = {}
        self._label: dict[bytes, int] = {}
        for key, row in rows.rows():
            self._link(key, row)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: bytes, vector: Vector) -> None:
        self._link(key, _bytes(vector))

    def remove(self, key: bytes) -> None:
        label = self._label.pop(key)
        del self._keys[label]
        self._graph.remove(label)

    def nearest(self, vector: Vector, most: int) -> list[Near]:
        found = self._graph.search(_bytes(vector), most)
        return [
            Near(self._keys[int(label)], 1.0 - float(distance))
            for label, distance in zip(found.keys, found.distances, strict=True)
            if int(label) in self._keys
        ]

    def _link(self, key: bytes, row: Array) -> None:
        label = next(self._labels)
        self._keys[label] = key
        self._label[key] = label
        self._graph.add(label, row)


def _grown(part: _Part, many: int) -> _Part:
    """Return a part in the form that suits its length."""
    if not isinstance(part, _Rows) or len(part) <= many:
        return part
    try:
        from usearch.index import Index as Graph  # noqa: PLC0415 - an extra
    except ImportError:
        return part
    graph = Graph(
        ndim=part.size, metric="cos", dtype="i8",
        connectivity=16, expansion_add=64, expansion_search=64,
    )  # fmt: skip
    return _Graph(graph, part)


def _scale(vector: Vector) -> float:
    return max(float(np.abs(vector).max()), 1e-9) / _STEPS


def _bytes(vector: Vector) -> Array:
    found: Array = np.round(vector / _scale(vector))
    return found.astype(np.int8)
