"""Servers side by side: each started alone, loaded, and ended in two ways."""

from __future__ import annotations

import dataclasses
import signal
from typing import TYPE_CHECKING, Any

from servers.measure import load, loss
from servers.mlflow import MLflow
from servers.phoenix import Phoenix
from servers.watchllm import WatchLLM

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from rich.console import Console

    from servers.server import Server

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM}
PARTS = ("load", *SIGNALS)


@dataclasses.dataclass(frozen=True)
class Extent:
    """How many spans are sent to be stored, and before a signal."""

    load: int
    loss: int


FULL, QUICK = Extent(5_000, 2_000), Extent(500, 200)


def servers(*wheels: str) -> list[Server]:
    """Return all that is compared; `wheels` are the files of our own server and what it needs."""
    return [WatchLLM(wheels), Phoenix(), MLflow()]


def measure(
    chosen: list[Server], extent: Extent, parts: Collection[str], console: Console
) -> Iterator[tuple[Server, dict[str, Any]]]:
    """Measure parts of PARTS; give each server's figures as soon as they are there."""
    for server in chosen:
        if "load" in parts:
            console.print(f"{server.name}: {extent.load:,} spans ...")
            yield server, {"load": dataclasses.asdict(load(server, extent.load))}
        for part, sent in SIGNALS.items():
            if part in parts:
                console.print(f"{server.name}: {extent.loss:,} spans, then {sent.name} ...")
                yield server, {part: dataclasses.asdict(loss(server, sent, extent.loss))}
