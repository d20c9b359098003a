"""Bring the tables of the metadata database up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FOLDER: Final = Path(__file__).parent / "migrations"
_VERSION: Final = "alembic_version"


def upgrade(connection: Connection) -> None:
    """Apply the migrations that are missing.

    Raises StartError when the tables were made by a newer version.
    """
    if _version(connection) == newest():
        return
    # Loaded only now: it takes a third of a second, and nearly always there is nothing to do.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - likewise
    from alembic.util import CommandError  # noqa: PLC0415 - likewise

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StartError(
            f"The metadata was written by a newer version of WatchLLM ({error}): upgrade "
            "watchllm-server, or choose another --data-dir."
        ) from error


def newest() -> str:
    """Return the number of the last migration: files are named by them."""
    return max(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def _version(connection: Connection) -> str | None:
    """Return the number of the last migration that was applied, None if none was."""
    if not inspect(connection).has_table(_VERSION):
        return None
    return connection.execute(text(f"SELECT version_num FROM {_VERSION}")).scalar()  # noqa: S608 - a constant
