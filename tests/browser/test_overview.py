"""The overview in a real browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from browsing import Tab
    from conftest import Server


def test_a_stretch_that_is_marked_becomes_the_time(tab: Callable[..., Tab], shop: Server) -> None:
    """Marking a part of a chart loads the page for that part, which is in its address."""
    page = tab().open(f"/projects/{shop.project}/overview?range=7d&by=tag")
    plot = page.locator(".u-over").first
    box = plot.bounding_box()
    assert box is not None

    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 30, steps=5)
    page.mouse.up()
    page.wait_for_url("**from=*")

    said = parse_qs(urlsplit(page.url).query)
    assert said.keys() == {"from", "to", "by"}
    assert said["from"] < said["to"]
    expect(page.locator(".ranges [aria-current]").first).to_have_text("Tags")


def test_charts_are_drawn_anew_for_the_dark(tab: Callable[..., Tab], shop: Server) -> None:
    """Each chart is drawn once, and once again when the reader's scheme changes."""
    page = tab().open(f"/projects/{shop.project}/overview?range=30d")
    expect(page.locator(".uplot")).to_have_count(4)
    page.locator(".uplot").first.evaluate("plot => plot.dataset.before = ''")

    page.emulate_media(color_scheme="dark")

    expect(page.locator(".uplot[data-before]")).to_have_count(0)
    expect(page.locator(".uplot")).to_have_count(4)


def test_times_are_the_readers_own(tab: Callable[..., Tab], shop: Server) -> None:
    """A time is shown in the reader's zone, and its title keeps it in UTC."""
    page = tab().open(f"/projects/{shop.project}/runs")
    time = page.locator("tbody time").first

    said = time.evaluate(
        "time => ["
        "new Date(time.dateTime).toLocaleTimeString('en-GB'), time.textContent, time.title]"
    )

    assert said[0] in said[1]
    assert said[2].endswith(" UTC")


def test_an_environment_is_chosen_without_a_button(tab: Callable[..., Tab], shop: Server) -> None:
    """A choice in the list of environments loads the page for it and keeps the range."""
    page = tab().open(f"/projects/{shop.project}/overview?range=7d")

    page.get_by_label("Environment").select_option("staging")

    page.wait_for_url("**env=staging*")
    assert parse_qs(urlsplit(page.url).query) == {"env": ["staging"], "range": ["7d"]}
    expect(page.get_by_role("list", name="Filters")).to_contain_text("staging")


def test_lists_come_after_the_page(tab: Callable[..., Tab], shop: Server) -> None:
    """The page fetches its lists by itself, and without JavaScript links lead to them."""
    path = f"/projects/{shop.project}/overview?range=30d&sort=errors"

    page = tab(width=390).open(path)
    page.get_by_role("heading", name="What changed").scroll_into_view_if_needed()
    plain = tab(javascript=False).open(path)
    plain.get_by_role("link", name="What has the most").click()

    expect(page.get_by_role("region", name="Top").locator("tbody tr").first).to_be_visible()
    expect(page.locator(".later")).to_have_count(0)
    expect(plain.get_by_role("heading", name="Overview")).to_be_visible()
    expect(plain.get_by_role("region", name="Top").locator("[aria-sort]")).to_contain_text("Errors")


def test_a_chart_names_its_lines_and_tells_their_values(
    tab: Callable[..., Tab], shop: Server
) -> None:
    """Away from it a chart has its names in order; at the pointer, the time and each value."""
    page = tab().open(f"/projects/{shop.project}/overview?range=30d")
    figure = page.locator("figure", has_text="Tokens")
    values = figure.locator(".u-legend .u-value")
    expect(figure.locator(".u-legend")).to_have_text(re.compile(r"^TimeInputOutput$"))

    figure.locator(".u-over").hover()

    expect(values).to_have_text([re.compile(r"20\d\d, \d\d:\d\d"), *[re.compile(r"^[\d.]+")] * 2])
    page.mouse.move(0, 0)
    expect(values).to_have_text(["", "", ""])
