"""Compare WatchLLM with other products: the SDKs, and the servers.

Run by `make bench-peers`. It judges nothing: it prints a table of each, and keeps the figures in
results.json and servers/results.json, which page.py puts into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import report
import sdk
import servers.report
from environments import HERE
from products import Product, products
from rich.console import Console
from servers import run
from tables import screen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from environments import Environment
    from servers.server import Server
    from tables import Results

WIDTH = 210  # of the tables where there is no terminal


def main() -> None:
    """Measure what the command line names, print the tables, keep the figures."""
    options = _options()
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDTH
    everything: list[Product | Server] = []
    if "sdk" in options.what:
        everything += products(options.sdk)
    if "servers" in options.what:
        everything += run.servers(options.sdk, options.server)
    chosen = _chosen(everything, options.only)
    if not options.keep:
        _install(chosen, console)
    if sdks := [one for one in chosen if isinstance(one, Product)]:
        _sdks(sdks, options, console)
    if rest := [one for one in chosen if not isinstance(one, Product)]:
        _servers(rest, options, console)


def _sdks(chosen: list[Product], options: argparse.Namespace, console: Console) -> None:
    facts: Results = {product.name: _facts(product, product.delivers) for product in chosen}
    extent = sdk.QUICK if options.quick else sdk.FULL
    for product, found in sdk.measure(chosen, extent, options.parts, console):
        facts[product.name].update(found)
    if not options.quick:
        facts = _kept(options.results / "results.json", facts, [p.name for p in products("")])
    sections = [report.cost_rows(facts), report.loss_rows(facts), report.exit_rows(facts)]
    console.print(screen("What logging costs, and how many events arrive", facts, sections))


def _servers(chosen: list[Server], options: argparse.Namespace, console: Console) -> None:
    facts: Results = {server.name: _facts(server) for server in chosen}
    extent = run.QUICK if options.quick else run.FULL
    for server, found in run.measure(chosen, extent, options.parts, console):
        facts[server.name].update(found)
    if not options.quick:
        file = options.results / "servers" / "results.json"
        facts = _kept(file, facts, [server.name for server in run.servers()])
    title = "What servers do with the same spans"
    console.print(screen(title, facts, [servers.report.rows(facts)]))


def _install(chosen: Iterable[Environment], console: Console) -> None:
    for environment in {one.environment: one for one in chosen}.values():
        console.print(f"Installing {environment.environment} ...")
        environment.install()


def _kept(file: Path, facts: Results, order: list[str]) -> Results:
    """Add what was measured to what the file holds of other runs; return the file's content."""
    held: Results = json.loads(file.read_text()) if file.exists() else {}
    known = [name for name in order if name in {**held, **facts}]
    merged = {name: {**held.get(name, {}), **facts.get(name, {})} for name in known}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(_rounded(merged), indent=1, ensure_ascii=False) + "\n")
    return merged


def _rounded(value: Any) -> Any:
    """Leave out digits that no clock gives."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def _chosen(everything: list[Product | Server], only: str) -> list[Product | Server]:
    """Return the products that a name means: its own, or that of its logger or environment."""
    if not only:
        return everything
    wanted = only.lower()
    chosen = [
        one
        for one in everything
        if wanted in {one.name.lower(), one.environment, getattr(one, "logger", "")}
    ]
    if not chosen:
        names = ", ".join(sorted({product.environment for product in everything}))
        raise SystemExit(f"There is no product {only!r}. There are: {names}.")
    return chosen


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sdk", help="the file of the SDK's wheel")
    parser.add_argument("server", help="the file of the server's wheel")
    parser.add_argument(
        "--what",
        nargs="+",
        choices=["sdk", "servers"],
        default=["sdk", "servers"],
        help="the SDKs (half an hour), the servers (ten minutes), or both",
    )
    parser.add_argument("--only", default="", help="one product, by its name")
    parser.add_argument("--quick", action="store_true", help="small numbers; nothing is kept")
    parts = [*sdk.PARTS, *run.PARTS]
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=parts,
        default=parts,
        help=f"of the SDKs {', '.join(sdk.PARTS)}; of the servers {', '.join(run.PARTS)}",
    )
    parser.add_argument(
        "--keep", action="store_true", help="take the environments as they were installed before"
    )
    parser.add_argument(
        "--results", type=Path, default=HERE, help="the directory that keeps the figures"
    )
    return parser.parse_args()


def _facts(product: Environment, installed: bool = True) -> dict[str, Any]:
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    facts: dict[str, Any] = {
        "version": product.version,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, {system}",
    }
    if installed:
        facts["packages"] = len(product.packages)
        facts["megabytes"] = round(product.megabytes, 1)
    return facts


if __name__ == "__main__":
    main()
