"""Migrations of the metadata: applied when they are missing, and no burden when they are not."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.script import ScriptDirectory
from watchllm_server.clock import SystemClock
from watchllm_server.metadata import Metadata
from watchllm_server.metadata.migrate import newest

if TYPE_CHECKING:
    from pathlib import Path

OPEN = """
import sys
from pathlib import Path
from watchllm_server.clock import SystemClock
from watchllm_server.metadata import Metadata
metadata = Metadata(Path(sys.argv[1]), SystemClock())
print([project.id for project in metadata.projects()], "alembic.command" in sys.modules)
"""


def test_the_last_file_is_the_last_migration() -> None:
    """The number in a file's name is its revision, and the highest is the one nothing follows."""
    config = Config()
    config.set_main_option("script_location", str(files("watchllm_server.metadata") / "migrations"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    assert script.get_heads() == [newest()]
    assert all(
        step.path.rpartition("/")[2].startswith(f"{step.revision}_")
        for step in script.walk_revisions()
    )


def test_tables_that_are_up_to_date_are_opened_without_the_tool(tmp_path: Path) -> None:
    """The second opening finds what the first has made, and loads nothing that migrates."""
    path = tmp_path / "metadata.db"
    first = Metadata(path, SystemClock())
    first.create_project("Shop", project_id="shop")
    first.close()

    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], check=True, capture_output=True, text=True
    )

    assert done.stdout == "['shop'] False\n"
