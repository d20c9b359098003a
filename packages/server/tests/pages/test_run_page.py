"""The page of a run: its outline, the event beside it, its links and what it hears live."""

from __future__ import annotations

import asyncio
import http.client
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import KEY, Account, prompt_call
from reading import Page, show_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Server
    from starlette.types import Message

TIMES = [f"2026-11-24T09:30:{second:02}Z" for second in range(10)]
EVENTS: list[dict[str, Any]] = [
    prompt_call(
        event_id="call", run_id="r", timestamp=TIMES[0], prompt="first\nprompt",
        x_custom={"deep": [1.25]}, response="**fat**",
    ),
    {
        "event_id": "step", "run_id": "r", "event_type": "agent_step", "timestamp": TIMES[1],
        "step_number": 2, "step_name": "Web Search", "step_type": "tool_call",
        "input_data": {"query": "climate"}, "output_data": {}, "latency_ms": 210.5,
        "status": "success", "reasoning": "because", "parent_event_id": "call",
    },
    {
        "event_id": "error", "run_id": "r", "event_type": "error", "timestamp": TIMES[2],
        "error": {"type": "ValueError", "message": "went wrong", "stack": "Traceback: line 1"},
    },
    {
        "event_id": "check", "run_id": "r", "event_type": "assertion_failed",
        "timestamp": TIMES[3], "assertion_name": "is_json", "assertion_type": "custom",
        "expected": {"a": 1}, "actual": "text", "severity": "high",
    },
    {
        "event_id": "own", "run_id": "r", "event_type": "my_event", "timestamp": TIMES[4],
        "severity": {"not": "ours"}, "error": "a text", "latency_ms": "fast",
    },
]  # fmt: skip


def chosen_links(page: Page) -> dict[str, str]:
    """Return where the outline leads, by the event that is chosen there."""
    queries = {link: parse_qs(urlsplit(link).query) for link in page.links()}
    return {query["event"][0]: link for link, query in queries.items() if "event" in query}


@pytest.mark.parametrize(
    ("event_id", "expected"),
    [
        ("call", ["first\nprompt", "deep", "1.25", "fat"]),
        ("step", ["2. Web Search", "tool call", "because", "climate"]),
        ("error", ["ValueError", "went wrong", "Traceback: line 1"]),
        ("check", ["is json", "high", "text"]),
        ("own", ["my event", "ours", "a text", "fast"]),
    ],
)
def test_each_event_of_a_run_is_shown_by_its_link(
    account: Account, event_id: str, expected: list[str]
) -> None:
    """The outline has a link for each event, which shows its texts, numbers, error and stack."""
    account.send(*EVENTS)
    outline = show_page(account, f"/projects/{account.project}/runs/r")

    page = show_page(account, chosen_links(outline)[event_id])

    assert set(chosen_links(outline)) >= {"call", "step", "error", "check", "own"}
    assert [text for text in expected if text not in page.text.replace("_", " ")] == []


def test_what_failed_is_shown_first(account: Account) -> None:
    """Without a choice the page shows an event that failed, since one looks for that."""
    account.send(*EVENTS)

    page = show_page(account, f"/projects/{account.project}/runs/r")

    assert "Traceback: line 1" in page.text
    assert "because" not in page.text


def test_htmx_gets_the_event_alone(account: Account) -> None:
    """What asks for the part beside the outline gets it without the outline."""
    account.send(*EVENTS)
    address = f"/projects/{account.project}/runs/r?event=step"

    part = account.client.get(address, headers={"HX-Target": "detail"})

    assert part.text.lstrip().startswith("<article")
    assert "because" in part.text
    assert "Outline" not in part.text


def test_a_long_run_shows_its_rows_in_stretches(account: Account) -> None:
    """A run of 1,200 events has 500 rows a page, each led to by the one before."""
    account.send(*(prompt_call(run_id="long", event_id=f"{n:04}") for n in range(400)))
    account.send(*(prompt_call(run_id="long", event_id=f"{n:04}") for n in range(400, 800)))
    account.send(*(prompt_call(run_id="long", event_id=f"{n:04}") for n in range(800, 1_200)))
    address: str | None = f"/projects/{account.project}/runs/long"
    rows = []

    while address:
        page = show_page(account, address)
        rows.append(sum("data-row" in attributes for tag, attributes in page.tags if tag == "li"))
        address = next((link for link in page.links() if f"rows={500 * len(rows)}" in link), None)

    assert rows == [500, 500, 200]


def test_an_event_is_compared_with_the_one_before(account: Account) -> None:
    """The link to a comparison shows the lines that differ from the last event of its kind."""
    one = prompt_call(event_id="one", run_id="r", timestamp=TIMES[0], prompt="same\nold")
    two = prompt_call(event_id="two", run_id="r", timestamp=TIMES[1], prompt="same\nnew")
    account.send(one, two)
    page = show_page(account, f"/projects/{account.project}/runs/r?event=two")
    link = next(link for link in page.links() if "with=one" in link)

    compared = show_page(account, link)

    marked = [tag for tag, _ in compared.tags if tag in {"del", "ins"}]
    assert marked == ["del", "ins"]
    assert "old" in compared.text


def test_texts_are_formatted_until_they_are_wanted_as_they_are(account: Account) -> None:
    """Markdown is formatted, and the link beside it shows its signs."""
    account.send(*EVENTS)
    formatted = show_page(account, f"/projects/{account.project}/events/call")
    link = next(link for link in formatted.links() if "plain=1" in link)

    plain = show_page(account, link)

    assert "strong" in {tag for tag, _ in formatted.tags}
    assert "**fat**" in plain.text


def test_a_text_of_a_million_characters_is_shown_when_it_is_wanted(account: Account) -> None:
    """The page holds the beginning and says how much is left; a link shows all."""
    account.send(prompt_call(event_id="big", prompt="x" * 900_000 + "end"))
    beginning = show_page(account, f"/projects/{account.project}/events/big")
    link = next(link for link in beginning.links() if "whole=1" in link)

    whole = show_page(account, link)

    assert len(beginning.text) < 50_000
    assert "880,003 more characters" in beginning.text
    assert "xend" in whole.text


@pytest.mark.parametrize("event_id", ["..", ".", "a/b", "?x=1#y", "100%", "ü 😀", "\u202ex"])
def test_an_event_has_an_address_whatever_its_id(account: Account, event_id: str) -> None:
    """The link to an event leads to it, and back to its run."""
    account.send(prompt_call(event_id=event_id, run_id="r", prompt="found it"))
    run = show_page(account, f"/projects/{account.project}/runs/r")
    link = next(link for link in run.links() if "/events/" in link and "cursor" not in link)

    page = show_page(account, link)

    assert "found it" in page.text
    assert [each for each in page.links() if "/runs/r?event=" in each]


def test_runs_lead_to_their_neighbours(account: Account) -> None:
    """Links lead to the run that began before and the one that began after."""
    account.send(*(prompt_call(run_id=name, timestamp=TIMES[n]) for n, name in enumerate("abc")))

    links = show_page(account, f"/projects/{account.project}/runs/b").links()

    runs = [link.rpartition("/")[2] for link in links if "/runs/" in link and "?" not in link]
    assert runs[:2] == ["c", "a"]


def test_a_run_leads_to_its_users(account: Account) -> None:
    """The first five users have links to what else there was of them, the others a count."""
    now = datetime.now(UTC).isoformat()
    users = [f"{name} & co." for name in "abcdefg"]
    account.send(*(prompt_call(run_id="r", user_id=user, timestamp=now) for user in users))

    run = show_page(account, f"/projects/{account.project}/runs/r")

    links = [link for link in run.links() if "/users/one?" in link]
    assert [parse_qs(urlsplit(link).query)["user"][0] for link in links] == users[:5]
    assert "and 2 more" in run.text
    assert users[0] in show_page(account, links[0]).text


def test_rows_that_htmx_asks_for_come_alone(account: Account) -> None:
    """The next rows and the sums come without an event in full, a page shown again with it."""
    account.send(*EVENTS)
    path = f"/projects/{account.project}/runs/r"
    asked = {"HX-Request": "true"}

    rows = account.client.get(path, headers=asked).text
    again = account.client.get(path, headers=asked | {"HX-History-Restore-Request": "true"}).text

    parts = {"data-row": len(EVENTS), 'id="summary"': 1, 'id="detail"': 0}
    assert {part: rows.count(part) for part in parts} == parts
    assert {part: again.count(part) for part in parts} == parts | {'id="detail"': 1}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("runs/none", 404), ("runs/r?event=none", 404), ("runs/r?with=none", 404),
        ("events/none", 404), ("live/none", 404), ("runs/r?rows=many", 200),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(account: Account, path: str, status: int) -> None:
    """An unknown run or event gives a page with a sentence, on every page that asks for one."""
    account.send(*EVENTS)

    answer = account.client.get(f"/projects/{account.project}/{path}")

    assert answer.status_code == status
    if status == 404:
        assert "There is no" in answer.text


def test_no_page_shows_what_another_project_has(new_account: Callable[[], Account]) -> None:
    """The ids of one project's runs and events lead nowhere under another project's address."""
    mine, other = new_account(), new_account()
    mine.send(prompt_call(event_id="secret", run_id="hidden", prompt="private words"))
    other.send(prompt_call(event_id="own", run_id="own"))

    paths = [
        "runs", "events", "runs/hidden", "runs/own?event=secret", "runs/own?with=secret",
        "events/secret", "events/own?with=secret", "live/hidden", "export?format=jsonl&range=all",
    ]  # fmt: skip
    answers = [other.client.get(f"/projects/{other.project}/{path}").text for path in paths]

    assert not [text for text in answers if "private words" in text]


def test_a_page_hears_of_new_events(serve: Callable[..., Server], tmp_path: Path) -> None:
    """While a run goes on its page hears at once how many events it has, and again at each."""
    server = serve(tmp_path)
    now = datetime.now(UTC)

    def send(number: int) -> None:
        at = (now + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
        body = json.dumps({"events": [prompt_call(run_id="r", timestamp=at)]})
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
        connection.request("POST", "/v1/events/batch", body, headers)
        assert connection.getresponse().status == 200
        connection.close()

    send(0)
    page = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    page.request("GET", "/projects/proj-tests/live/r")
    stream = page.getresponse()

    told = [_told(stream)]
    send(1)
    told.append(_told(stream))

    page.close()
    assert told == [1, 2]
    assert stream.headers["Content-Type"].startswith("text/event-stream")


def test_pages_that_are_left_at_once_take_no_place(account: Account) -> None:
    """However many browsers leave before they hear anything, the next page is let in."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    account.send(prompt_call(run_id="r", timestamp=now))
    path = f"/projects/{account.project}/live/r"
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET",
        "path": path, "raw_path": path.encode(), "query_string": b"", "scheme": "http",
        "headers": [(b"host", b"127.0.0.1:8787")], "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8787), "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    statuses = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        statuses.append(message.get("status"))
        await asyncio.sleep(0)  # a turn for who reads that the client has left, as of a real server

    portal = account.client.portal
    assert portal is not None
    for _ in range(60):
        portal.call(account.client.app, {**scope}, receive, send)

    assert statuses == [200] * 60


def _told(stream: http.client.HTTPResponse) -> int:
    """Return the next number that a stream tells."""
    return next(int(line[6:]) for line in iter(stream.readline, b"") if line.startswith(b"data: "))
