"""The lists of runs and of events: what narrows, orders, counts and exports them."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Account, prompt_call
from reading import Page, show_page

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = "range=all"


@pytest.fixture
def filled(account: Account) -> Account:
    """Return an account with three runs of one event each."""
    account.send(
        prompt_call(
            event_id="1", run_id="first", timestamp="2026-11-24T09:00:00Z", model="small",
            prompt="A giraffe.", tags=["x"], user_id="ada", latency_ms=5_000, env="production",
        ),
        prompt_call(
            event_id="2", run_id="second", timestamp="2026-11-24T10:00:00Z", model="gpt-4o",
            tokens_input=1_000_000, latency_ms=10, status="timeout", release="2.0",
        ),
        {
            "event_id": "3", "event_type": "error", "run_id": "third",
            "timestamp": "2026-11-24T11:00:00Z", "error": {"message": "Boom", "type": "KeyError"},
        },
    )  # fmt: skip
    return account


def listed(account: Account, path: str, question: str) -> list[str]:
    """Return the ids of what a list shows, in its order."""
    page = show_page(account, f"/projects/{account.project}/{path}?{question}")
    links = [link for link in page.links() if f"/{path}/" in link and "?" not in link]
    return [link.rpartition("/")[2] for link in links]


@pytest.mark.parametrize(
    ("question", "runs", "events"),
    [
        (ALL, ["third", "second", "first"], ["3", "2", "1"]),
        ("sort=oldest&range=all", ["first", "second", "third"], ["1", "2", "3"]),
        ("sort=dearest&range=all", ["second", "third", "first"], ["2", "3", "1"]),
        ("env=production&range=all", ["first"], ["1"]),
        ("model=gpt-4o&range=all", ["second"], ["2"]),
        ("user=ada&range=all", ["first"], ["1"]),
        ("tag=x&range=all", ["first"], ["1"]),
        ("release=2.0&range=all", ["second"], ["2"]),
        ("text=giraffe&range=all", ["first"], ["1"]),
        ("text=iraff&mode=substring&range=all", ["first"], ["1"]),
        ("cost=0.5&range=all", ["second"], ["2"]),
        ("latency=2&range=all", ["first"], ["1"]),
        ("from=2026-11-24T10:30&to=2026-11-25", ["third"], ["3"]),
        ("model=none&range=all", [], []),
    ],
)
def test_an_address_says_what_is_listed(
    filled: Account, question: str, runs: list[str], events: list[str]
) -> None:
    """The same names in the address narrow and order the runs and the events."""
    assert listed(filled, "runs", question) == runs
    assert listed(filled, "events", question) == events


@pytest.mark.parametrize(
    ("path", "question", "expected"),
    [
        ("runs", "status=error&range=all", ["third", "second"]),
        ("runs", "sort=longest&range=all", ["first", "second", "third"]),
        ("runs", "sort=errors&range=all", ["third", "second", "first"]),
        ("runs", "sort=largest&range=all", ["third", "second", "first"]),
        ("events", "status=timeout&range=all", ["2"]),
        ("events", "type=error&range=all", ["3"]),
        ("events", "run=first&range=all", ["1"]),
        ("events", "sort=slowest&range=all", ["1", "2", "3"]),
    ],
)
def test_each_list_has_names_of_its_own(
    filled: Account, path: str, question: str, expected: list[str]
) -> None:
    """A status of runs is about the run as a whole; events have types and runs."""
    assert listed(filled, path, question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "sort=up", "columns=none", "cost=much", "cost=-1", "latency=nan", "cursor=none",
        "range=9d", "from=never", "to=2026-11-24", "text=!",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["runs", "events"])
def test_an_address_that_cannot_be_read_is_named(filled: Account, path: str, question: str) -> None:
    """A wrong value gives a page that says what it must be, and never another list."""
    answer = filled.client.get(f"/projects/{filled.project}/{path}?{question}")

    assert answer.status_code == 400
    assert Page(answer.text).text.count(".") >= 1


def test_a_run_has_no_status_of_events(filled: Account) -> None:
    """A run is never a timeout: the list of runs says which statuses there are."""
    answer = filled.client.get(f"/projects/{filled.project}/runs?status=timeout")

    assert answer.status_code == 400
    assert "success, warning, error" in answer.text


@pytest.mark.parametrize("path", ["runs", "events"])
def test_pages_of_a_list_follow_each_other(account: Account, path: str) -> None:
    """The next page has what is left, and a link back to the first one."""
    account.send(*(prompt_call(event_id=f"{n}", run_id=f"run-{n}") for n in range(60)))
    first = show_page(account, f"/projects/{account.project}/{path}?{ALL}")
    address = next(link for link in first.links() if "cursor=" in link)

    second = listed(account, path, address.partition("?")[2])

    shown = listed(account, path, ALL)
    assert (len(shown), len(second)) == (50, 10)
    assert not set(shown) & set(second)
    back = show_page(account, address)
    assert any(link.endswith(f"/{path}?{ALL}") for link in back.links())


@pytest.mark.parametrize("path", ["runs", "events"])
def test_columns_are_chosen_by_the_address(filled: Account, path: str) -> None:
    """The form names each column apart, which leads to one address; the list has those columns."""
    several = f"/projects/{filled.project}/{path}?range=all&columns=cost&columns=env"
    answer = filled.client.get(several)

    page = show_page(filled, answer.headers["location"])

    assert answer.status_code == 303
    assert "columns=cost%2Cenv" in answer.headers["location"]
    assert sum(tag == "th" for tag, _ in page.tags) == 3
    assert "production" in page.text


def test_facets_count_and_lead(filled: Account) -> None:
    """Each value has its number; its link narrows the list, and again widens it."""
    page = show_page(filled, f"/projects/{filled.project}/events?range=all")
    link = next(link for link in page.links() if "model=small" in link)

    narrowed = show_page(filled, link)

    assert "3 events" in page.text
    assert "1 event" in narrowed.text
    assert any(
        attrs.get("aria-current")
        and attrs.get("href") == f"/projects/{filled.project}/events?range=all"
        for _, attrs in narrowed.tags
    )
    assert "gpt-4o" in narrowed.text


def exported(account: Account, question: str) -> bytes:
    """Return the body of an export as the page of events leads to it."""
    page = show_page(account, f"/projects/{account.project}/events?{question}")
    link = next(link for link in page.links() if "format=" in link)
    form = "csv" if "columns" in question else "jsonl"
    answer = account.client.get(link.replace("format=jsonl", f"format={form}"))
    assert answer.status_code == 200
    assert f'filename="events.{form}"' in answer.headers["content-disposition"]
    return answer.content


def test_an_export_holds_exactly_what_is_listed(filled: Account) -> None:
    """The events that the list shows and no others are exported, whole, in the list's order."""
    events: list[dict[str, Any]] = [
        json.loads(line) for line in exported(filled, "range=all&sort=dearest").splitlines()
    ]
    narrowed = exported(filled, "range=all&text=giraffe&cost=0").splitlines()
    newest = exported(filled, "range=all").splitlines()

    assert [event["event_id"] for event in events] == ["2", "3", "1"]
    assert [json.loads(line)["event_id"] for line in newest] == ["3", "2", "1"]
    assert events[2]["prompt"] == "A giraffe."
    assert [json.loads(line)["event_id"] for line in narrowed] == ["1"]


def test_an_export_has_the_columns_shown(filled: Account) -> None:
    """With columns of one's choice the export has those, and whose they are."""
    rows = list(
        csv.reader(io.StringIO(exported(filled, "range=all&columns=model,tokens").decode()))
    )

    assert rows[0] == ["event_id", "model", "tokens_input", "tokens_output"]
    assert rows[3] == ["1", "small", "12", "45"]


@pytest.mark.parametrize(
    "question",
    ["", "format=xml", "format=csv&columns=none", "format=csv&cost=x", "format=csv&sort=x"],
)
def test_an_export_that_cannot_be_is_refused(filled: Account, question: str) -> None:
    """An unknown format or column is named, before anything is sent."""
    answer = filled.client.get(f"/projects/{filled.project}/export?{question}")

    assert answer.status_code == 400
    assert "content-disposition" not in answer.headers


def test_lists_without_events_say_what_to_do(new_account: Callable[[], Account]) -> None:
    """An empty list leads on: to lines to paste, or out of the filters."""
    empty = new_account()

    events = show_page(empty, f"/projects/{empty.project}/events")
    narrowed = show_page(empty, f"/projects/{empty.project}/runs?model=x&range=24h")

    assert "No event in this time" in events.text
    assert "No run matches" in narrowed.text
    assert any(link.endswith("/runs?range=24h") for link in narrowed.links())


@pytest.mark.parametrize(("path", "what"), [("runs", "run"), ("events", "event")])
def test_a_list_is_of_a_day_unless_it_is_asked_for_all_times(
    account: Account, path: str, what: str
) -> None:
    """What is older than a day is a link away, however old it is."""
    account.send(prompt_call(event_id="old", run_id="old", timestamp="2025-01-02T09:30:00Z"))

    page = show_page(account, f"/projects/{account.project}/{path}")

    address = f"/projects/{account.project}/{path}?range=all"
    assert f"No {what} in this time" in page.text
    assert "Look at all times" in page.text
    assert address in page.links()
    assert listed(account, path, ALL) == ["old"]
