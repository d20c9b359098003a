"""The commands `watchllm providers`."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from watchllm_server.cli import COMMANDS
from watchllm_server.console import DataDir, open_metadata, say, show, table
from watchllm_server.errors import MetadataError, StartError
from watchllm_server.provider_settings import check_name, load_providers, variable_of
from watchllm_server.settings import load_settings, read_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchllm_server.credentials import ProjectKeys
    from watchllm_server.gateway.providers.base import Provider, Providers
    from watchllm_server.metadata import Metadata

providers = typer.Typer(no_args_is_help=True, help=COMMANDS["providers"])

_PROJECT = "Name or id of the project."
_NAME = typer.Argument(help="Its name, as in openai.", metavar="PROVIDER")
_Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The server's config file, for what it says of providers."),
]
_PATIENCE_SECONDS = 15.0
_OK = 200
_REFUSED = (401, 403)


class _Opened(NamedTuple):
    metadata: Metadata
    keys: ProjectKeys


@providers.command("list", help="List the providers, and who has a key for them.")
def list_providers(config: _Config = None, data_dir: DataDir = None) -> None:
    """List the providers that a server with these settings has."""
    known = _providers(config)
    with _open(data_dir) as opened:
        stored = opened.keys.stored()
    rows = table("provider", "address", "key", "models without its prefix")
    for name, provider in sorted(known.by_name.items()):
        whose = [key.project_id for key in stored if key.provider == name]
        rows.add_row(
            name, provider.base_url, _whose(provider, whose), ", ".join(provider.models) or "none"
        )
    show(rows, "There is no provider.")
    unreadable = sorted({key.project_id for key in stored if not key.is_readable})
    if unreadable:
        say(
            f"Keys of {', '.join(unreadable)} were stored under another secret key: store them "
            "again, or put secret.key (WATCHLLM_SECRET_KEY) back."
        )
    unknown = sorted({key.provider for key in stored} - set(known.by_name))
    if unknown:
        say(f"There are keys for {', '.join(unknown)}, which no setting says the address of.")


@providers.command("set", help="Store a project's key for a provider, encrypted.")
def set_key(
    provider: Annotated[str, _NAME],
    project: Annotated[str, typer.Option(help=_PROJECT)],
    data_dir: DataDir = None,
) -> None:
    """Ask for the key, or read it from the standard input: an argument would stay in the shell."""
    _check(provider)
    with _open(data_dir) as opened:
        found = _project_id(opened.metadata, project)
        stored = opened.keys.put(found, provider, _read_key(provider))
    ending = f" (...{stored.ending})" if stored.ending else ""
    say(f"Stored the key of project {found} for {provider}{ending}. Servers use it in a second.")


@providers.command("remove", help="Remove a project's key for a provider.")
def remove_key(
    provider: Annotated[str, _NAME],
    project: Annotated[str, typer.Option(help=_PROJECT)],
    data_dir: DataDir = None,
) -> None:
    """Remove a key; running servers use it no more after a second."""
    _check(provider)
    with _open(data_dir) as opened:
        found = _project_id(opened.metadata, project)
        if not opened.keys.remove(found, provider):
            raise MetadataError(f"Project {found} has no key for {provider}.")
    say(f"Removed the key of project {found} for {provider}. Servers use it no more in a second.")


@providers.command("test", help="Ask a provider for its models, with the key that would be used.")
def ask_provider(
    provider: Annotated[str, _NAME],
    project: Annotated[str | None, typer.Option(help=_PROJECT)] = None,
    config: _Config = None,
    data_dir: DataDir = None,
) -> None:
    """Say what the provider answers; exit with 1 when it cannot be used."""
    known = _providers(config).by_name.get(provider)
    if known is None:
        variable = variable_of(provider, "base_url")
        raise StartError(f"There is no provider {provider!r}: give its address in {variable}.")
    key, whose = known.key, "the server's key"
    if project is not None:
        with _open(data_dir) as opened:
            found = _project_id(opened.metadata, project)
            opened.keys.refresh()
            if own := opened.keys.key(found, provider):
                key, whose = own, f"the key of project {found}"
    status, words = _ask(known, key)
    say(f"{provider} at {known.base_url}, asked with {whose if key else 'no key'}: {words}")
    raise typer.Exit(0 if status == _OK else 1)


@contextmanager
def _open(data_dir: str | None) -> Iterator[_Opened]:
    from watchllm_server.credentials import ProjectKeys  # noqa: PLC0415 - loads what encrypts
    from watchllm_server.secrets import load_secret  # noqa: PLC0415 - likewise

    with open_metadata(data_dir) as metadata:
        settings = load_settings(os.environ, data_dir=data_dir)
        secret = load_secret(settings.data_dir, settings.secret_key)
        yield _Opened(metadata, ProjectKeys(metadata, secret))


def _providers(config: Path | None) -> Providers:
    from watchllm_server.gateway.providers.known import providers_of  # noqa: PLC0415 - see above

    told = read_config(config) if config else {}
    settings = load_settings(os.environ, told)
    return providers_of(load_providers(os.environ, config), settings.default_provider)


def _check(provider: str) -> None:
    check_name(provider, repr(provider))


def _project_id(metadata: Metadata, name_or_id: str) -> str:
    found = metadata.project(name_or_id)
    if found is None:
        raise MetadataError(f"There is no project {name_or_id!r}. See `watchllm projects list`.")
    return found.id


def _read_key(provider: str) -> str:
    if sys.stdin.isatty():
        typed: str = typer.prompt(f"Key for {provider} (not shown)", hide_input=True)
        return typed
    return sys.stdin.readline()


def _whose(provider: Provider, projects: list[str]) -> str:
    found = ["the server"] if provider.key else []
    found += sorted(projects)
    return ", ".join(found) or ("needs none" if provider.configured else "none")


def _ask(provider: Provider, key: str) -> tuple[int, str]:
    """Return the status and, in words, what a provider answers to who lists its models."""
    headers = {"User-Agent": "watchllm-server"}
    if key:
        bearer = provider.auth == "bearer"
        headers["Authorization" if bearer else provider.auth] = f"Bearer {key}" if bearer else key
    if provider.auth == "x-api-key":
        headers["anthropic-version"] = "2023-06-01"
    request = urllib.request.Request(f"{provider.base_url}/models", headers=headers)  # noqa: S310 - checked by the settings
    opener = urllib.request.build_opener(_NoRedirects())
    try:
        with opener.open(request, timeout=_PATIENCE_SECONDS) as answer:
            status: int = answer.status
    except urllib.error.HTTPError as error:
        error.close()
        status = error.code
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return 0, f"it cannot be reached: {reason}."
    if status in _REFUSED:
        return status, f"it refuses the key ({status})."
    return status, "it works." if status == _OK else f"it answers {status}."


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follow no redirection, which would carry the key to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return nothing, so that the redirection is the answer."""
        return
