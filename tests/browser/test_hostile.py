"""What senders write stays text, in every field and on every page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from browsing import administer
from watchllm_server.demo.history import send
from watchllm_server.pages.routes import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from browsing import Tab
    from conftest import Server

PLANTED = (
    "<script>window.planted=1</script>",
    '"><img src=x onerror="window.planted=1">',
    "<svg onload='window.planted=1'><a xlink:href='javascript:window.planted=1'>x</a></svg>",
    "</script></style></textarea></title><iframe src=//foreign.example></iframe>",
    "[x](javascript:window.planted=1) ![x](https://foreign.example/x.png)",
    "\x1b[31m\x1b]8;;https://foreign.example\x07link\x1b]8;;\x07",
    "\u202egnp.exe\u2066\u200f",
    "{{ 7 * 7 }}{% raw %}${7 * 7}",
)
LONG = 1_000_000
SHOWN = [pytest.param(page.path, id=page.name.lower()) for page in PAGES if page.name]


def hostile(text: str, number: int) -> list[dict[str, Any]]:
    """Return events of several types that have a text in every field that may have any."""
    shared = {
        "run_id": text, "timestamp": f"2026-11-24T09:30:0{number}.000Z", "env": text,
        "user_id": text, "release": text, "tags": [text], text: text,
    }  # fmt: skip
    error = {"type": text, "message": text, "code": text, "stack": text, "context": {text: text}}
    made: list[dict[str, Any]] = [
        {
            "event_type": "prompt_call", "prompt": text, "response": text, "model": text,
            "tokens_input": 1, "tokens_output": 1, "latency_ms": 1, "status": "error",
            "prompt_template_id": text, "response_metadata": {text: text}, "error": error,
            "tool_calls": [
                {"tool_name": text, "input": text, "output": text, "latency_ms": 1,
                 "status": "success"}
            ],
        },
        {
            "event_type": "agent_step", "step_number": 1, "step_name": text, "reasoning": text,
            "step_type": "reasoning", "input_data": {text: text}, "output_data": {text: text},
            "latency_ms": 1, "status": "success", "context": {text: text},
        },
        {"event_type": "error", "error": error, "stack_trace": text},
        {
            "event_type": "assertion_failed", "assertion_name": text, "expected": text,
            "assertion_type": "custom", "actual": text, "severity": "high",
        },
        {
            "event_type": "hallucination_detected", "detection_method": "heuristic",
            "confidence_score": 0.5, "flagged_content": text, "ground_truth": text,
            "recommendations": [text],
        },
        {"event_type": text},
    ]  # fmt: skip
    return [
        {**shared, "event_id": f"{number}-{place}-{text}", **event}
        for place, event in enumerate(made)
    ]


@pytest.fixture(scope="module")
def attacked(shop: Server) -> str:
    """Return a project whose every event is an attack, and one line is of 1 MB."""
    administer(shop, "/projects", id="attacked", name='<b onclick="window.planted=1">attacked')
    key = administer(shop, "/projects/attacked/keys", name="<i>key</i>")["secret"]
    for number, text in enumerate(PLANTED):
        send(shop.url, key, hostile(text, number))
    long = json.loads(json.dumps(hostile("long", 9)[0])) | {"response": "x" * LONG}
    send(shop.url, key, [long])
    return "attacked"


@pytest.mark.parametrize("path", SHOWN)
def test_nothing_that_was_sent_acts_on_a_page(
    tab: Callable[..., Tab], attacked: str, path: str
) -> None:
    """A page about attacks runs none of them, loads nothing foreign and keeps its width."""
    page = tab(width=390).open(f"/projects/{attacked}{path}?from=2026-11-24&to=2026-11-25")
    page.wait_for_function("document.body.dataset.ready === ''")

    assert page.evaluate("window.planted") is None
    assert page.locator("main iframe, main img, main script, main [onerror]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize("number", range(len(PLANTED)))
def test_nothing_that_was_sent_acts_on_a_run(
    tab: Callable[..., Tab], attacked: str, number: int
) -> None:
    """The page of an attacker's run shows the attack as the text that it is."""
    address = f"/projects/{attacked}/runs/{quote(PLANTED[number], safe='')}"

    page = tab().open(address)
    page.wait_for_function("document.body.dataset.ready === ''")

    assert page.evaluate("window.planted") is None
    assert page.locator("main iframe, main img, main script, main [onerror]").count() == 0
    assert PLANTED[number].split("\x1b")[0] in (page.locator("main").text_content() or "")


def test_a_line_of_a_megabyte_is_shown(tab: Callable[..., Tab], attacked: str) -> None:
    """A run with an answer of 1 MB in one line opens within the window's width."""
    page = tab(width=390).open(f"/projects/{attacked}/runs/long")

    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert "xxxx" in (page.locator("main").text_content() or "")
