"""What the tests of the cache share: a small model, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import tiny
from watchllm_server.cache import models

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return a folder with a published model, and the sums of its files."""
    folder = tmp_path_factory.mktemp("source")
    return folder, tiny.write_source(folder)


@pytest.fixture(scope="session")
def folder(source: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that is made from it."""
    target = tmp_path_factory.mktemp("models") / "made"
    models.build(source[0], target, source[1])
    return target
