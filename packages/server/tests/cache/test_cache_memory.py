"""What is kept in memory: the entries used last, within a bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from keeping import entry, key
from watchllm_server.cache.entry import Kept
from watchllm_server.cache.memory import Memory

STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "remove"]), st.integers(0, 9), st.integers(0, 3_000)),
    max_size=60,
)
ROOM = 10_000


def kept(size: int, project: str = "p") -> Kept:
    """Return an entry of a size."""
    return Kept(project, "", entry(b"x" * size))


@given(STEPS)
def test_it_never_takes_more_than_it_may(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is put, used and removed, the entries that are left fit, and the last put is one."""
    memory = Memory(ROOM)
    for what, name, size in steps:
        if what == "put":
            memory.put(key(name), kept(size))
            found = memory.get(key(name))
            # A thousand bytes are reckoned for what an entry takes besides its body.
            assert (found is not None) == (size + 1_000 <= ROOM // 4)
        elif what == "get":
            memory.get(key(name))
        else:
            memory.remove(key(name))
            assert memory.get(key(name)) is None
        left = [memory.get(key(each)) for each in range(10)]
        assert sum(len(each.entry.body) + 1_000 for each in left if each) <= ROOM


def test_what_was_used_longest_ago_goes_first() -> None:
    """A use counts as much as a put."""
    memory = Memory(ROOM)
    for name in range(5):
        memory.put(key(name), kept(1_000))
    memory.get(key(0))

    memory.put(key(5), kept(1_000))

    assert [memory.get(key(name)) is not None for name in range(6)] == [
        True, False, True, True, True, True,
    ]  # fmt: skip


def test_the_room_of_what_was_forgotten_is_free_again() -> None:
    """Those chosen go, and no others."""
    memory = Memory(ROOM)
    for name in range(5):
        memory.put(key(name), kept(1_000, "pq"[name % 2]))

    memory.remove_all(lambda each: each.project == "p")
    for name in (0, 2, 4):
        memory.put(key(name), kept(1_000))

    assert all(memory.get(key(name)) for name in range(5))
