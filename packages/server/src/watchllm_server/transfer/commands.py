"""The commands `watchllm export` and `watchllm import`."""

from __future__ import annotations

import gzip
import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from watchllm_server.errors import TransferError
from watchllm_server.transfer.connection import DEFAULT_BASE_URL, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Each paragraph is one line, which the terminal wraps.
EXPORT_HELP = """Write a project's events to a file, while the server runs.

JSON lines hold each event as it was sent, and `watchllm import` takes them again. \
CSV and Parquet are tables, for spreadsheets and data frames. \
The events come the oldest first, a few MB at a time, however many there are.

    watchllm export -o events.jsonl

    watchllm export --format parquet --from 2026-11-01 -o november.parquet

    watchllm export --event-type error | jq .error.message
"""
IMPORT_HELP = """Send the events of a file of JSON lines to a server.

Takes what `watchllm export` writes, also compressed with gzip, into the project of the key. \
An event is known by its id: a file that is sent twice is stored once, so after a failure simply \
start again. Costs are made anew from the prices at the time of each event.

    watchllm import events.jsonl

    zcat backup-*.gz | watchllm import -
"""
_MOST_SHOWN = 10

BaseUrl = Annotated[
    str,
    typer.Option(
        "--base-url", metavar="URL", envvar="WATCHLLM_BASE_URL",
        help="Address of the server, which ends in /v1.",
    ),
]  # fmt: skip
ApiKey = Annotated[
    str,
    typer.Option(
        "--api-key", metavar="KEY", envvar="WATCHLLM_API_KEY",
        help="Key of the project. Better set the variable: others can see the options.",
    ),
]  # fmt: skip
Many = list[str] | None


class Format(StrEnum):
    """What an export is written as."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def export_events(  # noqa: PLR0917 - typer passes the options by name
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is the output.")
    ] = "-",
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.JSONL,
    date_from: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From this day or time on, in UTC.")
    ] = None,
    date_to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Before this day or time, in UTC.")
    ] = None,
    event_types: Annotated[
        Many,
        typer.Option("--event-type", metavar="TYPE", help="Only of this type; may be repeated."),
    ] = None,
    models: Annotated[
        Many, typer.Option("--model", metavar="NAME", help="Only of this model; may be repeated.")
    ] = None,
    tags: Annotated[
        Many, typer.Option("--tag", metavar="TAG", help="Only with this tag; may be repeated.")
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="Only of this run.")
    ] = None,
    user_id: Annotated[
        str | None, typer.Option("--user-id", metavar="ID", help="Only of this user.")
    ] = None,
    env: Annotated[
        str | None, typer.Option("--env", metavar="NAME", help="Only of this environment.")
    ] = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="NAME", help="Only of this release.")
    ] = None,
    base_url: BaseUrl = DEFAULT_BASE_URL,
    api_key: ApiKey = "",
) -> None:
    """Export events; a file is there when it is whole, and not before."""
    from watchllm_server.transfer.download import download  # noqa: PLC0415 - spares other commands

    single = {
        "date_from": date_from, "date_to": date_to, "run_id": run_id, "user_id": user_id,
        "env": env, "release": release,
    }  # fmt: skip
    many = {"event_types": event_types, "models": models, "tags": tags}
    parameters = [("format", form.value)]
    parameters += [(name, value) for name, value in single.items() if value is not None]
    parameters += [(name, value) for name, values in many.items() for value in values or ()]
    server = Server(base_url, key_of_project(api_key))
    with _progress("exporting", None) as advance, _output(output) as file:
        size = download(server, parameters, file, advance)
    where = "" if output == "-" else f" to {output}"
    _say(f"Exported {size:,} bytes{where}.")


def import_events(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON lines, or - for the input; .gz is unpacked.")
    ],
    base_url: BaseUrl = DEFAULT_BASE_URL,
    api_key: ApiKey = "",
) -> None:
    """Import events; the exit code is 1 when some were refused."""
    from watchllm_server.transfer.upload import upload  # noqa: PLC0415 - spares other commands

    server = Server(base_url, key_of_project(api_key))
    with _input(file) as (lines, size), _progress("importing", size) as advance:
        result = upload(server, lines, advance)
    for line, message in result.refused[:_MOST_SHOWN]:
        _say(f"line {line}: {message}")
    if result.refusals > _MOST_SHOWN:
        _say(f"... and {result.refusals - _MOST_SHOWN:,} more")
    _say(f"Imported {result.stored:,} events; {result.refusals:,} were refused.")
    raise typer.Exit(1 if result.refusals else 0)


def key_of_project(api_key: str) -> str:
    """Return the key; raise TransferError, which says how to make one, when it is empty."""
    if not api_key:
        raise TransferError(
            "Which project? Set WATCHLLM_API_KEY to its key, or give --api-key. "
            "`watchllm keys create --project NAME` makes one."
        )
    return api_key


@contextmanager
def _output(name: str) -> Iterator[IO[bytes]]:
    """Open what to write to; a file gets its name when all is written."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(name)
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(target)
    except OSError as error:
        raise TransferError(f"{name} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _input(name: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """Open what to read, with its size where it is known."""
    if name == "-":
        yield sys.stdin.buffer, None
        return
    path = Path(name)
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise TransferError(f"{name} cannot be read: {error.strerror}.") from error
    with file:
        if name.endswith(".gz"):
            with gzip.open(file) as unpacked:
                yield unpacked, None  # type: ignore[misc] # a reader of bytes like the other
        else:
            yield file, size


@contextmanager
def _progress(verb: str, size: int | None) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
        TransferSpeedColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(verb, total=size)
        yield lambda done: progress.advance(task, done)


def _say(line: str) -> None:
    """Tell on standard error: standard output may be the export."""
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)
