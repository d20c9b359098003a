"""The pages of costs and of prices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from conftest import prompt_call
from page_forms import submit
from reading import ATTACKS, show_page
from watchllm_server.limits import new_limit
from watchllm_server.metadata.limits import Counted, Window
from watchllm_server.pages.budgets import budgets

if TYPE_CHECKING:
    from conftest import Account
    from watchllm_server.metadata import Metadata

NOW = datetime.now(UTC)


def test_costs_are_shown_by_two_dimensions(account: Account) -> None:
    """Rows are of the first dimension with their sum, columns of the second with theirs."""
    account.send(
        prompt_call(timestamp=NOW.isoformat(), user_id="ada", tokens_input=1_000_000),
        prompt_call(timestamp=NOW.isoformat(), user_id="ben", model="mine"),
    )

    page = show_page(account, f"/projects/{account.project}/costs?by=user&across=model")

    for text in ("ada", "ben", "gpt-4o", "$2.50", "unknown", "100 %"):
        assert text in page.text
    assert any("user=ada" in link and "by=user" in link for link in page.links())


@pytest.mark.parametrize("by", ["model", "user", "tag", "release", "env", "template"])
def test_each_dimension_has_its_rows(account: Account, by: str) -> None:
    """Costs can be asked for by everything that tells calls apart, with what has none of it."""
    account.send(
        prompt_call(
            timestamp=NOW.isoformat(), user_id="it", tags=["it"], release="it", env="it",
            model="it", prompt_template_id="it",
        ),
        prompt_call(timestamp=NOW.isoformat()),
    )  # fmt: skip

    page = show_page(account, f"/projects/{account.project}/costs?by={by}&across=tag")

    assert page.tags.count(("bdi", {})) >= 2
    assert "it" in page.text


def test_a_forecast_comes_after_three_days(account: Account) -> None:
    """The month's end is forecast from three whole days on; before, the page says when."""
    early = show_page(account, f"/projects/{account.project}/costs")
    account.send(
        *(
            prompt_call(timestamp=(NOW - timedelta(days=days)).isoformat(), tokens_input=1_000_000)
            for days in range(1, 8)
        )
    )

    later = show_page(account, f"/projects/{account.project}/costs")

    assert "after three days" in early.text
    assert "The forecast rests on 7 whole days;" in later.text


def test_a_figure_says_more_of_what_it_is(account: Account) -> None:
    """What is not plain from a figure's name is said by its title."""
    account.send(prompt_call(timestamp=NOW.isoformat(), model="mine"))

    page = show_page(account, f"/projects/{account.project}/costs")

    titles = [
        attributes["title"]
        for tag, attributes in page.tags
        if tag == "li" and "title" in attributes
    ]
    assert "Set a price for their model, or send cost_estimate_usd" in titles


def test_unknown_prices_are_named_and_can_be_set(account: Account) -> None:
    """A model without a price is named with a link to the form that sets one, which then counts."""
    account.send(prompt_call(timestamp=NOW.isoformat(), model="mine"))
    costs = show_page(account, f"/projects/{account.project}/costs")
    link = next(link for link in costs.links() if "model=mine" in link and "prices" in link)
    form = show_page(account, link)
    model = next(str(a["value"]) for _, a in form.tags if a.get("name") == "model")

    answer = submit(account.client, link, do="set", model=model, input="1000", output="2000")

    assert answer.status_code == 303
    own = show_page(account, answer.headers["location"])
    assert "this project's own" in own.text
    account.send(prompt_call(timestamp=NOW.isoformat(), model="mine"))
    assert "$0.1020" in show_page(account, f"/projects/{account.project}/costs").text


def test_a_price_can_be_removed(account: Account) -> None:
    """A price of the project's own goes by a click, and a second click does no harm."""
    prices = f"/projects/{account.project}/costs/prices"
    submit(account.client, prices, do="set", model="mine", provider="me", input="1", output="2")
    before = show_page(account, prices)

    for _ in range(2):
        answer = submit(account.client, prices, do="remove", model="mine", provider="me")
        assert answer.status_code == 303

    assert "mine" in before.text
    assert "mine" not in show_page(account, prices).text


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [("input", "free", "A price is in US dollars"), ("model", "", "name has 1 to 200")],
)
def test_a_price_that_is_none_is_told(account: Account, field: str, value: str, text: str) -> None:
    """A form with something that can be no price is answered with a sentence."""
    fields = {"do": "set", "model": "mine", "input": "1", "output": "2"} | {field: value}

    answer = submit(account.client, f"/projects/{account.project}/costs/prices", **fields)

    assert answer.status_code == 400
    assert text in answer.text


def test_a_price_from_another_site_is_refused(account: Account) -> None:
    """A form that another site makes a browser send changes nothing."""
    prices = f"/projects/{account.project}/costs/prices"

    answer = account.client.post(
        prices,
        content="do=set&model=mine&input=1&output=1",
        headers={"Origin": "https://elsewhere.example"},
    )

    assert answer.status_code == 403
    assert "mine" not in show_page(account, prices).text


def test_the_lists_can_be_searched(account: Account) -> None:
    """A search of the price lists finds the models that have all of its words."""
    prices = f"/projects/{account.project}/costs/prices"

    found = show_page(account, f"{prices}?find=openai+gpt-4o-mini")
    nothing = show_page(account, f"{prices}?find=no-such-model-anywhere")

    assert "openai/gpt-4o-mini" in found.text
    assert "anthropic/" not in found.text
    assert "No model of the lists has all of these words." in nothing.text


def test_models_in_use_have_their_price(account: Account) -> None:
    """The page names the models that were called, with their price or that none is known."""
    account.send(
        prompt_call(timestamp=NOW.isoformat()), prompt_call(timestamp=NOW.isoformat(), model="mine")
    )

    page = show_page(account, f"/projects/{account.project}/costs/prices")

    for text in ("openai/gpt-4o", "$2.5", "mine", "no price is known"):
        assert text in page.text


def test_budgets_show_what_is_left(metadata: Metadata, account: Account) -> None:
    """A limit is shown with what was used of it in the window that runs, and what is left."""
    limit = new_limit(
        account.project, scope="project", subject="", unit="usd", per="month", amount="50",
        action="refuse",
    )  # fmt: skip
    metadata.limits.put(limit)
    begun = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    counted = Counted(account.project, "project", "", "usd", "month")
    metadata.limits.add({counted: Window(int(begun.timestamp()), 20 * 10**9)})

    page = show_page(account, f"/projects/{account.project}/costs")

    for text in ("$50 a month", "$20", "40 %", "$30", "calls beyond it are refused"):
        assert text in page.text


BUDGET = {"scope": "user", "subject": "ann", "unit": "usd", "per": "day", "action": "warn"}


def test_a_budget_is_set_changed_and_removed_on_the_page(
    metadata: Metadata, account: Account
) -> None:
    """Each form leads back to the budgets of the same address, and the last leaves none."""
    path = f"/projects/{account.project}/costs?range=7d"

    set_ = submit(account.client, path, do="put-limit", amount="2.50", **BUDGET)
    first = show_page(account, path)
    submit(account.client, path, do="put-limit", amount="4", **BUDGET)
    changed = metadata.limits.all(account.project)
    submit(account.client, path, do="remove-limit", **BUDGET)

    assert (set_.status_code, set_.headers["location"]) == (303, f"{path}#budgets")
    assert "$2.5 a day" in first.text
    amounts = [
        attrs["value"]
        for tag, attrs in first.tags
        if attrs.get("name") == "amount" and "value" in attrs
    ]
    assert amounts == ["2.5"]
    assert [limit.amount for limit in changed] == [4 * 10**9]
    assert metadata.limits.all(account.project) == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"do": "put-limit", **BUDGET, "amount": "much"}, "amount of US dollars"),
        ({"do": "remove-limit", **BUDGET}, "no such limit"),
        ({"do": "print-money"}, "names nothing that can be done"),
    ],
)
def test_a_budget_that_cannot_be_is_told(
    account: Account, fields: dict[str, str], text: str
) -> None:
    """What a form cannot do is a sentence on the page."""
    answer = submit(account.client, f"/projects/{account.project}/costs", **fields)

    assert answer.status_code == 400
    assert text in answer.text


def test_a_budget_of_each_user_shows_who_used_most(account: Account) -> None:
    """Where each user has a limit, who has used the most in this window is named."""
    moment = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    day = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp())
    limits = [
        new_limit(
            account.project, scope="user", subject=subject, unit="requests", per="day",
            amount=amount, action="warn",
        )
        for subject, amount in (("*", "10"), ("ben", "0"))
    ]  # fmt: skip

    def of(user: str) -> Counted:
        return Counted(account.project, "user", user, "requests", "day")

    uses = {of("ada"): Window(day, 4), of("ben"): Window(day, 3), of("eve"): Window(day - 1, 9)}
    found = budgets(limits, uses, moment)

    assert [(each.whose, each.used, each.left, each.share) for each in found] == [
        ("user ben", "3 requests", "0 requests", 1.0),
        ("each user; the most: ada", "4 requests", "6 requests", 0.4),
    ]
    assert found[0].ends_at == datetime(2026, 11, 25, tzinfo=UTC)
    assert budgets(limits[:1], {}, moment)[0].whose == "each user"


@pytest.mark.parametrize("name", ["by", "across"])
def test_an_unknown_dimension_is_told(account: Account, name: str) -> None:
    """What costs cannot be asked by is 400 in a sentence that names what they can."""
    answer = account.client.get(f"/projects/{account.project}/costs?{name}=colour")

    assert answer.status_code == 400
    assert f"`{name}` must be one of model, user, tag, release, env, template" in answer.text


def test_names_in_costs_are_inert(account: Account) -> None:
    """Models, tags and users are shown as text, whatever is in them."""
    account.send(
        *(
            prompt_call(timestamp=NOW.isoformat(), model=text, tags=[text], user_id=text)
            for text in ATTACKS
        )
    )

    for by in ("model", "tag", "user"):
        page = show_page(account, f"/projects/{account.project}/costs?by={by}&across=tag")
        assert all(text in page.text for text in ATTACKS)
