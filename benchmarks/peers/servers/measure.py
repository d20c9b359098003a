"""What a server does with spans: how fast, at what cost, and what a kill takes with it."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from load import Result, percentile, post_all
from measured import KEY
from spans import SPANS, taken

from servers.process import Peak, Running
from servers.spans import ABSENT, MARKER, export

if TYPE_CHECKING:
    from servers.server import Server

CONNECTIONS = 4
# Between two questions for the count, each of which takes CPU from what is counted.
POLL_SECONDS, FIRST_POLL_SECONDS = 1.0, 0.1
QUERYABLE_SECONDS = 75.0  # that the spans may take to be counted
STEADY_SECONDS = 6.0  # without a new span, after which none is expected any more
LISTS = 20  # questions for the newest, of which the median is taken
SEARCHES, SEARCH_SECONDS = 5, 20.0  # likewise, and how long they may take together


@dataclasses.dataclass
class Load:
    """What one load showed; seconds, megabytes, spans a second, milliseconds.

    `first_seconds` is from the start until a first request could be queried, `cpu` is CPU seconds
    per 1,000 spans until it rested, `searches` the medians by the way to search.
    """

    spans: int
    answered: int
    queryable: int
    ready_seconds: float
    first_seconds: float
    answered_rate: float
    queryable_rate: float
    p50: float
    p99: float
    cpu: float
    idle_mb: float
    peak_mb: float
    disk: float
    newest: float
    searches: dict[str, float]


@dataclasses.dataclass
class Loss:
    """What became of the spans that were answered 200 right before a signal.

    `end_seconds` is None where it had to be killed after all.
    """

    answered: int
    found: int
    end_seconds: float | None


def load(server: Server, count: int) -> Load:
    """Start a server, send so many spans as fast as it answers, and ask for them."""
    seed = random.Random(7)
    bodies = [export(seed) for _ in range(count // SPANS)]
    with (
        tempfile.TemporaryDirectory() as directory,
        Running(server, Path(directory)) as running,
    ):
        running.rest()
        idle = running.memory_mb()
        before = time.perf_counter()
        _warm_up(server, running, seed)
        first = running.ready_seconds + time.perf_counter() - before
        running.rest()
        cpu, disk = running.cpu_seconds(), server.disk_bytes(running.data)
        with Peak(running) as peak:
            before = time.perf_counter()
            posted = _post(server, running, bodies)
            found = _count(server, running, SPANS + posted.stored) - SPANS
            took = time.perf_counter() - before
            running.rest()
        cpu, disk = running.cpu_seconds() - cpu, server.disk_bytes(running.data) - disk
        milliseconds = [1_000 * second for second in posted.seconds]
        return Load(
            spans=len(bodies) * SPANS,
            answered=posted.stored,
            queryable=found,
            ready_seconds=running.ready_seconds,
            first_seconds=first,
            answered_rate=posted.stored / posted.wall,
            queryable_rate=found / took,
            p50=percentile(milliseconds, 0.5),
            p99=percentile(milliseconds, 0.99),
            cpu=1_000 * cpu / max(found, 1),
            idle_mb=idle,
            peak_mb=max(peak.megabytes, running.memory_mb()),
            disk=disk / max(found, 1),
            newest=_newest(server, running.port),
            searches=_searches(server, running.port),
        )


def loss(server: Server, sent: signal.Signals, count: int) -> Loss:
    """Send spans, send a signal right after the last answer, start again, and count."""
    seed = random.Random(11)
    bodies = [export(seed) for _ in range(count // SPANS)]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with Running(server, place) as running:
            _warm_up(server, running, seed)
            posted = _post(server, running, bodies)
            took: float | None = 0.0
            if sent is signal.SIGKILL:
                running.kill()
            else:
                took = running.terminate()
        with Running(server, place) as running:
            found = _count(server, running, SPANS + posted.stored)
    return Loss(posted.stored, max(0, found - SPANS), took)


def _warm_up(server: Server, running: Running, seed: random.Random) -> None:
    """Send a first request, for which some load half of their code, and wait until it is there."""
    _post(server, running, [export(seed)])
    found = _count(server, running, SPANS, FIRST_POLL_SECONDS)
    if found != SPANS:
        raise RuntimeError(f"{found} of the first {SPANS} spans can be queried")


def _post(server: Server, running: Running, bodies: list[bytes]) -> Result:
    return asyncio.run(
        post_all(
            running.port,
            KEY,
            bodies,
            CONNECTIONS,
            path="/v1/traces",
            content_type="application/x-protobuf",
            headers=server.headers,
            stored=taken,
        )
    )


def _count(server: Server, running: Running, expected: int, pause: float = POLL_SECONDS) -> int:
    """Ask for the count until all are there, or no more come, or it takes too long."""
    started = changed = time.perf_counter()
    found = server.count(running.port)
    while found < expected:
        now = time.perf_counter()
        if now - started > QUERYABLE_SECONDS or now - changed > STEADY_SECONDS:
            break
        time.sleep(pause)
        last, found = found, server.count(running.port)
        if found != last:
            changed = time.perf_counter()
    return found


def _newest(server: Server, port: int) -> float:
    """Return the median milliseconds of the list of the newest."""
    if not server.newest(port):
        raise RuntimeError("the list of the newest is empty")
    took = []
    for _ in range(LISTS):
        before = time.perf_counter()
        server.newest(port)
        took.append(1_000 * (time.perf_counter() - before))
    return statistics.median(took)


def _searches(server: Server, port: int) -> dict[str, float]:
    """Return the median milliseconds of a search without a match, by the way to search."""
    medians = {}
    for name, search in server.searches().items():
        if not search(port, MARKER):
            raise RuntimeError(f"the search {name} does not find what is there")
        until = time.perf_counter() + SEARCH_SECONDS
        took: list[float] = []
        while len(took) < SEARCHES and (not took or time.perf_counter() < until):
            before = time.perf_counter()
            search(port, f"{ABSENT}{len(took)}")  # never the same: some remember a question
            took.append(1_000 * (time.perf_counter() - before))
        medians[name] = statistics.median(took)
    return medians
