"""What holds for every page: it is light, readable by all, and needs no JavaScript."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import pytest
from browsing import OUTPUT, WHOLE
from watchllm_server.pages.routes import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from browsing import Tab
    from conftest import Server

MAX_BYTES = 120_000
MAX_REQUESTS = 10

ALONE = {
    "/overview", "/overview/top", "/overview/changes", "/start", "/runs", "/events", "/errors",
    "/costs", "/costs/prices", "/cache", "/users", "/prompts", "/releases", "/settings",
}  # fmt: skip
BEHIND = {
    "/runs/{run_id:path}": "/runs?range=30d",
    "/events/{event_id:path}": "/events?range=30d",
    "/errors/one": "/errors?range=30d",
    "/users/one": "/users?range=30d",
    "/prompts/one": "/prompts?range=30d",
}
"""Pages of one thing, and the lists of which the first row leads to them."""
NOT_SHOWN = {"/export", "/live/{run_id:path}", "/start/arrival"}
"""A file, a stream, and a part of another page that changes while it is looked at."""
SHOWN = [
    pytest.param(path, id=path.strip("/").partition("{")[0].replace("/", "-"))
    for path in sorted(ALONE | BEHIND.keys())
]


@pytest.fixture
def address(shop: Server, path: str) -> str:
    """Return where the page of a path is."""
    if path in ALONE:
        return f"/projects/{shop.project}{path}"
    _, text = shop.get(f"/projects/{shop.project}{BEHIND[path]}")
    found = re.search(r'data-row>.*?href="(.+?)"', text, re.DOTALL)
    assert found
    return unescape(found[1])


def test_every_page_is_looked_at_here() -> None:
    """No page is added without being walked below."""
    paths = {page.path for page in PAGES if page.method == "GET"}

    assert paths == ALONE | BEHIND.keys() | NOT_SHOWN


@pytest.mark.parametrize("window", [(1280, "light"), (390, "dark")], ids=["wide", "narrow"])
@pytest.mark.parametrize("path", SHOWN)
def test_a_page_is_light_and_keeps_nobody_out(
    tab: Callable[..., Tab],
    address: str,
    axe: str,
    window: tuple[int, str],
    request: pytest.FixtureRequest,
) -> None:
    """A first visit loads at most 120 kB in ten requests, all from the server itself.

    There is no barrier that axe-core finds, and nothing beyond the window's edge, light or dark.
    """
    width, scheme = window
    opened = tab(width=width, scheme=scheme)
    page = opened.open(address)
    page.wait_for_function(WHOLE)
    loaded = [*opened.traffic.transferred]
    page.evaluate(axe)

    found = page.evaluate("axe.run()")
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

    page.screenshot(path=OUTPUT / f"{request.node.callspec.id}.png")
    barriers = [
        (each["id"], node["target"], node["failureSummary"])
        for each in found["violations"]
        for node in each["nodes"]
    ]
    assert sum(loaded) <= MAX_BYTES
    assert 1 < len(loaded) <= MAX_REQUESTS
    assert barriers == []
    assert wider <= 0


@pytest.mark.parametrize("path", SHOWN)
def test_a_page_reads_without_javascript(tab: Callable[..., Tab], address: str) -> None:
    """Without JavaScript a page has its heading, its navigation and every figure."""
    reading = tab(javascript=False).open(address)
    with_script = tab().open(address)

    assert reading.locator("h1").inner_text() == with_script.locator("h1").inner_text()
    assert reading.locator("nav.nav a").count() == with_script.locator("nav.nav a").count() > 0
    assert reading.locator("tbody tr, .tile").count() >= with_script.locator(".tile").count()
    assert reading.locator("main").inner_text().strip() != ""
