"""The pictures of the README and the documentation; WATCHLLM_PICTURES=1 writes them there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import OUTPUT, WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from browsing import Tab
    from conftest import Server

ROOT = Path(__file__).parents[2]
SHOWN = {
    "overview": "/overview?range=7d",
    "errors": "/errors?range=7d",
    "costs": "/costs?range=30d",
    "cache": "/cache?range=30d",
    "run": "/runs?range=7d&tag=research&sort=errors",
}
"""The pages by the names of their pictures; that of a run is behind the first row of a list."""


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_shows_what_its_page_tells(
    tab: Callable[..., Tab], shop: Server, name: str
) -> None:
    """Each picture is of a page that has rows or figures and all of its charts drawn."""
    page = tab(width=1200).open(f"/projects/{shop.project}{SHOWN[name]}")
    if name == "run":
        page.locator("[data-row] a").first.click()
        page.wait_for_url("**/runs/*")
    page.wait_for_function(WHOLE)
    page.evaluate("window.scrollTo(0, 0)")
    wanted = page.locator("[data-chart]").count()

    folder = ROOT / "docs" / "_static" if os.environ.get("WATCHLLM_PICTURES") else OUTPUT
    picture = page.screenshot(path=folder / f"dashboard-{name}.png")

    assert page.locator("[data-row], .tile").count() > 3
    assert page.locator(".uplot").count() == wanted
    assert len(picture) < 200_000


def test_every_picture_is_made_here() -> None:
    """The README and the documentation show each picture, and none that no test makes."""
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))]

    shown = {found for text in texts for found in re.findall(r"_static/([\w-]+)\.png", text)}

    assert shown == {f"dashboard-{name}" for name in SHOWN}
