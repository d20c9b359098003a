"""How much longer a program takes to end because of what it logs with."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from app import App
from collector import Collector
from job import WARM_UP, Job
from losses import ARRIVAL_SECONDS, wait

if TYPE_CHECKING:
    from products import Product

MODES = {"refuse": "refuses connections", "hang": "never answers"}
SERIES, EVENTS = "exit", 100
ROUNDS = 3
LONG_SECONDS = 5.0  # a program that takes longer is not run again


def added_seconds(product: Product, mode: str) -> float | None:
    """Return the seconds that exit takes longer with a product while the collector fails.

    From the last line of a program with 100 events to deliver until the process is gone, less the
    same of the same program with the same interpreter that logs nothing. The median of some runs;
    None if it takes longer than app.LONGEST_SECONDS.
    """
    nothing = dataclasses.replace(product, logger="nothing", options={}, delivers=False)
    bare = [_exit_seconds(nothing, mode) for _ in range(ROUNDS)]
    took: list[float] = []
    while len(took) < ROUNDS and (not took or took[-1] < LONG_SECONDS):
        seconds = _exit_seconds(product, mode)
        if seconds is None:
            return None
        took.append(seconds)
    return statistics.median(took) - statistics.median(one for one in bare if one is not None)


def _exit_seconds(product: Product, mode: str) -> float | None:
    with tempfile.TemporaryDirectory() as directory, Collector() as collector:
        job = Job(
            product.logger,
            collector.url,
            SERIES,
            EVENTS,
            "leave",
            waits=True,
            options=product.options,
        )
        with App(product.python, job, Path(directory)) as app:
            try:
                app.hear("ready")
                if product.delivers:
                    wait(collector, WARM_UP, 1, ARRIVAL_SECONDS)
                collector.change(mode)
                app.go_on()
                logged_at: float = app.hear("logged_at")
                return app.end() - logged_at
            except TimeoutError:
                return None
