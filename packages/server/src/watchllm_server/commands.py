"""The commands and their options."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from watchllm_server.cli import COMMANDS
from watchllm_server.errors import MetadataError, StartError, TransferError
from watchllm_server.settings import SETTINGS, load_settings
from watchllm_server.transfer.commands import (
    EXPORT_HELP,
    IMPORT_HELP,
    export_events,
    import_events,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from watchllm_server.metadata import Metadata

_CANNOT_START = 2
_HELP = {setting.name: f"{setting.help} [env: {setting.env}]" for setting in SETTINGS}

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="WatchLLM."
)
_projects = typer.Typer(no_args_is_help=True, help=COMMANDS["projects"])
_keys = typer.Typer(no_args_is_help=True, help=COMMANDS["keys"])
app.add_typer(_projects, name="projects")
app.add_typer(_keys, name="keys")
app.command("export", help=EXPORT_HELP)(export_events)
app.command("import", help=IMPORT_HELP)(import_events)

DataDir = Annotated[str | None, typer.Option("--data-dir", metavar="DIR", help=_HELP["data_dir"])]


class Endpoint(StrEnum):
    """Who answers the demo's calls."""

    AUTO = "auto"
    LOCAL = "local"
    SCRIPTED = "scripted"


def run(argv: Sequence[str]) -> int:
    """Run a command; a problem that stops it is one sentence and exit code 2."""
    try:
        app(list(argv), prog_name="watchllm")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else _CANNOT_START
    except (StartError, MetadataError, TransferError) as error:
        print(f"watchllm: {error}", file=sys.stderr)  # noqa: T201 - the command's own output
        return _CANNOT_START
    return 0


@app.command(help=COMMANDS["serve"])
def serve(
    host: Annotated[str | None, typer.Option(help=_HELP["host"])] = None,
    port: Annotated[str | None, typer.Option(metavar="PORT", help=_HELP["port"])] = None,
    data_dir: DataDir = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help=_HELP["store"])] = None,
) -> None:
    """Start the server and run it until SIGTERM or Ctrl-C."""
    from watchllm_server.serve import serve_forever  # noqa: PLC0415 - loads the engine

    settings = load_settings(os.environ, host=host, port=port, data_dir=data_dir, store=store)
    raise typer.Exit(serve_forever(settings))


@app.command(help=COMMANDS["demo"])
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Exit after the table: 0 if every event was found.")
    ] = False,
    llm: Annotated[
        Endpoint,
        typer.Option(
            help="Who answers: auto takes your endpoint if OPENAI_* is set, else a script."
        ),
    ] = Endpoint.AUTO,
    port: Annotated[int, typer.Option(help="Port of the demo's server.")] = 8787,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep the data here. Default: a directory that is removed."
        ),
    ] = None,
) -> None:
    """Run the example programs against a server of their own and show what was recorded."""
    from watchllm_server.demo.run import run_demo  # noqa: PLC0415 - loads what only it needs

    raise typer.Exit(run_demo(once=once, llm=llm.value, port=port, data_dir=data_dir))


@_projects.command("create", help="Create a project.")
def create_project(
    name: Annotated[str, typer.Argument(help="Its name; its id is made from it.")],
    data_dir: DataDir = None,
) -> None:
    """Create a project and say how to get a key for it."""
    with _metadata(data_dir) as metadata:
        project = metadata.create_project(name)
    _say(f"Created project {project.name!r} with the id {project.id}.")
    _say(f"Make a key for it: watchllm keys create --project {project.id}")


@_projects.command("list", help="List the projects.")
def list_projects(data_dir: DataDir = None) -> None:
    """List the projects, the oldest first."""
    with _metadata(data_dir) as metadata:
        projects = metadata.projects()
    table = _table("id", "name", "created (UTC)")
    for project in projects:
        table.add_row(project.id, project.name, f"{project.created_at:%Y-%m-%d %H:%M}")
    _show(table, len(projects), "There is no project yet: watchllm projects create NAME")


@_keys.command("create", help="Create a key and show it, this once.")
def create_key(
    project: Annotated[str, typer.Option(help="Name or id of its project.")],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Create a key; only its hash is kept."""
    with _metadata(data_dir) as metadata:
        found = metadata.project(project)
        if found is None:
            message = f"There is no project {project!r}. See `watchllm projects list`."
            raise MetadataError(message)
        _, secret = metadata.create_key(found.id, name=name)
    _say(f"A key of project {found.name!r}. It is not shown again:")
    _say(f"export WATCHLLM_PROJECT_ID={found.id}")
    _say(f"export WATCHLLM_API_KEY={secret}")


@_keys.command("list", help="List the keys by their first characters.")
def list_keys(data_dir: DataDir = None) -> None:
    """List the keys, the oldest first."""
    with _metadata(data_dir) as metadata:
        keys = metadata.all_keys()
    table = _table("key", "project", "name", "created (UTC)")
    for key, project in keys:
        created = f"{key.created_at:%Y-%m-%d %H:%M}"
        table.add_row(f"{key.prefix}...", project.id, key.name, created)
    _show(table, len(keys), "There is no key yet: watchllm keys create --project NAME")


@contextmanager
def _metadata(data_dir: str | None) -> Iterator[Metadata]:
    """Open the projects and keys; a running server sees what changes within a second."""
    from watchllm_server import datadir  # noqa: PLC0415 - with SQLAlchemy, half a second
    from watchllm_server.clock import SystemClock  # noqa: PLC0415 - likewise
    from watchllm_server.metadata import Metadata  # noqa: PLC0415 - likewise

    directory = datadir.prepare(load_settings(os.environ, data_dir=data_dir).data_dir)
    metadata = Metadata(directory / "metadata.db", SystemClock())
    try:
        yield metadata
    finally:
        metadata.close()


def _say(line: str) -> None:
    """Print a line as it is, however narrow the terminal: people and scripts copy it."""
    Console().print(line, markup=False, highlight=False, soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _show(table: Table, rows: int, otherwise: str) -> None:
    if rows:
        Console().print(table)
    else:
        _say(otherwise)
