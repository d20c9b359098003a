"""The data directory: made, checked and owned."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from watchllm_server import datadir
from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """The directory is made with its parents, and nobody else may look into it."""
    made = datadir.prepare(tmp_path / "a" / "b")

    assert made == (tmp_path / "a" / "b").resolve()
    assert made.stat().st_mode & 0o077 == 0
    assert list(made.iterdir()) == []


def test_it_is_owned_once_at_a_time(tmp_path: Path) -> None:
    """A second owner is told who the first is; after it the directory is free."""
    with (
        datadir.owned(tmp_path),
        pytest.raises(StartError, match=f"pid {os.getpid()}"),
        datadir.owned(tmp_path),
    ):
        pass

    with datadir.owned(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_fault_inside_passes_through(tmp_path: Path) -> None:
    """What fails while the directory is owned is not taken for a fault of the directory."""
    with pytest.raises(FileNotFoundError), datadir.owned(tmp_path):
        (tmp_path / "none").read_text()
