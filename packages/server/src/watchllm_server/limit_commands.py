"""The commands `watchllm limits`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from watchllm_server.cli import COMMANDS
from watchllm_server.console import DataDir, open_metadata, say, show, table
from watchllm_server.errors import MetadataError

if TYPE_CHECKING:
    from watchllm_server.metadata import Limit, Metadata

limits = typer.Typer(no_args_is_help=True, help=COMMANDS["limits"])

_Project = Annotated[str, typer.Option(help="Name or id of the project.")]
_Unit = Annotated[str, typer.Argument(help="What is limited: requests, tokens or usd.")]
_Per = Annotated[str, typer.Argument(help="In which time: minute, day or month (UTC).")]
_Key = Annotated[
    str, typer.Option(help="Number of a key (`watchllm keys list`), or * for each apart.")
]
_User = Annotated[str, typer.Option(help="Id of a user (X-WatchLLM-User-Id), or * for each apart.")]
_Warn = Annotated[bool, typer.Option("--warn", help="Record an alert, and refuse nothing.")]


@limits.command("list", help="List the limits.")
def list_limits(
    project: Annotated[str | None, typer.Option(help="Name or id of one project.")] = None,
    data_dir: DataDir = None,
) -> None:
    """List the limits, by project."""
    from watchllm_server.limits import shown_amount  # noqa: PLC0415 - loads SQLAlchemy

    with open_metadata(data_dir) as metadata:
        found = metadata.limits.all(_owner(metadata, project) if project else None)
    rows = table("project", "of", "amount", "per", "beyond it")
    for limit in found:
        amount = f"{shown_amount(limit.amount, limit.unit)} {limit.unit}"
        beyond = "calls are refused" if limit.action == "refuse" else "an alert is recorded"
        rows.add_row(limit.project_id, _whose(limit), amount, limit.per, beyond)
    show(rows, "There is no limit: watchllm limits set usd month 50 --project NAME")


@limits.command("set", help="Limit what calls through the gateway may use.")
def set_limit(
    unit: _Unit,
    per: _Per,
    amount: Annotated[str, typer.Argument(help="How much: 600, or 2.50 of usd.")],
    *,
    project: _Project,
    key: _Key = "",
    user: _User = "",
    warn: _Warn = False,
    data_dir: DataDir = None,
) -> None:
    """Set a limit, in place of the one of the same kind; running servers have it in a second."""
    from watchllm_server.limits import new_limit  # noqa: PLC0415 - loads SQLAlchemy

    scope, subject = _subject(key, user)
    with open_metadata(data_dir) as metadata:
        owner = _owner(metadata, project)
        stored = metadata.limits.put(
            new_limit(
                owner,
                scope=scope,
                subject=subject,
                unit=unit,
                per=per,
                amount=amount,
                action=_action(warn=warn),
            )
        )
    beyond = "an alert is recorded" if warn else "calls are refused with 429"
    say(f"{_whose(stored).capitalize()} of {owner}: beyond {amount} {unit} a {per} {beyond}.")


@limits.command("remove", help="Remove a limit.")
def remove_limit(
    unit: _Unit,
    per: _Per,
    *,
    project: _Project,
    key: _Key = "",
    user: _User = "",
    warn: _Warn = False,
    data_dir: DataDir = None,
) -> None:
    """Remove a limit; running servers heed it no more after a second."""
    from watchllm_server.metadata.limits import Counted  # noqa: PLC0415 - loads SQLAlchemy

    scope, subject = _subject(key, user)
    with open_metadata(data_dir) as metadata:
        owner = _owner(metadata, project)
        counted = Counted(owner, scope, subject, unit, per)
        if not metadata.limits.remove(counted, _action(warn=warn)):
            raise MetadataError("There is no such limit. See `watchllm limits list`.")
    say(f"Removed the limit of {unit} a {per}.")


def _subject(key: str, user: str) -> tuple[str, str]:
    if key and user:
        raise MetadataError("A limit is of a key or of a user: give one of --key and --user.")
    if key:
        return "key", key
    return ("user", user) if user else ("project", "")


def _action(*, warn: bool) -> str:
    return "warn" if warn else "refuse"


def _whose(limit: Limit) -> str:
    if limit.scope == "project":
        return "all calls"
    return f"each {limit.scope}" if limit.subject == "*" else f"{limit.scope} {limit.subject}"


def _owner(metadata: Metadata, project: str) -> str:
    found = metadata.project(project)
    if found is None:
        raise MetadataError(f"There is no project {project!r}. See `watchllm projects list`.")
    return found.id
