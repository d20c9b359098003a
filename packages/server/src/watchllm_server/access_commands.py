"""The commands `watchllm projects` and `watchllm keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from watchllm_server.cli import COMMANDS
from watchllm_server.console import DataDir, open_metadata, say, show, table
from watchllm_server.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from watchllm_server.metadata import Metadata, Project

projects = typer.Typer(no_args_is_help=True, help=COMMANDS["projects"])
keys = typer.Typer(no_args_is_help=True, help=COMMANDS["keys"])

_SCOPES = "What it may do, once for each: ingest, read, gateway, admin. Default: all but admin."
_DAYS = "Days that its events are kept; 0 keeps them for ever. Default: the server's setting."
_PROJECT = "Name or id of its project."
_TTL = (
    "Seconds that the gateway's answers are kept, 0 for none, or `default`: the server's setting. "
    "For one route: /v1/embeddings=604800. May be given several times."
)
_MATCHING = (
    "What is done with a question whose answer is known in other words: off, shadow or serve, with "
    "the share of hits that may be wrong or without (serve:0.02), or `default`: the server's "
    "setting. For one route: /v1/messages=off. May be given several times."
)
_REDACT = (
    "What is replaced in its events before they are stored: off, on (e-mail addresses and card "
    "numbers), or kinds with commas between: EMAIL, CC, PHONE, SSN, IBAN, IP, SECRET. `default` is "
    "on, but leaves what the WatchLLM SDK sends to the SDK's own setting."
)


@projects.command("create", help="Create a project.")
def create_project(
    name: Annotated[str, typer.Argument(help="Its name; its id is made from it.")],
    retention_days: Annotated[int | None, typer.Option(metavar="DAYS", help=_DAYS)] = None,
    redact: Annotated[str, typer.Option(help=_REDACT)] = "default",
    data_dir: DataDir = None,
) -> None:
    """Create a project and say how to get a key for it."""
    with open_metadata(data_dir) as metadata:
        project = metadata.create_project(
            name, retention_days=retention_days, redact=_setting(redact)
        )
    say(f"Created project {project.name!r} with the id {project.id}.")
    say(f"Make a key for it: watchllm keys create --project {project.id}")


@projects.command("list", help="List the projects.")
def list_projects(data_dir: DataDir = None) -> None:
    """List the projects, the oldest first."""
    with open_metadata(data_dir) as metadata:
        found = metadata.projects()
    rows = table("id", "name", "created (UTC)", "events kept", "answers kept", "redaction")
    for project in found:
        rows.add_row(
            project.id,
            project.name,
            _minute(project.created_at),
            _kept(project),
            _shown(project, "cache_ttl", " s"),
            _redaction(project),
        )
    show(rows, "There is no project yet: watchllm projects create NAME")


@projects.command("keep", help="Say how long a project's events are kept.")
def keep(
    project: Annotated[str, typer.Argument(help="Its name or id.")],
    days: Annotated[str, typer.Argument(metavar="DAYS", help=f"{_DAYS} `default` takes that.")],
    data_dir: DataDir = None,
) -> None:
    """Set a project's retention; a running server heeds it at its next round."""
    if days != "default" and not (days.isascii() and days.isdecimal() and len(days) <= 6):  # noqa: PLR2004 - more are refused anyway
        raise MetadataError("DAYS must be a number of days, 0 or `default`.")
    with open_metadata(data_dir) as metadata:
        found = _project(metadata, project)
        changed = metadata.change_project(
            found.id, retention_days=None if days == "default" else int(days)
        )
    say(f"The events of project {changed.name!r} are kept: {_kept(changed)}.")


@projects.command("set", help="Change a project's settings.")
def set_project(
    project: Annotated[str, typer.Argument(help="Its name or id.")],
    redact: Annotated[str | None, typer.Option(help=_REDACT)] = None,
    cache_ttl: Annotated[list[str] | None, typer.Option(metavar="SECONDS", help=_TTL)] = None,
    cache_semantic: Annotated[
        list[str] | None, typer.Option(metavar="MODE", help=_MATCHING)
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Set what is redacted and what the cache does; running servers heed it in a second.

    All count for the events and answers to come.
    """
    if redact is None and not cache_ttl and not cache_semantic:
        raise MetadataError("Give what to change: --redact, --cache-ttl or --cache-semantic.")
    with open_metadata(data_dir) as metadata:
        found = _project(metadata, project)
        told: dict[str, Any] = {}
        if cache_ttl:
            told |= _by_route(found, "cache_ttl", cache_ttl, _seconds)
        if cache_semantic:
            told |= _by_route(found, "cache_semantic", cache_semantic, str)
        if redact is not None:
            told["redact"] = _setting(redact)
        changed = metadata.change_project(found.id, **told)
    if redact is not None:
        say(f"Redaction of project {changed.name!r}: {_redaction(changed)}.")
    if cache_ttl:
        kept = _shown(changed, "cache_ttl", " s")
        say(f"Answers of project {changed.name!r} are kept: {kept}.")
    if cache_semantic:
        matched = _shown(changed, "cache_semantic")
        say(f"Questions of project {changed.name!r} are matched by meaning: {matched}.")


@keys.command("create", help="Create a key and show it, this once.")
def create_key(
    project: Annotated[str, typer.Option(help=_PROJECT)],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    scope: Annotated[list[str] | None, typer.Option(metavar="SCOPE", help=_SCOPES)] = None,
    rate_limit: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most requests a minute. Default: the server's setting."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Create a key; only its hash is kept."""
    from watchllm_server.metadata.keys import DEFAULT_SCOPES  # noqa: PLC0415 - loads SQLAlchemy

    with open_metadata(data_dir) as metadata:
        found = _project(metadata, project)
        key, secret = metadata.create_key(
            found.id, name=name, scopes=scope or DEFAULT_SCOPES, rate_limit=rate_limit
        )
    say(f"Key {key.id} of project {found.name!r}. It is not shown again:")
    say(f"export WATCHLLM_PROJECT_ID={found.id}")
    say(f"export WATCHLLM_API_KEY={secret}")


@keys.command("list", help="List the keys by their first characters.")
def list_keys(
    project: Annotated[str | None, typer.Option(help=_PROJECT)] = None, data_dir: DataDir = None
) -> None:
    """List the keys, the oldest first."""
    with open_metadata(data_dir) as metadata:
        wanted = _project(metadata, project).id if project else None
        found = metadata.all_keys(wanted)
    rows = table("id", "key", "project", "name", "scopes", "created (UTC)", "last used", "state")
    for key, owner in found:
        rows.add_row(
            str(key.id),
            f"{key.prefix}...",
            owner.id,
            key.name,
            key.scopes,
            _minute(key.created_at),
            _minute(key.last_used_at) if key.last_used_at else "never",
            f"revoked {_minute(key.revoked_at)}" if key.revoked_at else "active",
        )
    show(rows, "There is no key yet: watchllm keys create --project NAME")


@keys.command("revoke", help="End a key for good.")
def revoke_key(
    key_id: Annotated[int, typer.Argument(metavar="ID", help="Its id, as `keys list` shows it.")],
    data_dir: DataDir = None,
) -> None:
    """Revoke a key; running servers refuse it within a second."""
    with open_metadata(data_dir) as metadata:
        key = metadata.revoke_key(key_id)
    if key is None:
        raise MetadataError(f"There is no key {key_id}. See `watchllm keys list`.")
    say(f"Revoked key {key.id} ({key.prefix}...). Servers refuse it within a second.")


def _project(metadata: Metadata, name_or_id: str) -> Project:
    found = metadata.project(name_or_id)
    if found is None:
        raise MetadataError(f"There is no project {name_or_id!r}. See `watchllm projects list`.")
    return found


def _kept(project: Project) -> str:
    if project.retention_days is None:
        return "as the server is set"
    return f"{project.retention_days} days" if project.retention_days else "for ever"


def _setting(redact: str) -> str | None:
    return None if redact.strip().lower() == "default" else redact


def _by_route(
    project: Project, name: str, given: list[str], read: Callable[[str], Any]
) -> dict[str, Any]:
    """Return a project's settings of a name, changed by VALUE and ROUTE=VALUE."""
    told: dict[str, Any] = {}
    routes = dict(getattr(project, f"{name}_routes") or {})
    for each in given:
        route, _, text = each.rpartition("=")
        value = None if text == "default" else read(text)
        if not route:
            told[name] = value
        elif value is None:
            routes.pop(route, None)
        else:
            routes[route] = value
    return {**told, f"{name}_routes": routes}


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):  # noqa: PLR2004 - more are refused anyway
        raise MetadataError(
            f"--cache-ttl takes a number of seconds or `default`, with ROUTE= or without, not "
            f"{text[:40]!r}."
        )
    return int(text)


def _shown(project: Project, name: str, unit: str = "") -> str:
    """Return a setting that a project and its routes may have."""
    value = getattr(project, name)
    whole = "as the server is set" if value is None else f"{value}{unit}"
    routes = sorted((getattr(project, f"{name}_routes") or {}).items())
    return ", ".join([whole, *(f"{route} {each}{unit}" for route, each in routes)])


def _redaction(project: Project) -> str:
    if project.redact is None:
        return "on, but for the SDK's events"
    return project.redact.replace(",", ", ")


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
