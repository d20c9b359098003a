"""Large blocks of memory go back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
