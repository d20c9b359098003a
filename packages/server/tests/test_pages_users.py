"""The pages of users, prompt templates and releases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from conftest import prompt_call
from page_forms import submit
from reading import ATTACKS, show_page
from stored_events import failed_check

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Account

NOW = datetime.now(UTC)


def recent(hours: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a call of so many hours ago."""
    return prompt_call(timestamp=(NOW - timedelta(hours=hours)).isoformat(), **fields)


def test_users_are_listed_with_what_they_cost(account: Account) -> None:
    """Each user has a row and a page, in the order that is asked for; no user has none."""
    account.send(recent(user_id="ada", status="error"), recent(user_id="ben"), recent())

    page = show_page(account, f"/projects/{account.project}/users?sort=errors")

    assert page.text.index("ada") < page.text.index("ben")
    links = [link for link in page.links() if "/users/one" in link]
    assert len(links) == 2
    assert any("user=ada" in link for link in links)


def test_a_user_is_found_by_a_part_of_the_id(account: Account) -> None:
    """A search leaves the users whose id has the text."""
    account.send(recent(user_id="ada"), recent(user_id="ben"))

    found = show_page(account, f"/projects/{account.project}/users?find=AD")
    nothing = show_page(account, f"/projects/{account.project}/users?find=zz")

    assert "ada" in found.text
    assert "ben" not in found.text
    assert "Nobody matches" in nothing.text


def test_a_user_has_a_page(account: Account) -> None:
    """The page of a user has sums, models and runs of that user alone."""
    account.send(recent(user_id="ada", run_id="hers"), recent(user_id="ben", run_id="his"))

    page = show_page(account, f"/projects/{account.project}/users/one?user=ada")

    assert "hers" in page.text
    assert "his" not in page.links()
    assert f"/projects/{account.project}/runs/his" not in page.links()
    assert "gpt-4o" in page.text


def test_a_user_of_whom_there_is_nothing_is_told(account: Account) -> None:
    """Without events of a user the page says so; without a name there is no page."""
    page = show_page(account, f"/projects/{account.project}/users/one?user=nobody")
    answer = account.client.get(f"/projects/{account.project}/users/one")

    assert "Nothing of this user in this time" in page.text
    assert answer.status_code == 404
    assert "The address names no user." in answer.text


@pytest.mark.parametrize("user", ["ada", "a/b ?#&=", ATTACKS[0]])
def test_a_user_is_erased_when_the_id_is_typed_again(account: Account, user: str) -> None:
    """The form erases what there is of a user, and nothing of another."""
    account.send(recent(user_id=user, event_id="hers"), recent(user_id="ben", event_id="his"))
    address = f"/projects/{account.project}/users/one?user={quote(user)}"
    before = show_page(account, address)

    answer = submit(account.client, address, again=user)

    assert "Erase this user" in before.text
    assert "Of this user 1 event was erased" in answer.text
    assert "The newest runs" not in answer.text
    assert account.ids() == ["his"]


@pytest.mark.parametrize("again", ["", "Ada", "ada "])
def test_nothing_is_erased_by_a_slip(account: Account, again: str) -> None:
    """Unless the id is typed exactly, nothing is erased and the page says why."""
    account.send(recent(user_id="ada", event_id="hers"))

    answer = submit(account.client, f"/projects/{account.project}/users/one?user=ada", again=again)

    assert answer.status_code == 400
    assert "Nothing was erased" in answer.text
    assert account.ids() == ["hers"]


def test_an_erasure_is_of_one_project(new_account: Callable[[], Account]) -> None:
    """To erase a user in one project leaves the user of the same id in another."""
    ours, theirs = new_account(), new_account()
    for account in (ours, theirs):
        account.send(recent(user_id="ada", event_id=f"of-{account.project}"))

    submit(ours.client, f"/projects/{ours.project}/users/one?user=ada", again="ada")

    assert ours.ids() == []
    assert theirs.ids() == [f"of-{theirs.project}"]


def test_an_erasure_from_another_site_is_refused(account: Account) -> None:
    """A form that another site makes a browser send erases nothing."""
    account.send(recent(user_id="ada", event_id="hers"))

    answer = account.client.post(
        f"/projects/{account.project}/users/one?user=ada",
        content="again=ada",
        headers={"Origin": "https://elsewhere.example"},
    )

    assert answer.status_code == 403
    assert account.ids() == ["hers"]


def test_versions_of_a_template_are_compared(account: Account) -> None:
    """Versions stand under the name of their template, each against the one before it."""
    account.send(
        recent(3, prompt_template_id="sum@1", latency_ms=100),
        recent(1, prompt_template_id="sum@2", latency_ms=300),
        recent(2, prompt_template_id="other"),
    )
    listed = show_page(account, f"/projects/{account.project}/prompts")

    page = show_page(account, next(link for link in listed.links() if "name=sum" in link))

    assert len([link for link in listed.links() if "/prompts/one" in link]) == 2
    assert "+200 %" in page.text
    assert "other" not in page.text


def test_an_unknown_template_is_told(account: Account) -> None:
    """A template that no call was made of is 404, also when its name is a part of another's."""
    account.send(recent(prompt_template_id="summary@1"))

    for name in ("", "sum"):
        answer = account.client.get(f"/projects/{account.project}/prompts/one?name={name}")
        assert answer.status_code == 404
        assert "No call of this time was made of this template" in answer.text


def test_a_release_is_compared_with_the_one_before(account: Account) -> None:
    """The newest release stands against the one before, with the errors that are new and gone."""
    account.send(
        recent(9, release="1", latency_ms=100), recent(1, release="2", latency_ms=50),
        failed_check("error", error={"message": "Old one"}, release="1", timestamp=at(8)),
        failed_check("error", error={"message": "New one"}, release="2", timestamp=at(1)),
    )  # fmt: skip

    page = show_page(account, f"/projects/{account.project}/releases")

    assert "2 against 1" in page.text
    assert "-50 %" in page.text
    new, gone = page.text.index("Errors that are new"), page.text.index("Errors that are gone")
    assert new < page.text.index("New one") < gone < page.text.index("Old one")


def test_any_two_releases_are_compared(account: Account) -> None:
    """The address names which release is compared with which."""
    account.send(*(recent(9 - n, release=f"r{n}") for n in range(3)))

    page = show_page(account, f"/projects/{account.project}/releases?now=r0&before=r2")

    assert "r0 against r2" in page.text


def test_one_release_is_compared_with_none(account: Account) -> None:
    """A project with one release lists it, and compares it with nothing."""
    account.send(recent(release="only"))

    page = show_page(account, f"/projects/{account.project}/releases")

    assert "only" in page.text
    assert "against only" not in page.text


@pytest.mark.parametrize(
    ("path", "text"),
    [("users", "user_id="), ("prompts", "prompt_template_id="), ("releases", "WATCHLLM_RELEASE")],
)
def test_an_empty_page_says_what_fills_it(account: Account, path: str, text: str) -> None:
    """Where there is nothing yet, the page has the line that makes it worth reading."""
    empty = show_page(account, f"/projects/{account.project}/{path}")
    narrowed = show_page(account, f"/projects/{account.project}/{path}?env=nowhere")

    assert text in empty.text
    assert "matches" in narrowed.text


@pytest.mark.parametrize("path", ["users", "prompts"])
def test_an_unknown_order_is_told(account: Account, path: str) -> None:
    """An order that is none is 400 in a sentence that names those that there are."""
    answer = account.client.get(f"/projects/{account.project}/{path}?sort=size")

    assert answer.status_code == 400
    assert "`sort` must be one of cost, calls, errors, last_seen" in answer.text


def test_names_of_users_templates_and_releases_are_inert(account: Account) -> None:
    """They are shown as text, whatever is in them, in lists and on their own pages."""
    account.send(*(recent(user_id=text, prompt_template_id=text, release=text) for text in ATTACKS))

    for path in ("users", "prompts", "releases"):
        listed = show_page(account, f"/projects/{account.project}/{path}")
        assert all(text in listed.text for text in ATTACKS)
        for link in listed.links():
            if "/one?" in link:
                show_page(account, link)


def at(hours: int) -> str:
    """Return the time of so many hours ago."""
    return (NOW - timedelta(hours=hours)).isoformat()
