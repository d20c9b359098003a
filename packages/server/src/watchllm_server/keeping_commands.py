"""The commands `watchllm backup`, `restore`, `erase` and `doctor`."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Protocol

import typer
from rich.console import Console

from watchllm_server.cli import COMMANDS
from watchllm_server.console import DataDir, say
from watchllm_server.errors import BackupError, MetadataError, StartError
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchllm_server.control import Control
    from watchllm_server.keeping.backup import Backup
    from watchllm_server.keeping.erasure import Eraser
    from watchllm_server.metadata import Metadata
    from watchllm_server.store.deletion import Subject

_FAILED = 1


class Keeping(Protocol):
    """What the commands ask for: of the server that uses the directory, or done here."""

    def back_up(self, path: Path) -> int:
        """Write a backup and return its bytes."""
        ...

    def erase(self, project: str, subject: Subject, name: str) -> int:
        """Erase events and return how many."""
        ...


def add_to(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command("backup", help=COMMANDS["backup"])(back_up)
    app.command("restore", help=COMMANDS["restore"])(restore)
    app.command("erase", help=COMMANDS["erase"])(erase)
    app.command("doctor", help=COMMANDS["doctor"])(examine)


def back_up(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, as in backup.tar.")],
    data_dir: DataDir = None,
) -> None:
    """Write the data directory to a file, while a server uses it or not."""
    path = file.expanduser().absolute()
    with _keeping(data_dir) as keeping:
        size = keeping.back_up(path)
    say(f"Wrote {path}: {size / 1e6:,.1f} MB.")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `watchllm backup` wrote.")],
    data_dir: DataDir = None,
) -> None:
    """Make a data directory of a backup; the directory must be empty or not exist."""
    from watchllm_server.keeping import backup  # noqa: PLC0415 - loads SQLAlchemy

    if not file.is_file():
        raise BackupError(f"There is no file {file}.")
    directory = load_settings(os.environ, data_dir=data_dir).data_dir.absolute()
    backup.restore(file, directory)
    say(f"Restored {directory}. Start the server: watchllm serve --data-dir {directory}")


def erase(
    project: Annotated[str, typer.Option(help="Name or id of the project.")],
    user_id: Annotated[str | None, typer.Option(help="Erase the events of this user.")] = None,
    run_id: Annotated[str | None, typer.Option(help="Erase the events of this run.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Erase a user's or a run's events for good."""
    name = user_id or run_id
    if name is None or (user_id and run_id):
        raise MetadataError("Give --user-id or --run-id, one of them.")
    with _keeping(data_dir) as keeping:
        count = keeping.erase(project, "user" if user_id else "run", name)
    say(f"Erased {count:,} events.")


def examine(
    server: Annotated[
        bool, typer.Option("--server", help="Examine the server and its data directory.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Say what is wrong with the server and what to do; exit with 1 if anything is."""
    from watchllm_server.doctor import findings  # noqa: PLC0415 - loads SQLAlchemy

    if not server:
        raise StartError("`watchllm doctor --server` examines the server and its data directory.")
    console = Console()
    is_well = True
    for finding in findings(os.environ, data_dir):
        is_well = is_well and finding.is_well
        mark = "[green]ok  [/]" if finding.is_well else "[bold red]FAIL[/]"
        console.print(f"{mark} ", end="", highlight=False)
        console.print(finding.text, markup=False, highlight=False, soft_wrap=True)
        if finding.cure:
            console.print(f"     {finding.cure}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if is_well else _FAILED)


@contextmanager
def _keeping(data_dir: str | None) -> Iterator[Keeping]:
    """Own the data directory, or reach the server that does."""
    from watchllm_server import control, datadir  # noqa: PLC0415 - spared for `--help`

    settings = load_settings(os.environ, data_dir=data_dir)
    directory = datadir.prepare(settings.data_dir)
    with ExitStack() as stack:
        try:
            stack.enter_context(datadir.owned(directory))
        except datadir.OwnedError:
            yield _Remote(control.find(directory))
            return

        from watchllm_server.cache.forgetting import forget  # noqa: PLC0415 - spared for `--help`
        from watchllm_server.clock import SystemClock  # noqa: PLC0415 - loads the engine
        from watchllm_server.keeping.backup import Backup  # noqa: PLC0415 - likewise
        from watchllm_server.keeping.erasure import Eraser  # noqa: PLC0415 - likewise
        from watchllm_server.metadata import Metadata  # noqa: PLC0415 - likewise
        from watchllm_server.secrets import load_secret  # noqa: PLC0415 - likewise
        from watchllm_server.serve import open_store  # noqa: PLC0415 - likewise
        from watchllm_server.store.deletion import purge  # noqa: PLC0415 - likewise

        clock = SystemClock()
        metadata = stack.enter_context(closing(Metadata(settings.metadata_place, clock)))
        store = stack.enter_context(closing(open_store(settings, directory)))
        secret = load_secret(directory, settings.secret_key)
        eraser = Eraser(
            store, metadata, partial(purge, store, wait=True), partial(forget, directory, secret)
        )
        yield _Local(metadata, Backup(store, metadata, clock), eraser)


class _Remote:
    """Ask the server that uses the directory."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def back_up(self, path: Path) -> int:
        """Write a backup and return its bytes."""
        return int(self._control.ask("POST", "/v1/admin/backup", {"path": str(path)})["bytes"])

    def erase(self, project: str, subject: Subject, name: str) -> int:
        """Erase events and return how many."""
        known = self._control.ask("GET", "/v1/admin/projects")["projects"]
        ids = [each["id"] for each in known if project in (each["id"], each["name"])]
        if not ids:
            raise _no_project(project)
        path = f"/v1/admin/projects/{ids[0]}/erasures"
        return int(self._control.ask("POST", path, {f"{subject}_id": name})["erased_events"])


class _Local:
    """Do it here, where no server runs."""

    def __init__(self, metadata: Metadata, backup: Backup, eraser: Eraser) -> None:
        self._metadata = metadata
        self._backup = backup
        self._eraser = eraser

    def back_up(self, path: Path) -> int:
        """Write a backup and return its bytes."""
        return self._backup.write(path)

    def erase(self, project: str, subject: Subject, name: str) -> int:
        """Erase events and return how many."""
        found = self._metadata.project(project)
        if found is None:
            raise _no_project(project)
        return self._eraser.erase(found.id, subject, name).events


def _no_project(name: str) -> MetadataError:
    return MetadataError(f"There is no project {name!r}. See `watchllm projects list`.")
