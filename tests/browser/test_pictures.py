"""The pictures of the README and the tour; WATCHLLM_PICTURES=1 writes them to where they stand."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import OUTPUT

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
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_shows_what_its_page_tells(
    tab: Callable[..., Tab], shop: Server, name: str
) -> None:
    """Each picture is of a page that has rows or figures and all of its charts drawn."""
    page = tab(width=1200).open(f"/projects/{shop.project}{SHOWN[name]}")
    page.wait_for_load_state("networkidle")
    wanted = page.locator("[data-chart]").count()

    folder = ROOT / "docs" / "_static" if os.environ.get("WATCHLLM_PICTURES") else OUTPUT
    picture = page.screenshot(path=folder / f"dashboard-{name}.png")

    assert page.locator("tbody tr, .tile").count() > 3
    assert page.locator(".uplot").count() == wanted
    assert len(picture) < 200_000


def test_every_picture_of_the_tour_is_made_here() -> None:
    """The README and the tour show no picture of the dashboard that no test makes."""
    texts = [(ROOT / name).read_text() for name in ("README.md", "docs/howto/dashboard.md")]

    shown = {found for text in texts for found in re.findall(r"dashboard-(\w+)\.png", text)}

    assert shown <= SHOWN.keys()
    assert "overview" in shown
