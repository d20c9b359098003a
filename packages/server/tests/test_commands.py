"""The commands as they are called, and how little is loaded to list them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from watchllm_server.cli import COMMANDS, main

if TYPE_CHECKING:
    from pathlib import Path


def test_a_project_and_a_key_are_made_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`projects` and `keys` create and list; a key is shown in full only when it is made."""
    place = ["--data-dir", str(tmp_path)]

    assert main(["projects", "create", "Support bot", *place]) == 0
    assert main(["keys", "create", "--project", "Support bot", "--name", "ci", *place]) == 0
    made = capsys.readouterr().out
    assert main(["projects", "list", *place]) == 0
    assert main(["keys", "list", *place]) == 0
    listed = capsys.readouterr().out

    secret = made.strip().rpartition("=")[2]
    assert secret.startswith("wllm_")
    assert "export WATCHLLM_PROJECT_ID=support-bot" in made.splitlines()
    assert "Support bot" in listed
    assert secret[:9] in listed
    assert secret not in listed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["keys", "create", "--project", "none"], "There is no project 'none'"),
        (["projects", "create", ""], "1 to 200 printable"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """A command that cannot do what is asked says why and returns 2."""
    assert main([*arguments, "--data-dir", str(tmp_path)]) == 2

    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of each command that is announced explains it."""
    assert main([command, "--help"]) == 0

    assert "Usage: watchllm" in capsys.readouterr().out


def test_an_unknown_option_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong call returns 2 and says what is wrong."""
    assert main(["serve", "--colour", "red"]) == 2

    assert "--colour" in capsys.readouterr().err


def test_listing_the_commands_loads_nothing() -> None:
    """Importing the module that lists the commands loads neither the engine nor the terminal's."""
    program = (
        "import sys, watchllm_server.cli\n"
        "print({'typer', 'rich', 'chdb', 'starlette', 'sqlalchemy'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"


def test_the_help_of_serve_names_variables_and_defaults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each option that is a setting says by which variable it is set, and what it is without."""
    assert main(["serve", "--help"]) == 0

    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in ("WATCHLLM_HOST", "WATCHLLM_DATA_DIR", "WATCHLLM_STORE", "Default: 8787."):
        assert words in said
