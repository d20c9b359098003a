"""SDKs side by side: what logging costs with each, and what arrives when something fails."""

from __future__ import annotations

import dataclasses
import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from costs import Cost, cost, first_event_ms, import_ms, median
from exits import MODES, added_seconds
from losses import FAULTS, Fault, Outcome, outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from products import Product
    from rich.console import Console

PARTS = ("costs", "losses", "exits")
PACED = 1 / 400
AT_ONCE = 3  # programs of the loss table, which mostly wait


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much is measured."""

    rounds: int
    imports: int
    burst: int
    paced: int
    lost: int
    faults: tuple[Fault, ...]
    exits: tuple[str, ...]  # names in MODES


FULL = Extent(3, 5, 2_000, 2_000, 1_000, FAULTS, tuple(MODES))
QUICK = Extent(1, 3, 500, 400, 200, tuple(f for f in FAULTS if f.ending != "stay"), ("refuse",))


def measure(
    chosen: list[Product], extent: Extent, parts: Collection[str], console: Console
) -> Iterator[tuple[Product, dict[str, Any]]]:
    """Measure parts of PARTS; give each product's figures as soon as they are there."""
    if "costs" in parts:
        yield from _costs(chosen, extent, console)
    for product in filter(lambda product: product.delivers, chosen):
        if "losses" in parts:
            console.print(f"Losses: {product.name} ...")
            yield product, _losses(product, extent)
        if "exits" in parts:
            console.print(f"Exits: {product.name} ...")
            yield product, {"exit": {mode: added_seconds(product, mode) for mode in extent.exits}}


def _costs(
    chosen: list[Product], extent: Extent, console: Console
) -> Iterator[tuple[Product, dict[str, Any]]]:
    """Measure in rounds, all products in each, so that a noisy minute troubles all alike."""
    bursts: dict[str, list[Cost]] = {product.name: [] for product in chosen}
    paced: dict[str, list[Cost]] = {product.name: [] for product in chosen}
    for number in range(extent.rounds):
        for product in chosen:
            console.print(f"Costs, round {number + 1} of {extent.rounds}: {product.name} ...")
            bursts[product.name].append(cost(product, extent.burst, 0.0))
            paced[product.name].append(cost(product, extent.paced, PACED))
    for product in chosen:
        imports = [import_ms(product) for _ in range(extent.imports + 1)][1:]  # the first compiles
        firsts = [first_event_ms(product) for _ in range(extent.imports)]
        yield (
            product,
            {
                "import_ms": statistics.median(imports),
                "first_event_ms": statistics.median(firsts),
                "burst": dataclasses.asdict(median(bursts[product.name])),
                "paced": dataclasses.asdict(median(paced[product.name])),
            },
        )


def _losses(product: Product, extent: Extent) -> dict[str, Any]:
    """Run the faults, some at a time: they wait more than they work."""
    faults = [fault for fault in extent.faults if fault.only in {"", product.logger}]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = {fault.name: pool.submit(outcome, product, fault, extent.lost) for fault in faults}
        outcomes: dict[str, Outcome] = {name: one.result() for name, one in found.items()}
        return {"losses": {name: dataclasses.asdict(one) for name, one in outcomes.items()}}
