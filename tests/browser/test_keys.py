"""The pages by the keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from browsing import Tab
    from conftest import Server


def test_j_k_and_enter_walk_and_open_rows(tab: Callable[..., Tab], shop: Server) -> None:
    """The next row is at j, the one before at k, and Enter opens what has the focus."""
    page = tab().open(f"/projects/{shop.project}/runs")
    rows = page.locator("[data-row]")
    second = rows.nth(1).locator("a").first

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")

    expect(second).to_be_focused()
    wanted = second.get_attribute("href") or ""
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url.endswith(wanted))


def test_a_question_mark_lists_the_keys(tab: Callable[..., Tab], shop: Server) -> None:
    """? opens a list that names the key of every page, and Escape closes it."""
    page = tab().open(f"/projects/{shop.project}/runs")
    dialog = page.get_by_role("dialog", name="Keys of these pages")

    page.keyboard.press("?")

    expect(dialog).to_be_visible()
    for link in page.locator("nav.nav a").all():
        expect(dialog).to_contain_text(link.inner_text())
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_g_and_a_letter_lead_to_a_page(tab: Callable[..., Tab], shop: Server) -> None:
    """The keys g and r lead from the page of a run to the runs."""
    page = tab().open(f"/projects/{shop.project}/runs")
    page.locator("[data-row] a").first.click()
    page.wait_for_url("**/runs/*")

    page.keyboard.press("g")
    page.keyboard.press("r")

    page.wait_for_url("**/runs")
