"""Measure how fast the server answers with its pages at a given number of events.

Fills a data directory as `query.py` does, starts `watchllm serve` on it, and loads each page
several times, one after the other, without a browser. Where playwright and a Chromium are
installed, it then says when the largest part of some pages is painted there, without a cache.
"""

from __future__ import annotations

import shutil
from statistics import median
from typing import TYPE_CHECKING

from measured import PROJECT, Measured, measured_on, running
from query import Client, filled, measure, options, show
from rich.console import Console
from stored import Events

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = [
    "/overview?range=24h",
    "/overview/top?range=24h",
    "/overview/changes?range=24h",
    "/overview?range=30d",
    "/overview/top?range=30d",
    "/overview/top?range=30d&by=user",
    "/overview/changes?range=30d",
    "/runs",
    "/runs?range=24h",
    "/events?range=24h",
    "/events?range=30d",
    "/errors?range=24h",
    "/errors?range=30d",
    "/costs?range=24h",
    "/costs?range=30d",
    "/cache?range=30d",
    "/users?range=24h",
    "/users?range=30d",
    "/prompts?range=30d",
    "/releases?range=24h",
    "/releases?range=30d",
]
PAINTED = ["/overview?range=24h", "/overview?range=30d", "/runs", "/errors?range=30d"]
BASE = f"/projects/{PROJECT}"
VISITS = 5
# Resolves with the milliseconds from the navigation to the last largest paint.
LARGEST_PAINT = """() => new Promise((resolve) => {
  new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime))
    .observe({ type: "largest-contentful-paint", buffered: true });
})"""


def pages(client: Client) -> dict[str, Callable[[int], bytes]]:
    """Return what loads each page, by its address."""

    def load(path: str) -> Callable[[int], bytes]:
        return lambda _: client.get(BASE + path)

    return {path: load(path) for path in PAGES}


def paint(server: Measured, console: Console) -> None:
    """Print when pages are painted in a headless Chromium."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - all else goes without it
    except ImportError:
        chromium = None
    if chromium is None:
        console.print("no page was painted: that needs playwright and chromium")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for path in PAINTED:
            moments = []
            for _ in range(VISITS):
                context = browser.new_context(viewport={"width": 1280, "height": 800})
                page = context.new_page()
                page.goto(f"http://127.0.0.1:{server.port}{BASE}{path}", wait_until="networkidle")
                moments.append(page.evaluate(LARGEST_PAINT))
                context.close()
            console.print(f"{path}: painted after {median(moments):.0f} ms (median of {VISITS})")
        browser.close()


def main() -> None:
    """Fill, serve, load, and print the table."""
    chosen = options(__doc__, 20).parse_args()
    console = Console()
    events = Events(chosen.events, chosen.characters)
    with filled(events, chosen.data_dir, console) as directory, running(directory) as server:
        client = Client(server.port)
        found = measure(pages(client), chosen.repeat, server)
        client.close()
        show(found, None, f"Pages at {events.count:,} events", console)
        paint(server, console)
    console.print(measured_on("watchllm-server", "chdb"))


if __name__ == "__main__":
    main()
