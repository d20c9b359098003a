"""The commands that this package adds to `watchllm`, told without loading what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMANDS: Final[Mapping[str, str]] = {
    "serve": "Start the server: ingest, API and pages in one process.",
    "demo": "Log real LLM calls with the example programs and look at them.",
    "projects": "Create and list projects, and say how long their events are kept.",
    "erase": "Erase the events of a user or a run for good.",
    "backup": "Write the data directory to a file, while a server uses it.",
    "restore": "Make a data directory of a backup.",
    "doctor": "Say what is wrong with the server and what to do (--server).",
    "keys": "Create, list and revoke the keys of projects.",
    "providers": "List, test and give keys to the gateway's providers of models.",
    "prices": "List, search and set the prices of models, and say where one comes from.",
    "limits": "List and set what calls through the gateway may use: requests, tokens, dollars.",
    "models": "Fetch the model of the cache that compares questions by their meaning.",
    "cache": "Try the semantic cache on questions and on past calls of your own.",
    "export": "Write a project's events to a file, while the server runs.",
    "import": "Send the events of a file of JSON lines to a server.",
    "mcp": "Let an assistant ask about a project's runs, costs and errors.",
}


def main(argv: Sequence[str]) -> int:
    """Run the command that argv names and return the exit code: 2 when it cannot start."""
    from watchllm_server.commands import run  # noqa: PLC0415 - half a second that --help of others spares

    return run(argv)
