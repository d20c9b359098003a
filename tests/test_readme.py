"""What the README tells a newcomer to do works as written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Server

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_quick_start_runs_and_its_call_is_stored(server: Server) -> None:
    """The README's program, at most 20 lines, logs a call that the server then has."""
    program = blocks("python")[0]

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=server.environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    run = server.run("my-first-run")

    assert len(program.splitlines()) <= 20
    assert done.stderr == ""
    assert run["events"][0]["response"]


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    """`make demo` and `make test` stand in the README and in the Makefile."""
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()

    for command in ("demo", "test"):
        assert f"make {command}" in README
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_example_is_accepted_and_reads_back(server: Server) -> None:
    """The README's curl lines post an event and read its run with nothing but a shell."""
    script = next(block for block in blocks("bash") if "events/batch" in block)

    done = subprocess.run(
        ["bash", "-euc", script],
        env=server.environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )

    assert '"total_processed":1' in done.stdout.replace(" ", "")
    assert '"run_id":"from-the-shell"' in done.stdout.replace(" ", "")
