"""Compare WatchLLM with other products: the SDKs, the servers, and the gateways.

Run by `make bench-peers`. It judges nothing: it prints a table of each, and keeps the figures in
results.json, servers/results.json and gateways/results.json, which page.py puts into
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gateways.report
import gateways.run
import report
import sdk
import servers.report
from environments import HERE
from gateways.gateway import Gateway
from products import Product, products
from rich.console import Console
from servers import run
from servers.server import Server
from tables import screen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from environments import Environment
    from tables import Results

WIDTH = 210  # of the tables where there is no terminal
WHAT = ["sdk", "servers", "gateways"]
Compared = Product | Server | Gateway


def main() -> None:
    """Measure what the command line names, print the tables, keep the figures."""
    options = _options()
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDTH
    everything: list[Compared] = []
    if "sdk" in options.what:
        everything += products(options.sdk)
    if "servers" in options.what:
        everything += run.servers(options.sdk, options.server)
    if "gateways" in options.what:
        everything += gateways.run.gateways(options.sdk, options.server)
    chosen = _present(_chosen(everything, options.only), console)
    if not options.keep:
        _install(chosen, console)
    if sdks := [one for one in chosen if isinstance(one, Product)]:
        _sdks(sdks, options, console)
    if stores := [one for one in chosen if isinstance(one, Server)]:
        _servers(stores, options, console)
    if proxies := [one for one in chosen if isinstance(one, Gateway)]:
        _gateways(proxies, options, console)


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


def _gateways(chosen: list[Gateway], options: argparse.Namespace, console: Console) -> None:
    facts: Results = {gateway.name: _facts(gateway, gateway.weighed) for gateway in chosen}
    extent = gateways.run.QUICK if options.quick else gateways.run.FULL
    for gateway, found in gateways.run.measure(chosen, extent, console):
        facts[gateway.name].update(found)
    if not options.quick:
        file = options.results / "gateways" / "results.json"
        facts = _kept(file, facts, [gateway.name for gateway in gateways.run.gateways()])
    title = "What a gateway adds to a call of 2 kB"
    console.print(screen(title, facts, [gateways.report.rows(facts)]))


def _present(chosen: list[Compared], console: Console) -> list[Compared]:
    """Leave out what this machine cannot run, and say so by name."""
    present = []
    for one in chosen:
        if lacking := one.missing if isinstance(one, Gateway) else "":
            console.print(f"{one.name} is left out: {lacking}.")
        else:
            present.append(one)
    return present


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


def _chosen(everything: list[Compared], only: str) -> list[Compared]:
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
        choices=WHAT,
        default=WHAT,
        help="the SDKs (half an hour), the servers (ten minutes), the gateways (six); or all",
    )
    parser.add_argument("--only", default="", help="one product, by its name")
    parser.add_argument("--quick", action="store_true", help="small numbers; nothing is kept")
    parts = [*sdk.PARTS, *run.PARTS]
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=parts,
        default=parts,
        help=f"of the SDKs {', '.join(sdk.PARTS)}; of the servers {', '.join(run.PARTS)};"
        " gateways have none",
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
