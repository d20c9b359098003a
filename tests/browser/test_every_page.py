"""What holds for every page: it is light, readable by all, and needs no JavaScript."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browsing import OUTPUT
from watchllm_server.pages.routes import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from browsing import Tab
    from conftest import Server

SHOWN = [pytest.param(page.path, id=page.name.lower()) for page in PAGES if page.name]
MAX_BYTES = 120_000
MAX_REQUESTS = 10


@pytest.mark.parametrize("path", SHOWN)
def test_a_cold_page_is_light(tab: Callable[..., Tab], shop: Server, path: str) -> None:
    """A first visit loads at most 120 kB in ten requests, all from the server itself."""
    opened = tab()

    opened.open(f"/projects/{shop.project}{path}").wait_for_load_state("networkidle")

    assert sum(opened.traffic.transferred) <= MAX_BYTES
    assert 1 < len(opened.traffic.transferred) <= MAX_REQUESTS


@pytest.mark.parametrize("window", [(1280, "light"), (390, "dark")], ids=["wide", "narrow"])
@pytest.mark.parametrize("path", SHOWN)
def test_a_page_keeps_nobody_out(
    tab: Callable[..., Tab], shop: Server, axe: str, path: str, window: tuple[int, str]
) -> None:
    """No barrier that axe-core finds, and nothing beyond the window's edge, light or dark."""
    width, scheme = window
    opened = tab(width=width, scheme=scheme)
    page = opened.open(f"/projects/{shop.project}{path}")
    page.wait_for_function("document.body.dataset.ready === ''")
    page.evaluate(axe)

    found = page.evaluate("axe.run()")
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

    page.screenshot(path=OUTPUT / f"{path.strip('/').replace('/', '-')}-{scheme}-{width}.png")
    barriers = [
        (each["id"], node["target"], node["failureSummary"])
        for each in found["violations"]
        for node in each["nodes"]
    ]
    assert barriers == []
    assert wider <= 0


@pytest.mark.parametrize("path", SHOWN)
def test_a_page_reads_without_javascript(tab: Callable[..., Tab], shop: Server, path: str) -> None:
    """Without JavaScript a page has its heading, its navigation and every figure."""
    reading = tab(javascript=False).open(f"/projects/{shop.project}{path}")
    with_script = tab().open(f"/projects/{shop.project}{path}")

    assert reading.locator("h1").inner_text() == with_script.locator("h1").inner_text()
    assert reading.locator("nav.nav a[aria-current=page]").count() == 1
    assert reading.locator("tbody tr, .tile").count() >= with_script.locator(".tile").count()
    assert reading.locator("main").inner_text().strip() != ""
