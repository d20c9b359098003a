"""Write the tables of docs/benchmarks.md from the results.json of each comparison."""

from __future__ import annotations

import json
from pathlib import Path

import gateways.report
import report
import servers.report
from tables import Results, Row, heads, markdown, measured_on

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
    of_gateways: Results = json.loads((HERE / "gateways" / "results.json").read_text())
    text = _put(text, "SDKs", _sdks(results))
    text = _put(text, "servers", _table(of_servers, servers.report.rows(of_servers)))
    return _put(text, "gateways", _table(of_gateways, gateways.report.rows(of_gateways)))


def _put(text: str, name: str, written: str) -> str:
    begin, end = BEGIN.format(name), END.format(name)
    before, rest = text.split(begin)
    return f"{before}{begin}\n{written}\n{end}{rest.split(end)[1]}"


def _sdks(results: Results) -> str:
    delivering = {name: found for name, found in results.items() if "losses" in found}
    losses = [*report.loss_rows(delivering), *report.exit_rows(delivering)]
    costs = markdown(heads(results), report.cost_rows(results))
    return f"{measured_on(results)}\n{costs}\n{markdown(list(delivering), losses)}"


def _table(results: Results, rows: list[Row]) -> str:
    return f"{measured_on(results)}\n{markdown(heads(results), rows)}"


if __name__ == "__main__":
    main()
