"""Measure how fast the server answers with its pages at a given number of events.

Fills a data directory as `query.py` does, starts `watchllm serve` on it, and loads each page
several times, one after the other, without a browser. Where playwright and a Chromium are
installed, it then says when the largest part of some pages is painted there, without a cache. Of a
run of 3,000 events, which it sends before, it also says what was loaded, and how long the longest
frame took while its outline was scrolled from its beginning to its end.
"""

from __future__ import annotations

import shutil
import uuid
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from measured import KEY, PROJECT, Measured, measured_on, running
from query import Client, filled, measure, options, show
from rich.console import Console
from stored import Events
from watchllm_server.demo.history import send

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser

PAGES = [
    "/overview?range=24h",
    "/overview/top?range=24h",
    "/overview/changes?range=24h",
    "/overview?range=30d",
    "/overview/top?range=30d",
    "/overview/top?range=30d&by=user",
    "/overview/changes?range=30d",
    "/runs?range=24h",
    "/runs?range=all",
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
# Scrolls the outline by half a screen a frame until no rows are left to fetch, and resolves with
# the most milliseconds between two frames.
LONGEST_FRAME = """async () => {
  const rows = document.getElementById("rows");
  const frame = () => new Promise(requestAnimationFrame);
  let longest = 0;
  let before = await frame();
  const below = () => rows.scrollHeight - rows.scrollTop - rows.clientHeight;
  const more = () => rows.querySelector(".more") || below() > 1;
  while (more()) {
    rows.scrollBy(0, rows.clientHeight / 2);
    const now = await frame();
    longest = Math.max(longest, now - before);
    before = now;
  }
  return longest;
}"""


def pages(client: Client) -> dict[str, Callable[[int], bytes]]:
    """Return what loads each page, by its address."""

    def load(path: str) -> Callable[[int], bytes]:
        return lambda _: client.get(BASE + path)

    return {path: load(path) for path in PAGES}


def large_run(server: Measured) -> str:
    """Send a run of 300 steps with nine calls below each, and return its id."""
    run_id, now = f"large-{uuid.uuid4().hex}", datetime.now(UTC)
    events: list[dict[str, object]] = []
    for number in range(3_000):
        top = number - number % 10
        event: dict[str, object] = {
            "event_id": f"{run_id}-{number}",
            "run_id": run_id,
            "timestamp": (now - timedelta(seconds=3_000 - number))
            .isoformat()
            .replace("+00:00", "Z"),
            "latency_ms": 700 + number % 200,
            "status": "success",
        }
        if number == top:
            event |= {"event_type": "agent_step", "step_name": "Look up", "step_type": "tool_call"}
            event |= {"step_number": number // 10, "input_data": {}, "output_data": {}}
        else:
            event |= {"event_type": "prompt_call", "parent_event_id": f"{run_id}-{top}"}
            event |= {"model": "gpt-4o", "tokens_input": 300, "tokens_output": 90}
            event |= {"prompt": f"Is order {number} on its way?", "response": "It is."}
        events.append(event)
    send(f"http://127.0.0.1:{server.port}", KEY, events)
    return run_id


def open_large(browser: Browser, address: str, console: Console) -> None:
    """Print how a large run opens and scrolls: the median of each figure, the worst of frames."""
    paints, sizes, frames = [], [], []
    for _ in range(VISITS):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        loaded: list[float] = []
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.loadingFinished", lambda told: loaded.append(told["encodedDataLength"]))  # noqa: B023 - all of it comes before the next visit
        page.goto(address)
        paints.append(page.evaluate(LARGEST_PAINT))
        sizes.append(sum(loaded))
        frames.append(page.evaluate(LONGEST_FRAME))
        context.close()
    console.print(
        f"a run of 3,000 events: painted after {median(paints):.0f} ms, "
        f"{median(sizes) / 1_000:.0f} kB; scrolled to its end, the longest frame took "
        f"{median(frames):.0f} ms, in the worst of {VISITS} visits {max(frames):.0f} ms"
    )


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
        address = f"http://127.0.0.1:{server.port}{BASE}/runs/{large_run(server)}"
        open_large(browser, address, console)
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
