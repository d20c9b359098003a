"""What a logged call costs its caller and its process, and what an import costs."""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from app import App
from collector import Collector
from job import Job

if TYPE_CHECKING:
    from products import Product

sys.path.append(str(Path(__file__).parent.parent))
from load import percentile

SERIES = "cost"


@dataclasses.dataclass
class Cost:
    """One run: microseconds on the caller, CPU microseconds of the process per delivered event.

    `cpu` is None where nothing was delivered, or the product's own shutdown did not end in time.
    `bytes` is the size on the wire per delivered event.
    """

    logged: int
    delivered: int
    p50: float
    p99: float
    cpu: float | None
    bytes: float | None


def cost(product: Product, count: int, pause: float) -> Cost:
    """Log `count` events with a pause between two, flush and shut down."""
    with tempfile.TemporaryDirectory() as directory, Collector() as collector:
        job = Job(
            product.logger,
            collector.url,
            SERIES,
            count,
            "measure",
            pause,
            options=product.options,
        )
        with App(product.python, job, Path(directory)) as app:
            took = app.hear("microseconds")
            try:
                cpu = app.hear("cpu")
            except TimeoutError:
                cpu = None
            app.ended(5)
        came = collector.count(SERIES)
    per_event = 1 / came.arrived if came.arrived else None if product.delivers else 1 / count
    return Cost(
        count,
        came.arrived,
        percentile(took, 0.5),
        percentile(took, 0.99),
        cpu * 1e6 * per_event if per_event and cpu is not None else None,
        came.bytes / came.arrived if came.arrived else None,
    )


def median(costs: list[Cost]) -> Cost:
    """Return the median of each figure over several runs."""

    def middle(name: str) -> float | None:
        values = [getattr(one, name) for one in costs]
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    return Cost(
        costs[0].logged,
        round(statistics.median(one.delivered for one in costs)),
        statistics.median(one.p50 for one in costs),
        statistics.median(one.p99 for one in costs),
        middle("cpu"),
        middle("bytes"),
    )


def import_ms(product: Product) -> float:
    """Return the CPU milliseconds that the product's imports take in a fresh process."""
    code = (
        "import time\nbefore = time.process_time()\n"
        f"{product.imports}\nprint((time.process_time() - before) * 1000)"
    )
    output = subprocess.run(
        [product.python, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    return float(output.splitlines()[-1])


def first_event_ms(product: Product) -> float:
    """Return the CPU milliseconds from nothing imported to the first event logged."""
    with tempfile.TemporaryDirectory() as directory, Collector() as collector:
        job = Job(product.logger, collector.url, SERIES, 1, "first", options=product.options)
        with App(product.python, job, Path(directory)) as app:
            seconds: float = app.hear("cpu")
        return seconds * 1000
