"""What arrives of the events of an app that fails, or whose collector fails."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from app import LONGEST_SECONDS, App, FailedError
from collector import Collector, Count
from job import WARM_UP, Job

if TYPE_CHECKING:
    from products import Product

SERIES = "lost"
STEADY, SLOW = 1 / 400, 1 / 100  # seconds between two calls
ARRIVAL_SECONDS = 10.0  # that a warm-up event, or one event of a program started again, may take
SETTLE_SECONDS = 0.5  # for a collector to read what a program that is gone has sent
END_SECONDS = 30.0  # that a program may take to its end, once told to
POLL_SECONDS = 0.1
# A small file system of the program's own, which is full before the first event.
FULL_DISK = (
    "unshare", "-Urm", "sh", "-c",
    'mkdir "$0" && mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@"',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Fault:
    """One row: how the program ends, what the collector does after a warm-up, and for how long.

    `seconds` count from the first request that the mode meets (from the start if none can come).
    A program that stays ends once all has arrived, or after `life` seconds.
    """

    name: str
    title: str
    ending: str = "stay"
    pause: float = SLOW
    mode: str = "up"
    seconds: float | None = None
    life: float = 30.0
    only: str = ""  # of the products whose logger has this name
    full_disk: bool = False


FAULTS = (
    Fault("exit", "normal exit, no flush", "leave", STEADY),
    Fault("exception", "unhandled exception", "raise", STEADY),
    Fault("kill", "SIGKILL after the last call", "die", STEADY),
    Fault("kill_down", "SIGKILL while the collector is down", "die", STEADY, "refuse"),
    Fault("os_exit", "os._exit", "os_exit", STEADY),
    Fault("fork", "fork, logged in the child", "fork", STEADY),
    Fault("outage", "connections refused for 20 s", mode="refuse", seconds=20, life=45),
    Fault("busy", "503 for 8 s", mode="busy", seconds=8),
    Fault("limit", "429 with Retry-After: 3 for 8 s", mode="limit", seconds=8),
    Fault("reset", "reset amid the body for 8 s", mode="reset", seconds=8),
    Fault("lost_answer", "taken, then reset, for 8 s", mode="forget_answer", seconds=8),
    Fault("hang", "no answer for 10 s, dead connections", mode="hang", seconds=10, life=75),
    Fault("disk", "disk full", only="watchllm", full_disk=True),
)


@dataclasses.dataclass
class Outcome:
    """What arrived before the program was started again and after, and what of it more than once.

    `note` says what else there is to say: that the program hung, or failed.
    """

    logged: int
    arrived: int
    again: int
    repeated: int
    note: str = ""


def outcome(product: Product, fault: Fault, count: int) -> Outcome:
    """Let a product's program log `count` events under a fault, and count what arrives."""
    with tempfile.TemporaryDirectory() as directory, Collector() as collector:
        home = Path(directory)
        prefix: tuple[str, ...] = ()
        options = dict(product.options)
        if fault.full_disk:
            prefix = (*FULL_DISK, str(home / "full"))
            options["spool_dir"] = str(home / "full")
        job = Job(
            product.logger,
            collector.url,
            SERIES,
            count,
            fault.ending,
            fault.pause,
            waits=fault.mode != "up" or fault.ending == "stay",
            options=options,
        )
        note = ""
        with App(product.python, job, home, prefix) as app:
            try:
                note = _live(app, collector, fault, job)
            except (FailedError, TimeoutError) as problem:
                note = str(problem)
        collector.change("up")
        time.sleep(SETTLE_SECONDS)
        first = last = collector.count(SERIES)
        if first.arrived < count and not fault.full_disk:
            last = _start_again(product, collector, home, job)
        return Outcome(count, first.arrived, last.arrived, last.repeated, note)


def _live(app: App, collector: Collector, fault: Fault, job: Job) -> str:
    """Lead a program through a fault to its end; return what is to be noted."""
    if job.waits:
        app.hear("ready")
        wait(collector, WARM_UP, 1, ARRIVAL_SECONDS)
        if fault.mode != "up":
            collector.change(fault.mode, None if fault.mode == "refuse" else fault.seconds)
        app.go_on()
    if fault.ending == "stay":
        started = time.monotonic()
        if fault.mode == "refuse" and fault.seconds is not None:
            time.sleep(fault.seconds)
            collector.change("up")
        wait(collector, SERIES, job.count, started + fault.life - time.monotonic())
        app.go_on()
        return "" if app.ended(END_SECONDS) else f"did not end within {END_SECONDS:.0f} s"
    if fault.ending == "fork":
        app.hear("child")
    return "" if app.ended(LONGEST_SECONDS) else f"did not end within {LONGEST_SECONDS:.0f} s"


def _start_again(product: Product, collector: Collector, home: Path, job: Job) -> Count:
    """Run the program once more for a while; return what has come of the first one's events."""
    again = dataclasses.replace(job, series="again", count=1, ending="stay", waits=False, pause=0.0)
    with App(product.python, again, home) as app:
        wait(collector, SERIES, job.count, ARRIVAL_SECONDS)
        app.go_on()
        app.ended(END_SECONDS)
    return collector.count(SERIES)


def wait(collector: Collector, series: str, count: int, seconds: float) -> None:
    """Wait until so many events have arrived, or the seconds are over."""
    until = time.monotonic() + seconds
    while collector.count(series).arrived < count and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
