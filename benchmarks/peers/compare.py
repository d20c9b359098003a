"""Compare the SDK with other products: what logging costs, and what is lost.

Run by `make bench-peers`. It judges nothing: it prints a table, and keeps the figures in
results.json, from which `--page` writes the tables of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import report
from costs import Cost, cost, first_event_ms, import_ms, median
from losses import FAULTS, Fault, Outcome, exit_seconds, outcome
from products import HERE, Product, products
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = HERE / "results.json"
PACED = 1 / 400
WIDTH = 210  # of the table where there is no terminal
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


FULL = Extent(3, 5, 2_000, 2_000, 1_000, FAULTS)
QUICK = Extent(1, 3, 500, 400, 200, tuple(f for f in FAULTS if f.ending != "stay"))


def main() -> None:
    """Measure what the command line names, print the table, keep the figures."""
    options = _options()
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDTH
    chosen = _chosen(options)
    for environment in {product.environment: product for product in chosen}.values():
        console.print(f"Installing {environment.environment} ...")
        environment.install()
    extent = QUICK if options.quick else FULL
    facts: dict[str, dict[str, Any]] = {product.name: _facts(product) for product in chosen}
    if "costs" in options.parts:
        for product, found in _costs(chosen, extent, console):
            facts[product.name].update(found)
    if "losses" in options.parts:
        for product in filter(lambda product: product.delivers, chosen):
            console.print(f"Losses: {product.name} ...")
            facts[product.name].update(_losses(product, extent))
    if not options.quick:
        facts = _kept(Path(options.results), facts)
    console.print(report.table(facts))


def _kept(file: Path, facts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Add what was measured to what the file holds of other runs; return the file's content."""
    held: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    known = [product.name for product in products("") if product.name in {**held, **facts}]
    merged = {name: {**held.get(name, {}), **facts.get(name, {})} for name in known}
    file.write_text(json.dumps(_rounded(merged), indent=1, ensure_ascii=False) + "\n")
    return merged


def _rounded(value: Any) -> Any:
    """Leave out digits that no clock gives."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def _chosen(options: argparse.Namespace) -> list[Product]:
    everything = products(options.wheel)
    if not options.only:
        return everything
    chosen = [p for p in everything if options.only in {p.name, p.environment, p.logger}]
    if not chosen:
        names = ", ".join(sorted({product.environment for product in everything}))
        raise SystemExit(f"There is no product {options.only!r}. There are: {names}.")
    return chosen


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", help="the file of the SDK's wheel")
    parser.add_argument("--only", default="", help="one product, by its name")
    parser.add_argument("--quick", action="store_true", help="fewer events, no outages; not kept")
    parser.add_argument(
        "--parts", nargs="+", choices=["costs", "losses"], default=["costs", "losses"]
    )
    parser.add_argument("--results", default=str(RESULTS), help="the file that keeps the figures")
    return parser.parse_args()


def _facts(product: Product) -> dict[str, Any]:
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    facts: dict[str, Any] = {
        "version": product.version,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, {system}",
    }
    if product.delivers:
        facts["packages"] = len(product.packages)
        facts["megabytes"] = round(product.megabytes, 1)
    return facts


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
        exits = {mode: pool.submit(exit_seconds, product, mode) for mode in ("refuse", "hang")}
        found = {fault.name: pool.submit(outcome, product, fault, extent.lost) for fault in faults}
        outcomes: dict[str, Outcome] = {name: one.result() for name, one in found.items()}
        return {
            "exit": {mode: one.result() for mode, one in exits.items()},
            "losses": {name: dataclasses.asdict(one) for name, one in outcomes.items()},
        }


if __name__ == "__main__":
    main()
