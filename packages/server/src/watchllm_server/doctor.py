"""Look at a server and its data directory, and say what is wrong and what to do."""

from __future__ import annotations

import shutil
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, NamedTuple

from watchllm_server import control, datadir
from watchllm_server.clock import SystemClock
from watchllm_server.errors import (
    ControlError,
    MetadataUnavailableError,
    StartError,
    StoreError,
)
from watchllm_server.metadata import Metadata
from watchllm_server.serve import open_store
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from watchllm_server.settings import Settings

_LITTLE_SPACE = 2_000_000_000
_PATIENCE_SECONDS = 10.0


class Finding(NamedTuple):
    """What was looked at, whether it is well, and what to do if it is not."""

    is_well: bool
    text: str
    cure: str = ""


def findings(environment: Mapping[str, str], data_dir: str | None) -> Iterator[Finding]:
    """Look at one thing after the other; stop where the next makes no sense."""
    try:
        settings = load_settings(environment, data_dir=data_dir)
        directory = datadir.prepare(settings.data_dir)
    except StartError as error:
        yield Finding(False, str(error))
        return
    yield Finding(True, f"The settings can be read, and {directory} can be written to.")
    yield _space(directory)
    yield from _metadata(settings)
    with ExitStack() as stack:
        try:
            stack.enter_context(datadir.owned(directory))
        except datadir.OwnedError:
            yield from _running(directory)
        else:
            yield from _stopped(settings, directory)


def _space(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    text = f"The disk of the data directory has {free / 1e9:,.1f} GB left."
    cure = "Free some space, or keep events for fewer days: watchllm projects keep NAME DAYS"
    return Finding(True, text) if free >= _LITTLE_SPACE else Finding(False, text, cure)


def _metadata(settings: Settings) -> Iterator[Finding]:
    try:
        with closing(Metadata(settings.metadata_place, SystemClock())) as metadata:
            projects = metadata.projects()
            keys = [key for key, _ in metadata.all_keys() if key.revoked_at is None]
            losses = {each.id: metadata.losses(each.id) for each in projects}
    except (StartError, MetadataUnavailableError) as error:
        cure = "Check WATCHLLM_DATABASE_URL." if settings.database_url else ""
        yield Finding(False, str(error), cure)
        return
    text = f"Projects: {len(projects)}. Active keys: {len(keys)}."
    cure = "The first start makes one: watchllm serve. Or: watchllm keys create --project NAME"
    yield Finding(True, text) if keys else Finding(False, text, cure)
    for project_id, lost in losses.items():
        if lost:
            told = ", ".join(f"{count:,} {reason}" for reason, count in lost.items())
            yield Finding(
                False,
                f"Senders of project {project_id} lost events: {told}.",
                "Their logs say why; a spool that is too small, a key or an address may be wrong.",
            )


def _running(directory: Path) -> Iterator[Finding]:
    try:
        server = control.find(directory)
    except ControlError as error:
        yield Finding(False, str(error), "Stop the process that uses the directory, if it hangs.")
        return
    for path, meaning in (("/healthz", "lives"), ("/readyz", "takes events and answers questions")):
        try:
            server.ask("GET", path, timeout=_PATIENCE_SECONDS)
        except ControlError as error:
            cure = "Look into its log, and start it again: it keeps what it has acknowledged."
            yield Finding(False, f"The server at {server.address} is not well: {error}", cure)
        else:
            yield Finding(True, f"The server at {server.address} {meaning}.")


def _stopped(settings: Settings, directory: Path) -> Iterator[Finding]:
    yield Finding(True, "No server uses the data directory.")
    with socket.socket() as probe:
        probe.settimeout(_PATIENCE_SECONDS)
        if probe.connect_ex(("127.0.0.1", settings.port)) == 0:
            yield Finding(
                False,
                f"Another process listens on port {settings.port}.",
                "Choose another with --port or WATCHLLM_PORT, or stop that process.",
            )
    try:
        with closing(open_store(settings, directory)) as store:
            rows, size, parts = store.query("store_size", {})[0]
    except (StartError, StoreError) as error:
        cure = "Restore a backup into a new directory: watchllm restore FILE --data-dir DIR"
        yield Finding(False, f"The events cannot be opened: {error}", cure)
        return
    text = f"The events can be opened: {rows:,} rows, {size / 1e6:,.1f} MB in {parts} parts."
    yield Finding(True, text)
