"""What pages offer to narrow them by."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from conftest import Account, prompt_call
from reading import show_page

NOW = datetime.now(UTC).isoformat()


@pytest.mark.parametrize("path", ["runs", "errors", "costs", "cache", "users", "prompts"])
def test_what_there_is_can_be_chosen(account: Account, path: str) -> None:
    """Environments, models and releases are lists, also while another of them is chosen."""
    account.send(
        prompt_call(timestamp=NOW, env="staging", model="small", release="1"),
        prompt_call(timestamp=NOW, env="production", model="large", release="2"),
    )

    page = show_page(account, f"/projects/{account.project}/{path}?model=small")

    options = {attrs.get("value") for tag, attrs in page.tags if tag == "option"}
    assert {"staging", "production", "small", "large", "1", "2"} <= options


def test_too_many_to_choose_from_are_typed(account: Account) -> None:
    """Beyond a hundred values a field of text takes the place of a list."""
    account.send(*(prompt_call(timestamp=NOW, release=f"1.{n}") for n in range(101)))

    page = show_page(account, f"/projects/{account.project}/costs")

    fields = {attrs.get("name"): tag for tag, attrs in page.tags if tag in {"input", "select"}}
    assert (fields["release"], fields["model"]) == ("input", "select")


@pytest.mark.parametrize(
    ("path", "taken", "left"),
    [
        ("runs", "cost=5&latency=7", "sort=oldest"),
        ("events", "run=r&cost=5&latency=7", "sort=slowest"),
        ("users", "find=ada", "sort=calls"),
    ],
)
def test_all_that_narrows_a_list_can_be_taken_away(
    account: Account, path: str, taken: str, left: str
) -> None:
    """Each filter has a link that takes it away, and one link takes all and leaves the order."""
    address = f"/projects/{account.project}/{path}"

    page = show_page(account, f"{address}?{taken}&{left}")

    pairs = taken.split("&")
    alone = ["&".join([left, *(other for other in pairs if other != pair)]) for pair in pairs]
    assert f"{address}?{left}" in page.links()
    assert {f"{address}?{query}" for query in alone} <= set(page.links())
