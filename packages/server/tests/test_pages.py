"""The pages, read as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from conftest import Account, prompt_call
from reading import ATTACKS, show_page
from starlette.testclient import TestClient
from watchllm_server.pages import format as show
from watchllm_server.pages.routes import PAGES

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from watchllm_server.metadata import Metadata


def test_the_start_leads_to_the_overview_of_a_project(account: Account) -> None:
    """The address alone leads to an overview."""
    answer = account.client.get("/")

    assert answer.status_code == 307
    assert answer.headers["location"].endswith("/overview")


def test_an_empty_project_shows_the_lines_to_paste(account: Account) -> None:
    """Without runs the page says how to log the first one, at this server's own address."""
    page = show_page(account, f"/projects/{account.project}/runs")

    assert "export WATCHLLM_BASE_URL=http://127.0.0.1:8787/v1" in page.text
    assert f"export WATCHLLM_PROJECT_ID={account.project}" in page.text
    assert account.key not in page.text


def test_the_runs_are_listed_with_what_they_cost(account: Account) -> None:
    """The list names each run with its counts, its cost or `unknown`, and leads to its page."""
    account.send(
        prompt_call(run_id="priced", tags=["docs"]), prompt_call(run_id="unpriced", model="mine")
    )

    page = show_page(account, f"/projects/{account.project}/runs?range=all")

    assert f"/projects/{account.project}/runs/priced" in page.links()
    for text in ("priced", "$0.00048", "unknown", "docs", "What is machine learning?", "1.25 s"):
        assert text in page.text


def test_runs_are_paged_by_address(account: Account) -> None:
    """The link to older runs leads to those that the first page has not."""
    account.send(
        *(
            prompt_call(run_id=f"run-{n:03}", timestamp=f"2026-11-24T09:30:00.{n:03}Z")
            for n in range(60)
        )
    )
    first = show_page(account, f"/projects/{account.project}/runs?range=all")
    older = show_page(account, next(link for link in first.links() if "cursor=" in link))

    assert "run-059" in first.text
    assert "run-009" not in first.text
    assert "run-009" in older.text
    assert "run-059" not in older.text


def test_an_unknown_number_is_shown_as_unknown(account: Account) -> None:
    """A count that the sender could not take is unknown on the page and never 0."""
    account.send(
        prompt_call(
            run_id="r", tokens_input=0, latency_ms=0, status="success",
            invalid_fields={"tokens_input": "got text", "latency_ms": "NaN", "status": "fine"},
        )
    )  # fmt: skip

    page = show_page(account, f"/projects/{account.project}/runs/r")

    assert "unknown tokens" in page.text
    assert "got text" in page.text
    assert "0 tokens" not in page.text


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_that_was_sent_becomes_part_of_the_page(account: Account, attack: str) -> None:
    """Markup in any field is shown as text, on the list and on the page of the run."""
    account.send(
        prompt_call(
            run_id=attack, prompt=attack, response=attack, model=attack, tags=[attack], env=attack,
            user_id=attack, release=attack, response_metadata={attack: attack}, x_own=attack,
            error={"type": attack, "message": attack, "stack": attack},
        ) | {attack: [attack]}
    )  # fmt: skip

    runs = show_page(account, f"/projects/{account.project}/runs?range=all")
    run = show_page(account, f"/projects/{account.project}/runs/{quote(attack, safe='')}")

    assert attack in runs.text
    assert run.text.count(attack) >= 8


@pytest.mark.parametrize(
    "run_id", ["..", ".", "a/b", "a//b/", "?x=1#y", "100%", " ", "ü 😀", "x" * 5_000]
)
def test_the_link_to_a_run_leads_to_it_whatever_its_id(account: Account, run_id: str) -> None:
    """Any text as a run's id is reached by the link in the list."""
    account.send(prompt_call(run_id=run_id, prompt="found it"))
    runs = show_page(account, f"/projects/{account.project}/runs?range=all")
    link = next(link for link in runs.links() if link.count("/") > 3)

    assert "found it" in show_page(account, link).text


def test_what_is_not_there_is_said_in_a_sentence(account: Account) -> None:
    """An unknown project or run is 404, and a page that no link leads to is 400."""
    base = f"/projects/{account.project}/runs"
    answers = {
        path: account.client.get(path).status_code
        for path in ("/projects/none/runs", f"{base}/none", f"{base}?cursor=x", "/static/none.css")
    }

    assert list(answers.values()) == [404, 404, 400, 404]


def test_pages_have_the_headers_that_protect_them(account: Account) -> None:
    """A page allows no foreign code, no frame, no sniffing, no referrer and no cache."""
    headers = account.client.get(f"/projects/{account.project}/runs").headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/projects/{project}/runs", "/projects/{project}/runs/r"])
@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("192.0.2.7", "127.0.0.1:8787"),
        ("127.0.0.1", "evil.example"),
        ("127.0.0.1", "evil.example:8787"),
        ("127.0.0.1", "127.0.0.1.evil.example"),
        ("127.0.0.1", "localhost.evil.example"),
        ("127.0.0.1", ""),
    ],
)
def test_pages_are_open_only_to_this_machine_under_its_own_name(
    app: ASGIApp, account: Account, path: str, address: str, host: str
) -> None:
    """Another machine, or a page that gave its name our address, gets one sentence and 403."""
    account.send(prompt_call(run_id="r", prompt="private words"))
    outside = TestClient(app, base_url="http://127.0.0.1", client=(address, 5))

    answer = outside.get(path.format(project=account.project), headers={"Host": host})

    assert answer.status_code == 403
    assert "private words" not in answer.text
    assert "only to a browser" in answer.text


@pytest.mark.parametrize("host", ["localhost:8787", "127.0.0.1", "[::1]:8787", "LOCALHOST"])
def test_pages_are_open_under_every_name_of_this_machine(account: Account, host: str) -> None:
    """The names of the loopback interface are answered."""
    answer = account.client.get(f"/projects/{account.project}/runs", headers={"Host": host})

    assert answer.status_code == 200


def test_the_list_says_what_senders_lost(account: Account, metadata: Metadata) -> None:
    """Losses that senders report stand above the list of runs."""
    metadata.add_losses(account.project, {"spool_full": 1_234})

    page = show_page(account, f"/projects/{account.project}/runs?range=all")

    assert "1,234 spool_full" in page.text


def test_numbers_are_shown_with_the_digits_that_matter() -> None:
    """Costs, durations and counts are short, and unknown is said to be so."""
    from decimal import Decimal  # noqa: PLC0415 - used here alone

    costs = ["1234.5", "0.5", "0.01234", "0.00048", "0.000000000123", "0"]
    assert [show.cost(Decimal(text)) for text in costs] == [
        "$1,234.50", "$0.5000", "$0.0123", "$0.00048", "$0.00000000012", "$0",
    ]  # fmt: skip
    assert [show.milliseconds(value) for value in (0, 0.25, 12.4, 999.9, 61_000, 7.2e6)] == [
        "0 ms", "0.25 ms", "12 ms", "1000 ms", "1.0 min", "2.0 h",
    ]  # fmt: skip
    assert {show.cost(None), show.milliseconds(None), show.count(None)} == {"unknown"}
    assert [show.counted(number, "event") for number in (0, 1, 2_000)] == [
        "0 events", "1 event", "2,000 events",
    ]  # fmt: skip


def test_every_page_has_a_key_and_a_place_of_its_own() -> None:
    """No two pages of the navigation share a key or a place."""
    named = [page for page in PAGES if page.name]

    assert len({page.key for page in named}) == len({page.place for page in named}) == len(named)
