"""What the commands share: how they print, and how they open the projects and keys."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from watchllm_server.settings import SETTINGS, Setting, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchllm_server.metadata import Metadata


def _help(setting: Setting) -> str:
    # In brackets the variable would be taken for markup, and not be shown.
    default = f" Default: {setting.default}." if setting.default else ""
    return f"{setting.help}{default} Variable: {setting.env}."


HELP = {setting.name: _help(setting) for setting in SETTINGS}
DataDir = Annotated[str | None, typer.Option("--data-dir", metavar="DIR", help=HELP["data_dir"])]


@contextmanager
def open_metadata(data_dir: str | None) -> Iterator[Metadata]:
    """Open the projects and keys; a running server sees what changes within a second."""
    from watchllm_server import datadir  # noqa: PLC0415 - with SQLAlchemy, half a second
    from watchllm_server.clock import SystemClock  # noqa: PLC0415 - likewise
    from watchllm_server.metadata import Metadata  # noqa: PLC0415 - likewise

    settings = load_settings(os.environ, data_dir=data_dir)
    datadir.prepare(settings.data_dir)
    metadata = Metadata(settings.metadata_place, SystemClock())
    try:
        yield metadata
    finally:
        metadata.close()


def say(line: str) -> None:
    """Print a line as it is, however narrow the terminal: people and scripts copy it."""
    Console().print(line, markup=False, highlight=False, soft_wrap=True)


def table(*columns: str) -> Table:
    """Return an empty table without borders."""
    made = Table(box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def show(rows: Table, otherwise: str) -> None:
    """Print a table, or a sentence in place of an empty one."""
    if rows.row_count:
        Console().print(rows)
    else:
        say(otherwise)
