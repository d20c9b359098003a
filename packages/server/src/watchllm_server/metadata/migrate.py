"""Bring the tables of the metadata database up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Apply the migrations that are missing.

    Raises StartError when the tables were made by a newer version.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StartError(
            f"The metadata was written by a newer version of WatchLLM ({error}): upgrade "
            "watchllm-server, or choose another --data-dir."
        ) from error
