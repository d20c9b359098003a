"""The programs that the demo runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from watchllm_server.demo.programs import (
    EXAMPLES,
    Logged,
    Outcome,
    Program,
    example_programs,
    examples_folder,
    logged_events,
    run_program,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_the_examples_are_all_there() -> None:
    """The folder of examples holds each program of the demo, and the text that one searches."""
    names = {path.name for path in examples_folder().iterdir()}

    assert {*(file for file, _ in EXAMPLES), "research_corpus.md"} <= names
    assert [(program.file, program.what) for program in example_programs()] == list(EXAMPLES)


def test_the_events_are_read_from_the_debug_lines() -> None:
    """Each line `logged <type> <id> run=<run>` is an event, whatever stands before it."""
    lines = (
        "DEBUG watchllm: started\n"
        "DEBUG watchllm: logged prompt_call 0193-a run=run with spaces=1\n"
        "some other program logged nothing\n"
        "logged error 0193-b run=r2\r\n"
    )

    assert logged_events("x.py", lines) == (
        Logged("x.py", "prompt_call", "0193-a", "run with spaces=1"),
        Logged("x.py", "error", "0193-b", "r2"),
    )


@pytest.mark.parametrize("program", example_programs(), ids=lambda program: program.file)
def test_a_program_that_fails_is_not_good_and_shows_why(program: Program, tmp_path: Path) -> None:
    """A program without its settings ends with an error, and its output says which is missing."""
    outcome = run_program(program, {"OPENAI_API_KEY": "any"}, tmp_path)

    assert outcome.exit_code == 1
    assert not outcome.good
    assert "WATCHLLM_API_KEY" in outcome.output


def test_a_program_that_logs_nothing_is_not_good() -> None:
    """Ending well without an event is no success: there would be nothing to check."""
    silent = Outcome(example_programs()[0], exit_code=0, seconds=1.0, logged=(), output="")

    assert not silent.good
