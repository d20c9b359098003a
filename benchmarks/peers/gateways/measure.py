"""What a gateway adds to calls: time, CPU and memory."""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from fire import Fired, fire
from gateway import HERE, LOADS, Load, process, requests
from load import percentile
from servers.process import Peak, Running, free_port

from gateways.gateway import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateways.gateway import Gateway

Row = tuple[Load, int]  # what is asked, over how many connections
PLAIN, STREAM = LOADS[:2]
ROWS: dict[str, Row] = {"plain 1": (PLAIN, 1), "plain 16": (PLAIN, 16), "stream 16": (STREAM, 16)}
HANG_SECONDS = 30.0  # after the end of a load, until which its last answers may take
WARM_UP_SECONDS = 0.5  # before each load, of its own kind


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much is measured: loads of a row, the seconds of each, and those of the first warm-up."""

    rounds: int
    seconds: float
    warm_up: float


@dataclasses.dataclass
class Calls:
    """What a load showed, the median of its rounds; milliseconds, CPU milliseconds a call.

    The CPU is that of all processes of the gateway from the first call until it rests. `calls` is
    the number that all rounds have answered.
    """

    calls: int
    rate: float
    p50: float
    p99: float
    cpu: float


@dataclasses.dataclass
class Added:
    """What a gateway showed; seconds, megabytes, and its loads by the names of ROWS.

    `first_seconds` is from the start until a first call was answered.
    """

    ready_seconds: float
    first_seconds: float
    idle_mb: float
    peak_mb: float
    loads: dict[str, Calls]


def added(gateway: Gateway, extent: Extent) -> Added:
    """Start a provider and a gateway before it, and measure every row.

    Raises RuntimeError if the gateway's answers are not those of the provider.
    """
    port = gateway.provider = free_port()
    with (
        process(port, str(HERE / "gateway_provider.py"), str(port)),
        tempfile.TemporaryDirectory() as directory,
        Running(gateway, Path(directory)) as running,
    ):
        before = time.perf_counter()
        _check(gateway, running.port, stream=False)
        first = running.ready_seconds + time.perf_counter() - before
        _check(gateway, running.port, stream=True)
        running.rest()
        idle = running.memory_mb()
        with Peak(running) as peak:
            _fire(gateway, running.port, ROWS["plain 16"], extent.warm_up, "first")
            loads = {
                name: _median(list(_rounds(gateway, running, row, extent)))
                for name, row in ROWS.items()
            }
        return Added(
            ready_seconds=running.ready_seconds,
            first_seconds=first,
            idle_mb=idle,
            peak_mb=max(peak.megabytes, running.memory_mb()),
            loads=loads,
        )


def _rounds(gateway: Gateway, running: Running, row: Row, extent: Extent) -> Iterator[Calls]:
    for number in range(extent.rounds):
        _fire(gateway, running.port, row, WARM_UP_SECONDS, f"warm {number}")
        running.rest()
        cpu = running.cpu_seconds()
        fired = _fire(gateway, running.port, row, extent.seconds, f"round {number}")
        running.rest()
        cpu = running.cpu_seconds() - cpu
        yield Calls(
            calls=len(fired.seconds),
            rate=fired.per_second,
            p50=1_000 * percentile(fired.seconds, 0.5),
            p99=1_000 * percentile(fired.seconds, 0.99),
            cpu=1_000 * cpu / len(fired.seconds),
        )


def _fire(gateway: Gateway, port: int, row: Row, seconds: float, run: str) -> Fired:
    """Send calls for so many seconds; `run` makes their texts other than those of other runs."""
    load, connections = row
    make = requests(load, f"{load.name} {connections} {run}", gateway.headers())

    async def bounded() -> Fired:
        fired = fire(port, connections, seconds, make)
        return await asyncio.wait_for(fired, seconds + HANG_SECONDS)

    fired = uvloop.run(bounded())
    if fired.failed or not fired.seconds:
        raise RuntimeError(
            f"{gateway.name}: {fired.failed} of {len(fired.seconds)} calls failed ({load.name})"
        )
    return fired


def _median(rounds: list[Calls]) -> Calls:
    """Return the median of each figure, which need not all be of one round."""
    return Calls(
        calls=sum(one.calls for one in rounds),
        rate=statistics.median(one.rate for one in rounds),
        p50=statistics.median(one.p50 for one in rounds),
        p99=statistics.median(one.p99 for one in rounds),
        cpu=statistics.median(one.cpu for one in rounds),
    )


def _check(gateway: Gateway, port: int, *, stream: bool) -> None:
    """Ask the gateway and the provider, and compare what they say."""
    expected = words(gateway.provider, stream, {})
    try:
        said = words(port, stream, gateway.headers())
    except RuntimeError as error:
        raise RuntimeError(f"{gateway.name} {error}") from None
    if said != expected:
        raise RuntimeError(f"{gateway.name} says {said[:200]!r}, the provider {expected[:200]!r}")
