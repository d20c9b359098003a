"""Write the tables of docs/benchmarks.md from results.json and servers/results.json."""

from __future__ import annotations

import json
from pathlib import Path

import report
import servers.report
from tables import Results, heads, markdown, measured_on

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- {} written by benchmarks/peers/page.py -->\n", "<!-- end of {} -->\n"


def main() -> None:
    """Put the tables between their marks."""
    PAGE.write_text(page(PAGE.read_text()))


def page(text: str) -> str:
    """Return a page with the results in place of those that it held."""
    results: Results = json.loads((HERE / "results.json").read_text())
    of_servers: Results = json.loads((HERE / "servers" / "results.json").read_text())
    return _put(_put(text, "SDKs", _sdks(results)), "servers", _servers(of_servers))


def _put(text: str, name: str, written: str) -> str:
    begin, end = BEGIN.format(name), END.format(name)
    before, rest = text.split(begin)
    return f"{before}{begin}\n{written}\n{end}{rest.split(end)[1]}"


def _sdks(results: Results) -> str:
    delivering = {name: found for name, found in results.items() if "losses" in found}
    losses = [*report.loss_rows(delivering), *report.exit_rows(delivering)]
    costs = markdown(heads(results), report.cost_rows(results))
    return f"{measured_on(results)}\n{costs}\n{markdown(list(delivering), losses)}"


def _servers(results: Results) -> str:
    return f"{measured_on(results)}\n{markdown(heads(results), servers.report.rows(results))}"


if __name__ == "__main__":
    main()
