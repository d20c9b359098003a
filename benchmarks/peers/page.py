"""Write the tables of docs/benchmarks.md from results.json."""

from __future__ import annotations

import json
from pathlib import Path

import report

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- written by benchmarks/peers/page.py -->\n", "<!-- end of what it wrote -->\n"


def main() -> None:
    """Put the tables between their marks."""
    PAGE.write_text(page(PAGE.read_text(), json.loads(RESULTS.read_text())))


def page(text: str, results: report.Results) -> str:
    """Return a page with the results in place of those that it held."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{report.markdown(results)}\n{END}{after}"


if __name__ == "__main__":
    main()
