"""Show which calls of which libraries were tested, from what pytest has reported of each.

`python tests/instrument/table.py REPORTS` writes the page of the documentation; with --check after
it, the page is compared, and with --print the table is printed. REPORTS is a folder of JUnit's XML.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "instrumentation.md"
HEAD = """# Calls that are tested

<!-- Written by tests/instrument/table.py from the results of the tests. -->

What [`auto_instrument()`](../howto/instrument.md) records is tested with each combination of these
tables: real libraries, and an endpoint on a socket. A combination is one program that runs without
instrumentation and with it. It passes when the app sees the same both times, be it a result, a
stream or an exception, and when there is exactly one event, with the right run, prompt, model and
status, and with the tokens that the library was told.

`sync` and `async` name the client that passed, in every version that the heading names.
"""
NAMES = {
    "test_a_whole_answer": "whole",
    "test_a_streamed_answer": "streamed",
    "test_a_cancelled_call": "cancelled",
}
ENDS = {
    ("whole", "answered"): "an answer",
    ("whole", "gemini"): "an answer",
    ("whole", "thinking"): "an answer with thoughts",
    ("whole", "picture"): "a picture",
    ("whole", "blocked"): "held back by the provider's filter",
    ("whole", "raw"): "an answer, through `with_raw_response`",
    ("whole", "flaky"): "an answer at the second try",
    ("whole", "bare"): "an answer without usage, with odd fields",
    ("whole", "nope"): "refused with 404",
    ("whole", "slow"): "a time-out",
    ("whole", "cancelled"): "the task is cancelled",
    ("streamed", "consumed"): "read to the end",
    ("streamed", "gemini"): "read to the end",
    ("streamed", "raw"): "read to the end, through `with_raw_response`",
    ("streamed", "closed"): "closed in the middle",
    ("streamed", "left"): "left in the middle, by `break`",
    ("streamed", "with"): "left in the middle, through `with`",
    ("streamed", "dropped"): "never read",
    ("streamed", "nope"): "refused with 404",
    ("streamed", "cut"): "the connection breaks in the middle",
    ("streamed", "wrong"): "an error is told in the middle",
    ("streamed", "hold"): "a time-out in the middle",
    ("streamed", "cancelled"): "the task is cancelled in the middle",
}


class Cell(NamedTuple):
    """One combination."""

    kind: str
    end: str
    api: str
    client: str


def cell_of(name: str) -> Cell | None:
    """Return the combination that a test is of, as `test_a_whole_answer[chat-answered-sync]`."""
    found = re.fullmatch(r"(\w+)\[(.+)\]", name)
    if found is None or found[1] not in NAMES:
        return None
    kind, parts = NAMES[found[1]], found[2].split("-")
    last = parts.pop()
    if kind == "cancelled":
        return Cell(last, "cancelled", "".join(parts), "async")
    end = parts.pop()
    return Cell(kind, end, "".join(parts), last)


def passed(reports: Path) -> dict[str, dict[str, set[Cell]]]:
    """Return the combinations that passed, by library and version."""
    found: dict[str, dict[str, set[Cell]]] = defaultdict(dict)
    for report in sorted(reports.glob("*.xml")):
        (suite,) = ET.parse(report).getroot()  # noqa: S314 - our own tests wrote it
        told = {each.get("name"): each.get("value", "") for each in suite.iter("property")}
        cells = {
            cell
            for case in suite.iter("testcase")
            if all(case.find(other) is None for other in ("failure", "error", "skipped"))
            and (cell := cell_of(case.get("name", "")))
        }
        if cells:
            found[told["library"]][told["version"]] = cells
    return found


def section(library: str, versions: dict[str, set[Cell]]) -> str:
    """Return the table of a library."""
    cells = set.union(*versions.values())
    found = {(cell.kind, cell.end) for cell in cells}
    rows = [each for each in ENDS if each in found] + sorted(found - set(ENDS))
    apis = sorted({cell.api for cell in cells})
    text = f"\n## {library} {', '.join(sorted(versions, key=numbers))}\n\n"
    text += f"{len(cells)} combinations.\n\n"
    columns = " | ".join(api or "generate_content" for api in apis)
    text += f"| call | how it ends | {columns} |\n|---|---|{'---|' * len(apis)}\n"
    for kind, end in rows:
        shown = [
            ", ".join(
                mark(Cell(kind, end, api, client), versions)
                for client in ("sync", "async")
                if Cell(kind, end, api, client) in cells
            )
            for api in apis
        ]
        text += f"| {kind} | {ENDS.get((kind, end), end)} | {' | '.join(shown)} |\n"
    return text


def mark(cell: Cell, versions: dict[str, set[Cell]]) -> str:
    """Return the client of a cell, and the versions in which it did not pass."""
    missing = [version for version, cells in versions.items() if cell not in cells]
    return f"{cell.client} (not {', '.join(missing)})" if missing else cell.client


def numbers(version: str) -> list[int]:
    """Return what versions are sorted by."""
    return [int(part) for part in re.findall(r"\d+", version)]


def main(reports: str, mode: str = "") -> int:
    """Write, compare or print the tables."""
    text = "".join(section(library, of) for library, of in sorted(passed(Path(reports)).items()))
    if mode == "--print":
        print(text)
    elif mode != "--check":
        PAGE.write_text(HEAD + text, "utf-8")
    elif PAGE.read_text("utf-8") != HEAD + text:
        print(f"{PAGE.name} is not what the tests say: run python {__file__} {reports}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
