"""A new project's first minutes in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from browsing import administer
from playwright.sync_api import expect
from watchllm_server.demo.history import send

if TYPE_CHECKING:
    from collections.abc import Callable

    from browsing import Tab
    from conftest import Server


def test_the_page_lights_up_when_the_first_event_arrives(
    tab: Callable[..., Tab], shop: Server
) -> None:
    """The overview of a new project waits, and leads to the first run without being loaded anew."""
    administer(shop, "/projects", id="fresh", name="fresh")
    key = administer(shop, "/projects/fresh/keys")["secret"]
    page = tab().open("/projects/fresh/overview")
    expect(page.get_by_text("Waiting for the first event")).to_be_visible()
    page.evaluate("document.body.dataset.same = ''")

    event = {
        "event_id": "first", "event_type": "error", "run_id": "first-run", "env": "production",
        "timestamp": "2026-11-24T09:30:00.000Z", "error": {"message": "It works."},
    }  # fmt: skip
    send(shop.url, key, [event])

    expect(page.get_by_text("An event has arrived.")).to_be_visible()
    page.get_by_role("link", name="Look at its run").click()
    page.wait_for_url("**/runs/first-run")
    expect(page.get_by_text("It works.")).to_be_visible()
