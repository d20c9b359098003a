"""Forgetting answers: those that are meant, at once, and no others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from keeping import NOW, TurnedClock, entry, key, opened
from watchllm_server.cache.disk import FOLDER
from watchllm_server.cache.entry import Chosen
from watchllm_server.cache.forgetting import forget
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from watchllm_server.cache.store import CacheStore

SECRET = Secret(b"s" * 32)


@pytest.fixture
def clock() -> TurnedClock:
    """Return a clock to turn."""
    return TurnedClock()


@pytest.fixture
def store(tmp_path: Path, clock: TurnedClock) -> Iterator[CacheStore]:
    """Return a store that keeps little in memory, so that the disk is asked."""
    with closing(opened(tmp_path, clock=clock, hot_bytes=1)) as made:
        yield made


def test_invalidating_takes_those_that_are_meant_and_no_others(store: CacheStore) -> None:
    """Every condition counts, together with the others, within the project alone."""
    hour = 3_600
    rows = {
        "a": ("p", "", "gpt-4o", 0, "event-a"),
        "b": ("p", "ns", "gpt-4o", 1, "event-b"),
        "c": ("p", "ns", "claude", 2, "event-c"),
        "d": ("q", "ns", "claude", 2, "event-c"),
    }
    now = NOW.timestamp()
    cases = [
        (Chosen(), "abc"),
        (Chosen(model="gpt-4o"), "ab"),
        (Chosen(namespace="ns"), "bc"),
        (Chosen(namespace=""), "a"),
        (Chosen(model="gpt-4o", namespace="ns"), "b"),
        (Chosen(before=now + hour), "a"),
        (Chosen(after=now + hour), "bc"),
        (Chosen(after=now + hour, before=now + 2 * hour), "b"),
        (Chosen(event_id="event-c"), "c"),
        (Chosen(model="unknown"), ""),
    ]
    for number, (chosen, meant) in enumerate(cases):
        for name, (project, namespace, model, hours, event_id) in rows.items():
            made = now + hours * hour
            kept = entry(model=model, created_at=made, event_id=event_id)
            store.put(key(name), project, namespace, kept)
            if (number + ord(name)) % 2:
                store.flush()

        count = store.invalidate("p", chosen)

        left = "".join(name for name in rows if store.get(key(name)) is not None)
        assert left == "".join(name for name in "abcd" if name not in meant)
        assert count == len(meant)


def test_a_project_is_forgotten_where_no_server_runs(tmp_path: Path) -> None:
    """The commands of a stopped server forget as the server does, and where nothing is kept too."""
    before = forget(tmp_path, SECRET, "p")
    with closing(opened(tmp_path / FOLDER)) as store:
        for number in range(3):
            store.put(key(number), "p" if number else "q", "", entry())

    counts = [forget(tmp_path, SECRET, "p"), forget(tmp_path, SECRET, "p")]

    with closing(opened(tmp_path / FOLDER)) as store:
        found = [store.get(key(number)) is not None for number in range(3)]
        running = store.forget("q")
    assert before == 0
    assert counts == [2, 0]
    assert found == [True, False, False]
    assert running == 1


@pytest.mark.parametrize("chosen", [Chosen(), Chosen(model="another")])
def test_what_was_asked_for_before_answers_were_forgotten_is_not_kept(
    tmp_path: Path, chosen: Chosen
) -> None:
    """An answer that comes after its project's were forgotten, any of them, is not kept.

    One that was asked for later is, and so is another project's.
    """
    with closing(opened(tmp_path)) as store:
        begun = {project: store.generation(project) for project in "pq"}
        store.invalidate("p", chosen)

        store.put(key(1), "p", "", entry(), generation=begun["p"])
        store.put(key(2), "q", "", entry(), generation=begun["q"])
        store.put(key(3), "p", "", entry(), generation=store.generation("p"))

        kept = [number for number in (1, 2, 3) if store.get(key(number))]
    assert kept == [2, 3]


def test_what_is_invalidated_does_not_come_back(tmp_path: Path) -> None:
    """While many read and write, no answer is served again after it was invalidated."""
    ended = threading.Event()

    def read_on(store: CacheStore) -> None:
        while not ended.is_set():
            for number in range(20):
                store.get(key(number))

    with closing(opened(tmp_path)) as store, ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read_on, store) for _ in range(3)]
        try:
            for _ in range(30):
                for number in range(20):
                    store.put(key(number), "p", "", entry())
                store.invalidate("p", Chosen())
                assert [number for number in range(20) if store.get(key(number))] == []
                store.flush()
                assert [number for number in range(20) if store.get(key(number))] == []
        finally:
            ended.set()
        for reader in readers:
            reader.result()
