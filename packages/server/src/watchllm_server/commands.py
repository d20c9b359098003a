"""The commands and their options."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from watchllm_server import (
    access_commands,
    keeping_commands,
    limit_commands,
    price_commands,
    provider_commands,
    semantic_commands,
)
from watchllm_server.cli import COMMANDS
from watchllm_server.console import HELP, DataDir
from watchllm_server.errors import WatchLLMServerError
from watchllm_server.mcp.commands import MCP_HELP, serve_assistant
from watchllm_server.provider_settings import load_providers
from watchllm_server.settings import load_settings, read_config
from watchllm_server.transfer.commands import (
    EXPORT_HELP,
    IMPORT_HELP,
    export_events,
    import_events,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_CANNOT_START = 2

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="WatchLLM."
)
app.add_typer(access_commands.projects, name="projects")
app.add_typer(access_commands.keys, name="keys")
app.add_typer(provider_commands.providers, name="providers")
app.add_typer(price_commands.prices, name="prices")
app.add_typer(limit_commands.limits, name="limits")
app.add_typer(semantic_commands.models, name="models")
app.add_typer(semantic_commands.cache, name="cache")
keeping_commands.add_to(app)
app.command("export", help=EXPORT_HELP)(export_events)
app.command("import", help=IMPORT_HELP)(import_events)
app.command("mcp", help=MCP_HELP)(serve_assistant)


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
    except WatchLLMServerError as error:
        print(f"watchllm: {error}", file=sys.stderr)  # noqa: T201 - the command's own output
        return _CANNOT_START
    return 0


@app.command(help=COMMANDS["serve"])
def serve(
    host: Annotated[str | None, typer.Option(help=HELP["host"])] = None,
    port: Annotated[str | None, typer.Option(metavar="PORT", help=HELP["port"])] = None,
    data_dir: DataDir = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help=HELP["store"])] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings in TOML; the environment and options win."),
    ] = None,
) -> None:
    """Start the server and run it until SIGTERM or Ctrl-C."""
    from watchllm_server.serve import serve_forever  # noqa: PLC0415 - loads the engine

    told = read_config(config) if config else {}
    settings = load_settings(os.environ, told, host=host, port=port, data_dir=data_dir, store=store)
    raise typer.Exit(serve_forever(settings, load_providers(os.environ, config)))


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
