"""Gateways side by side: each alone before the same provider, with the same calls."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from gateways.bare import Bare
from gateways.litellm import LiteLLM
from gateways.measure import Extent, added
from gateways.portkey import Portkey
from gateways.watchllm import WatchLLM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from gateways.gateway import Gateway

FULL = Extent(rounds=3, seconds=2.5, warm_up=3.0)
QUICK = Extent(rounds=1, seconds=1.0, warm_up=0.5)


def gateways(*wheels: str) -> list[Gateway]:
    """Return all that is compared; `wheels` are the files of our own server and what it needs."""
    return [Bare(wheels), WatchLLM(wheels), Portkey(), LiteLLM()]


def measure(
    chosen: list[Gateway], extent: Extent, console: Console
) -> Iterator[tuple[Gateway, dict[str, Any]]]:
    """Give each gateway's figures as soon as they are there."""
    for gateway in chosen:
        console.print(f"{gateway.name}: calls ...")
        yield gateway, {"added": dataclasses.asdict(added(gateway, extent))}
