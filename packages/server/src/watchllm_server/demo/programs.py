"""The example programs that the demo runs, each in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from watchllm_server.demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 300
LOGGED = re.compile(r"\blogged (?P<event_type>\S+) (?P<event_id>\S+) run=(?P<run_id>.+?)\s*$")


@dataclass(frozen=True)
class Program:
    """A program to run, and what it is in a few words."""

    path: Path
    what: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return self.path.name


EXAMPLES = (
    ("openai_chat.py", "a chat app"),
    ("research_agent.py", "a research agent of three steps"),
    ("error_handling.py", "errors with their context"),
    # Its answers are kept by now: what an app that repeats itself saves.
    ("openai_chat.py", "the chat app once more"),
)


@dataclass(frozen=True)
class Logged:
    """An event that the SDK took from a program."""

    program: str
    event_type: str
    event_id: str
    run_id: str


@dataclass(frozen=True)
class Outcome:
    """How a program ended, and what it logged."""

    program: Program
    exit_code: int
    seconds: float
    logged: tuple[Logged, ...]
    output: str

    @property
    def good(self) -> bool:
        """Whether the program did its work: a program that logs nothing did not."""
        return self.exit_code == 0 and bool(self.logged)


def examples_folder() -> Path:
    """Return the folder of the examples: inside the package, or in the checkout around it."""
    packaged = Path(__file__).with_name("programs")
    around = (parent / "examples" for parent in Path(__file__).parents)
    for folder in (packaged, *around):
        if all((folder / file).is_file() for file, _ in EXAMPLES):
            return folder
    raise DemoError(
        "The example programs are missing from this installation of watchllm-server: "
        "install it anew.",
        exit_code=2,
    )


def example_programs() -> tuple[Program, ...]:
    """Return the programs that the demo runs, in their order."""
    folder = examples_folder()
    return tuple(Program(folder / file, what) for file, what in EXAMPLES)


def run_program(program: Program, environment: Mapping[str, str], folder: Path) -> Outcome:
    """Run a program to its end, and read from the SDK's debug lines what it logged.

    A program that takes longer than 300 seconds is ended; its exit code is then -9.
    """
    start = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 - our own examples, by this interpreter
            [sys.executable, str(program.path)],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        exit_code, stdout, stderr = -9, late.stdout or b"", late.stderr or b""
        stderr += f"\nIt was ended after {SECONDS} seconds.".encode()
    else:
        exit_code, stdout, stderr = done.returncode, done.stdout, done.stderr
    said = stderr.decode("utf-8", "replace")
    return Outcome(
        program=program,
        exit_code=exit_code,
        seconds=time.monotonic() - start,
        logged=logged_events(program.file, said),
        output=f"{stdout.decode('utf-8', 'replace')}\n{said}",
    )


def logged_events(program: str, lines: str) -> tuple[Logged, ...]:
    """Return the events named by the lines that the SDK writes with WATCHLLM_DEBUG=1."""
    found = (LOGGED.search(line) for line in lines.splitlines())
    return tuple(
        Logged(program, match["event_type"], match["event_id"], match["run_id"])
        for match in found
        if match
    )
