"""The overview, read as HTML, and what it asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Account, prompt_call
from reading import Page, show_page
from watchllm_server.pages import format as show
from watchllm_server.pages.charts import Chart, Line
from watchllm_server.query.changes import changes
from watchllm_server.query.filter import Filter

if TYPE_CHECKING:
    from watchllm_server.store.embedded import EmbeddedStore

DAY = "from=2026-11-24&to=2026-11-25"
BEGIN = datetime(2026, 11, 24, tzinfo=UTC)


def call(day: int, **fields: Any) -> dict[str, Any]:
    """Return a call of a day of November 2026."""
    return prompt_call(timestamp=f"2026-11-{day}T09:30:00Z", **fields)


def of_day(account: Account, day: int) -> Filter:
    """Return what asks about a day."""
    start = datetime(2026, 11, day, tzinfo=UTC)
    return Filter(account.project, date_from=start, date_to=start + timedelta(days=1))


def test_figures_are_held_against_the_period_before(account: Account) -> None:
    """Each tile has the figure of the period and how it differs from the one before."""
    account.send(
        call(23, latency_ms=1_000), call(23, status="error"),
        call(24, latency_ms=2_000), call(24, latency_ms=2_000), call(24, status="error"),
        call(24, response_metadata={"cache": "HIT", "saved_usd": 0.25}, cost_estimate_usd=0),
    )  # fmt: skip

    text = show_page(account, f"/projects/{account.project}/overview?{DAY}").text

    squeezed = " ".join(text.split())
    assert "Requests 4 +100 %, was 2" in squeezed
    assert "Errors 1 as before, was 1" in squeezed
    assert "Saved by cache $0.2500" in squeezed


def test_the_charts_have_each_step_of_the_period(account: Account) -> None:
    """A chart carries its values for the browser, and says the largest in words."""
    account.send(call(24), call(24), call(24, status="error"))

    page = show_page(account, f"/projects/{account.project}/overview?{DAY}")

    charts = [attrs["data-chart"] or "" for tag, attrs in page.tags if "data-chart" in attrs]
    assert len(charts) == 4
    assert '"unit":"count"' in charts[0]
    labels = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg" and "role" in attrs]
    assert labels[0] == (
        "Requests and errors: Requests: at most 3, last 0; Errors: at most 1, last 0"
    )


@pytest.mark.parametrize("by", ["model", "user", "tag", "release"])
@pytest.mark.parametrize("order", ["cost", "errors", "latency"])
def test_the_most_are_listed_by_what_one_chooses(account: Account, by: str, order: str) -> None:
    """The first row has the most of what the list is sorted by, and leads to itself alone."""
    much: dict[str, Any] = {"latency_ms": 9_000, "cost_estimate_usd": 3, "status": "error"}
    little: dict[str, Any] = {"latency_ms": 100, "cost_estimate_usd": 1}
    names = {"model": "model", "user": "user_id", "tag": "tags", "release": "release"}

    def named(name: str) -> dict[str, Any]:
        return {names[by]: [name] if by == "tag" else name}

    account.send(
        *(call(24, **little, **named("little")) for _ in range(2)),
        *(call(24, **much, **named("much")) for _ in range(3)),
    )

    page = show_page(
        account, f"/projects/{account.project}/overview/top?{DAY}&by={by}&sort={order}"
    )

    rows = [link for link in page.links() if f"{by}=much" in link or f"{by}=little" in link]
    assert f"{by}=much" in rows[0]
    assert f"{by}=little" in rows[1]


def test_what_is_new_or_much_dearer_is_named(account: Account, store: EmbeddedStore) -> None:
    """New kinds of errors, new models and models that cost half as much again are changes."""
    account.send(
        call(23, model="steady", cost_estimate_usd=1),
        call(23, model="dearer", cost_estimate_usd=1),
        call(23, model="steady", status="error", error={"type": "Old", "message": "5 were lost"}),
        call(24, model="steady", cost_estimate_usd=1.4),
        call(24, model="dearer", cost_estimate_usd=1.5),
        call(24, model="new", cost_estimate_usd=2),
        call(24, model="steady", status="error", error={"type": "Old", "message": "7 were lost"}),
        call(24, model="steady", status="error", error={"type": "New", "message": "No answer"}),
    )  # fmt: skip

    found = changes(store, of_day(account, 24), of_day(account, 23))

    assert found is not None
    assert [group.type for group in found.errors] == ["New"]
    assert [(cost.one, cost.usd) for cost in found.models] == [("new", Decimal(2))]
    assert [(jump.model, jump.before, jump.now) for jump in found.jumps] == [
        ("dearer", Decimal(1), Decimal("1.5"))
    ]


def test_an_error_between_the_two_times_is_not_new(account: Account, store: EmbeddedStore) -> None:
    """What came after the time before, which ends earlier in its day, was there before."""
    late = prompt_call(timestamp="2026-11-23T23:30:00Z", error={"message": "late"}, status="error")
    account.send(call(23), late, call(24, error={"message": "late"}, status="error"))
    before = replace(of_day(account, 23), date_to=datetime(2026, 11, 23, 12, tzinfo=UTC))

    found = changes(store, of_day(account, 24), before)

    assert found is not None
    assert found.errors == []


def test_what_comes_later_is_a_link_until_then(account: Account) -> None:
    """Without JavaScript the overview leads to its lists, which are whole pages for who asks so."""
    account.send(call(24, model="gpt-4o"))
    path = f"/projects/{account.project}/overview"

    page = show_page(account, f"{path}?{DAY}&by=tag")

    addresses = [attrs["hx-get"] for _, attrs in page.tags if "hx-get" in attrs]
    assert len(addresses) == 2
    for address in addresses:
        assert address in page.links()
        whole = show_page(account, address or "")
        part = account.client.get(address or "", headers={"HX-Request": "true"}).text
        assert f"{path}?{DAY}&by=tag" in whole.links()
        assert "<html" not in part
        assert part.lstrip().startswith('<section class="card">')


def test_rows_of_the_part_lead_to_the_overview(account: Account) -> None:
    """What is put into the overview narrows that, and a page of its own narrows itself."""
    account.send(call(24, model="gpt-4o"))
    path = f"/projects/{account.project}/overview"

    part = account.client.get(f"{path}/top?{DAY}", headers={"HX-Request": "true"}).text
    whole = show_page(account, f"{path}/top?{DAY}")

    assert f"{path}?{DAY}&model=gpt-4o" in Page(part).links()
    assert f"{path}/top?{DAY}&model=gpt-4o" in whole.links()


def test_nothing_is_new_where_there_was_nothing_before(
    account: Account, store: EmbeddedStore
) -> None:
    """A first day has nothing to be held against, and the page says so."""
    account.send(call(24))

    page = show_page(account, f"/projects/{account.project}/overview/changes?{DAY}")

    assert changes(store, of_day(account, 24), of_day(account, 23)) is None
    assert "nothing in the period before to compare with" in page.text


def test_a_time_without_events_says_where_there_are_some(account: Account) -> None:
    """An empty period names the newest event and leads to a longer one."""
    account.send(call(24))

    page = show_page(account, f"/projects/{account.project}/overview?from=2026-11-01&to=2026-11-02")

    assert "Nothing in this time" in page.text
    assert "2026-11-24 09:30:00 UTC" in page.text
    assert f"/projects/{account.project}/overview?range=30d" in page.links()


def test_a_new_project_is_told_how_to_begin(account: Account) -> None:
    """Without any event the overview has the lines to paste, at this server's own address."""
    page = show_page(account, f"/projects/{account.project}/overview")

    assert "export WATCHLLM_BASE_URL=http://127.0.0.1:8787/v1" in page.text
    assert "Waiting for the first event of project" in page.text


def test_the_first_event_lights_the_page_up(account: Account) -> None:
    """What asks for the arrival is told to go on, and with the first event to stop."""
    path = f"/projects/{account.project}/start/arrival"

    waiting = account.client.get(path)
    account.send(call(24, run_id="first run"))
    arrived = account.client.get(path)

    assert (waiting.status_code, arrived.status_code) == (200, 286)
    assert "hx-get" in waiting.text
    assert "hx-get" not in arrived.text
    assert f"/projects/{account.project}/runs/first%20run" in arrived.text


def test_an_unknown_choice_is_named(account: Account) -> None:
    """A list that there is not is answered 400 with those that there are."""
    answer = account.client.get(f"/projects/{account.project}/overview?by=colour")

    assert answer.status_code == 400
    assert "model, user, tag, release" in answer.text


def test_a_step_of_which_nothing_is_known_is_a_gap() -> None:
    """The drawing of a line ends before an unknown step and begins anew after it."""
    times = [BEGIN + timedelta(hours=hour) for hour in range(4)]
    chart = Chart("T", "ms", times, timedelta(hours=1), [Line("a", [1, None, 2, 4])])

    assert chart.paths == [("1", "M0.0 59.0M200.0 40.0L300.0 2.0")]
    assert chart.summary == "a: at most 4 ms, last 4 ms"
    assert not chart.is_empty


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (9_999, "9,999"), (12_345, "12.3 k"), (5_890_000, "5.89 M"), (2.5e9, "2.5 G")],
)
def test_large_counts_are_short(number: float, text: str) -> None:
    """A count has at most four digits and a unit."""
    assert show.short_count(number) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1.0, "as before"), (1.12, "+12 %"), (0.95, "−5 %"), (3.4, "× 3.4"), (1234.0, "× 1,234")],
)
def test_ratios_read_as_people_say_them(ratio: float, text: str) -> None:
    """Small differences are in percent, large ones in times."""
    assert show.ratio(ratio) == text


@pytest.mark.parametrize(
    ("share", "text"), [(None, "unknown"), (0, "0 %"), (0.1234, "12.3 %"), (1, "100 %")]
)
def test_shares_are_in_percent(share: float | None, text: str) -> None:
    """A share has the digits that matter, and an unknown one says so."""
    assert show.percent(share) == text
