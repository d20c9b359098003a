"""Large blocks of memory go back to the system, and what stays is not looked through again."""

from __future__ import annotations

import subprocess
import sys

import pytest
from watchllm_server.heap import give_back_what_the_engine_left

# As in a server that reads bodies: large blocks of many sizes, and small ones between that stay.
PROGRAM = """
import sys
from pathlib import Path
from watchllm_server.heap import give_back_large_blocks
def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
print(not int(sys.argv[1]) or give_back_large_blocks())
bytes(20_000_000)
start = memory()
kept = []
bodies = []
for size in range(150_000, 650_000, 1_000):
    bodies.append(b"x" * size)
    kept.append(bytearray(2_000))
full = memory()
del bodies
print((memory() - start) / (full - start) < 0.5)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep memory in other ways")
def test_what_large_bodies_took_is_given_back() -> None:
    """After the bodies are gone most of their memory is, though small blocks between them stay."""
    found = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, on], check=True, capture_output=True, text=True
        ).stdout.split()
        for on in ("0", "1")
    ]

    assert found == [["True", "False"], ["True", "True"]]


# A cycle that is old when what stays is marked, and one that is made after it.
CYCLES = """
import gc
import weakref
from watchllm_server.heap import look_past_what_stays
class Node: pass
def cycle():
    node = Node()
    node.itself = node
    return weakref.ref(node)
gc.disable()
before = cycle()
kept = [[] for _ in range(50_000)]
look_past_what_stays()
after = cycle()
print(before() is None, gc.get_freeze_count() > 50_000, len(gc.get_objects()) < 1_000)
gc.enable()
more = [[] for _ in range(50_000)]
print(after() is None)
"""


def test_what_stays_is_left_alone_and_new_cycles_are_found() -> None:
    """Cycles are found before what stays is set apart, and among what is made after it."""
    found = subprocess.run(
        [sys.executable, "-c", CYCLES], check=True, capture_output=True, text=True
    ).stdout.split()

    assert found == ["True"] * 4


@pytest.mark.parametrize(("set_before", "told"), [(None, "dirty_decay_ms:1000"), ("", "")])
def test_the_engine_is_told_before_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch, set_before: str | None, told: str
) -> None:
    """The engine's allocator finds its options where it looks, and those that were set stay."""
    monkeypatch.setenv("JE_MALLOC_CONF", set_before or "")
    if set_before is None:
        monkeypatch.delenv("JE_MALLOC_CONF")

    give_back_what_the_engine_left()

    found = subprocess.run(
        ["env"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert f"JE_MALLOC_CONF={told}" in found
