"""What the forms of the pages of prices and of users do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from browsing import Tab
    from conftest import Server


def test_a_price_is_set_where_it_is_missing(
    tab: Callable[..., Tab], shop: Server, axe: str
) -> None:
    """From a model of unknown price two clicks and a form lead to a price that counts."""
    page = tab().open(f"/projects/{shop.project}/costs")
    page.get_by_role("link", name="Set a price").first.click()
    page.wait_for_url("**/costs/prices?**")
    model = page.get_by_label("Model", exact=True).input_value()
    page.wait_for_function("document.body.dataset.ready === ''")
    page.evaluate(axe)
    barriers = [each["id"] for each in page.evaluate("axe.run()")["violations"]]

    page.get_by_label("Input, $ a million tokens", exact=True).fill("2")
    page.get_by_label("Output, $ a million tokens").fill("4")
    page.get_by_role("button", name="Set the price").click()

    expect(page.get_by_role("button", name=f"Remove the price of {model}")).to_be_visible()
    assert barriers == []


def test_a_user_is_erased_without_javascript(tab: Callable[..., Tab], shop: Server) -> None:
    """The form of a user's page erases all that there is of the user, and nobody else."""
    users = tab(javascript=False).open(f"/projects/{shop.project}/users?range=30d")
    count = users.locator("[data-row]").count()
    user = "stark-kofi"
    users.get_by_role("link", name=user).click()

    users.get_by_label("Type the id once more").fill(user)
    users.get_by_role("button", name="Erase all events of this user").click()

    expect(users.get_by_role("status")).to_contain_text("were erased")
    users.goto(f"{shop.url}/projects/{shop.project}/users?range=30d")
    assert users.locator("[data-row]").count() == count - 1
    expect(users.locator("main")).not_to_contain_text(user)
