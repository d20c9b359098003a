"""The pages of runs and events in a real browser: opened, walked, heard live, and never acting."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from browsing import OUTPUT
from playwright.sync_api import expect
from watchllm_server.demo.history import send

if TYPE_CHECKING:
    from collections.abc import Callable

    from browsing import Tab
    from conftest import Server

PLANTED = (
    "<script>window.acted = 1</script>"
    "<img src=x onerror='window.acted = 1'>"
    "<svg onload='window.acted = 1'><circle r=9></svg>"
    "![p](/static/never.png)[link](javascript:window.acted=1)"
    "\x1b[31mred\x1b[0m \u202eright to left\u2066 unclosed"
    "</pre></details></article></main>{{ 7 * 7 }}"
)

# A busy machine takes its time; what is waited for ends the wait.
expect.set_options(timeout=20_000)

SCROLLED = """loaded => {
    const rows = document.getElementById("rows");
    rows.scrollTo(0, rows.scrollHeight);
    return rows.querySelectorAll("[data-row]").length === loaded;
}"""
"""Goes on scrolling down, as a person would, until so many rows are there."""


def event(run_id: str, second: float, **fields: Any) -> dict[str, Any]:
    """Return a call of a run that happened so many seconds before now."""
    moment = datetime.now(UTC) - timedelta(seconds=second)
    made = {
        "event_id": str(uuid.uuid4()), "event_type": "prompt_call", "run_id": run_id,
        "timestamp": moment.isoformat().replace("+00:00", "Z"), "prompt": "Question?",
        "response": "An **answer**.", "model": "gpt-4o", "tokens_input": 5, "tokens_output": 7,
        "latency_ms": 40, "status": "success",
    }  # fmt: skip
    return made | fields


@pytest.fixture(scope="module")
def large(shop: Server) -> str:
    """Send a run of 3,000 events, 300 steps with nine calls below each; return its id."""
    events: list[dict[str, Any]] = []
    for number in range(300):
        top = event(
            "large", 7_000 - 20 * number, event_type="agent_step", step_number=number + 1,
            step_name=f"step {number + 1}", step_type="tool_call", input_data={"n": number},
            output_data={}, latency_ms=900,
        )  # fmt: skip
        events.append(top)
        events += [
            event("large", 6_999 - 20 * number - below, parent_event_id=top["event_id"])
            for below in range(9)
        ]
    send(shop.url, shop.key, events)
    return "large"


@pytest.fixture(scope="module")
def hostile(shop: Server) -> str:
    """Send a run with planted texts in every field, and one line of a megabyte."""
    run_id = f"run {PLANTED}"
    named = {
        "tags": [PLANTED], "user_id": PLANTED, "release": PLANTED, "env": PLANTED,
        "own": {PLANTED: [PLANTED]},
    }  # fmt: skip
    error = {"type": PLANTED, "message": PLANTED, "stack": PLANTED, "context": {"k": PLANTED}}
    tool = {
        "tool_name": PLANTED, "input": {PLANTED: 1}, "output": PLANTED, "latency_ms": 1,
        "status": "success",
    }  # fmt: skip
    send(
        shop.url,
        shop.key,
        [
            event(
                run_id, 5, event_id=f"planted {PLANTED}", prompt=f"system: {PLANTED}",
                response=PLANTED, model=PLANTED, error=error, tool_calls=[tool], **named,
            ),
            event(run_id, 4, event_id="long", prompt="x" * 1_000_000, response="short"),
            event(
                run_id, 3, event_type="agent_step", step_number=1, step_name=PLANTED,
                step_type="reasoning", input_data={"a": PLANTED}, output_data={},
                reasoning=PLANTED, **named,
            ),
        ],
    )  # fmt: skip
    return run_id


def test_a_run_of_3000_events_opens_at_once_and_scrolls(
    tab: Callable[..., Tab], shop: Server, large: str
) -> None:
    """The outline shows its first rows, light on the wire, and gets the others when scrolled to."""
    opened = tab()
    page = opened.open(f"/projects/{shop.project}/runs/{large}")
    rows = page.locator("#rows [data-row]")

    assert rows.count() == 500
    assert sum(opened.traffic.transferred) <= 120_000
    for loaded in range(1_000, 3_500, 500):
        page.wait_for_function(SCROLLED, arg=loaded)
    last = rows.last
    last.locator("a").click()
    expect(last.locator("a")).to_have_attribute("aria-current", "true")
    expect(page.locator("#detail")).to_contain_text("An answer.")
    page.screenshot(path=OUTPUT / "run-large.png")


def test_a_row_shows_its_event_and_the_address_says_so(
    tab: Callable[..., Tab], shop: Server, large: str
) -> None:
    """A click fetches the event alone; its address shows the same to another, as Back does."""
    page = tab().open(f"/projects/{shop.project}/runs/{large}")
    page.locator("#rows").evaluate("node => { node.kept = true; }")
    link = page.locator("#rows [data-row] a", has_text="7. step 7")

    link.click()

    expect(page.locator("#detail h2")).to_have_text("7. step 7")
    assert page.locator("#rows").evaluate("node => node.kept")
    assert "event=" in page.url
    other = tab().open(page.url.removeprefix(shop.url))
    expect(other.locator("#detail h2")).to_have_text("7. step 7")
    expect(other.locator("#rows a[aria-current]")).to_contain_text("7. step 7")


def test_a_run_grows_on_its_page_while_it_goes_on(tab: Callable[..., Tab], shop: Server) -> None:
    """A new event appears in the outline and in the sums, and what is chosen stays."""
    first = event("growing", 2, prompt="The first question.")
    send(shop.url, shop.key, [first])
    page = tab().open(f"/projects/{shop.project}/runs/growing?event={first['event_id']}")
    expect(page.locator("[data-live]")).to_be_visible()

    send(shop.url, shop.key, [event("growing", 0, model="another-model")])

    expect(page.locator("#rows")).to_contain_text("another-model")
    expect(page.locator("#summary")).to_contain_text("10 / 14")
    expect(page.locator("#detail")).to_contain_text("The first question.")


@pytest.fixture(scope="module")
def addresses(hostile: str) -> dict[str, str]:
    """Return pages that show what is planted."""
    run, planted = quote(hostile, safe=""), quote(f"planted {PLANTED}", safe="")
    columns = "summary,response,model,user,run,release,env,tags"
    return {
        "runs": "/runs?text=planted&mode=substring&range=all",
        "events": f"/events?range=24h&columns={columns}",
        "run": f"/runs/{run}",
        "compared": f"/runs/{run}?event={planted}&with=long&view=time",
        "event": f"/events/{planted}?plain=1",
        "whole": "/events/long?whole=1",
    }


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_planted_acts(
    tab: Callable[..., Tab], shop: Server, addresses: dict[str, str], width: int
) -> None:
    """Markup, scripts, escapes and marks of direction in any field are text and stay in place.

    The tab itself sees to it that no error, dialog or foreign request goes unnoticed.
    """
    opened = tab(width=width)
    foreign = "main img, main circle, main script, main [onerror]"

    found = {}
    for name, address in addresses.items():
        page = opened.open(f"/projects/{shop.project}{address}")
        wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        found[name] = (page.evaluate("window.acted"), page.locator(foreign).count(), wider > 0)

    assert found == dict.fromkeys(addresses, (None, 0, False))


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("run", 1280, "light"), ("compared", 390, "dark"), ("event", 1280, "dark")],
)
def test_the_pages_of_a_run_keep_nobody_out(  # noqa: PLR0917 - fixtures, and what is looked at
    tab: Callable[..., Tab],
    shop: Server,
    axe: str,
    addresses: dict[str, str],
    name: str,
    width: int,
    scheme: str,
) -> None:
    """No barrier that axe-core finds on a run, on a comparison, or on an event of its own."""
    page = tab(width=width, scheme=scheme).open(f"/projects/{shop.project}{addresses[name]}")
    page.wait_for_function("document.body.dataset.ready === ''")
    page.evaluate(axe)

    found = page.evaluate("axe.run()")

    page.screenshot(path=OUTPUT / f"planted-{name}-{scheme}-{width}.png")
    barriers = [
        (each["id"], node["target"], node["failureSummary"])
        for each in found["violations"]
        for node in each["nodes"]
    ]
    assert barriers == []
