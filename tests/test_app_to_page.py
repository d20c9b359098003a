"""An app logs through the SDK; the API and the pages show what it logged."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from conftest import Server


def run_app(server: Server, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, set up to log to the server."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env={**server.environment(), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )


def test_every_kind_of_event_arrives_as_it_was_logged(server: Server) -> None:
    """Each log method's event is in the run, in the order of logging, with the values given."""
    app = run_app(
        server,
        """
        from watchllm import WatchLLMClient, Severity, Status, StepType
        run, ids = "e2e-all-kinds", []
        with WatchLLMClient(environment="staging", release="1.2.0") as client:
            ids.append(client.log_prompt_call(
                run_id=run, prompt="What is ML?", model="gpt-4o", response="A subset of AI.",
                tokens_input=12, tokens_output=45, latency_ms=1250, status=Status.SUCCESS,
                tags=["docs"], user_id="user-456"))
            ids.append(client.log_agent_step(
                run_id=run, step_number=1, step_name="Search", step_type=StepType.TOOL_CALL,
                input_data={"query": "climate"}, output_data={"results": [1, 2]}, latency_ms=210))
            try:
                1 / 0
            except ZeroDivisionError as error:
                ids.append(client.log_error(run_id=run, error=error, context={"attempt": 2}))
            ids.append(client.log_assertion_failed(
                run_id=run, assertion_name="is JSON", assertion_type="response_format",
                expected={"type": "object"}, actual="text", severity=Severity.HIGH))
            ids.append(client.log_hallucination_detected(
                run_id=run, detection_method="heuristic", confidence_score=0.9,
                flagged_content="Rome", recommendations=["ground it"]))
            ids.append(client.log_performance_alert(
                run_id=run, alert_type="latency_spike", threshold=2000, actual_value=5312.5,
                window_minutes=5, affected_models=["gpt-4o"]))
        print(*ids)
        """,
    )

    run = server.run("e2e-all-kinds")
    events: list[dict[str, Any]] = run["events"]

    assert [event["event_id"] for event in events] == app.stdout.split()
    assert [event["event_type"] for event in events] == [
        "prompt_call",
        "agent_step",
        "error",
        "assertion_failed",
        "hallucination_detected",
        "performance_alert",
    ]
    call, step, error, failed, detected, alert = events
    assert call["tokens_input"] == 12
    assert call["tags"] == ["docs"]
    assert call["user_id"] == "user-456"
    assert call["cost_usd"] > 0
    assert step["output_data"] == {"results": [1, 2]}
    assert error["error"]["type"] == "ZeroDivisionError"
    assert error["context"] == {"attempt": 2}
    assert failed["expected"] == {"type": "object"}
    assert detected["confidence_score"] == 0.9
    assert alert["actual_value"] == 5312.5
    assert {event["env"] for event in events} == {"staging"}
    assert {event["release"] for event in events} == {"1.2.0"}
    assert app.stderr == ""


def run_page(server: Server, run_id: str) -> str:
    """Return the page of a run, with each of its events in turn beside the outline."""
    pages = []
    for event in server.run(quote(run_id))["events"]:
        path = f"/projects/proj-tests/runs/{quote(run_id)}?event={event['event_id']}"
        status, page = server.get(path)
        assert status == 200
        pages.append(page)
    return "\n".join(pages)


def test_personal_data_leaves_the_app_redacted(server: Server) -> None:
    """An address and a card number in any field reach neither the API nor the page."""
    run_app(
        server,
        """
        from watchllm import WatchLLMClient
        with WatchLLMClient() as client:
            client.log_prompt_call(
                run_id="e2e-pii", prompt="Write to ada@example.com", model="gpt-4o",
                response="Card 4111 1111 1111 1111 noted", tokens_input=1, tokens_output=1,
                latency_ms=1, response_metadata={"ada@example.com": ["bob@example.org"]})
            client.log_error(run_id="e2e-pii", error=ValueError("no such user: ada@example.com"))
        """,
    )

    stored = json.dumps(server.run("e2e-pii"))

    for text in (stored, run_page(server, "e2e-pii")):
        assert "[REDACTED_EMAIL]" in text
        assert "[REDACTED_CC]" in text
        assert "example.com" not in text
        assert "example.org" not in text
        assert "4111 1111" not in text


def test_a_thousand_events_of_many_threads_arrive_once_each(server: Server) -> None:
    """1,000 events logged by ten threads are in the store once each after a plain exit."""
    app = run_app(
        server,
        """
        import threading
        from watchllm import WatchLLMClient
        client, ids = WatchLLMClient(), []
        def log(worker):
            for number in range(100):
                ids.append(client.log_prompt_call(
                    run_id="e2e-threads", prompt=f"{worker}/{number}", model="gpt-4o",
                    response="ok", tokens_input=1, tokens_output=1, latency_ms=1))
        threads = [threading.Thread(target=log, args=(n,)) for n in range(10)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert client.flush(timeout=100)
        print(*ids)
        """,
    )

    events = server.run("e2e-threads")["events"]

    assert len(events) == 1000
    assert {event["event_id"] for event in events} == set(app.stdout.split())


def test_the_page_shows_what_was_logged(server: Server) -> None:
    """The page of runs names the run; its own page shows prompt, response and error, escaped."""
    run_app(
        server,
        """
        from watchllm import WatchLLMClient
        with WatchLLMClient() as client:
            client.log_prompt_call(
                run_id="e2e <page>", prompt="Why is the sky <blue>?", model="gpt-4o",
                response="Rayleigh & friends", tokens_input=7, tokens_output=9, latency_ms=321)
            client.log_error(run_id="e2e <page>", error=RuntimeError("the <model> is gone"))
        """,
    )

    status, runs = server.get("/projects/proj-tests/runs")
    run = run_page(server, "e2e <page>")
    text = html.unescape(re.sub(r"<[^>]+>", " ", run))

    assert status == 200
    assert "e2e &lt;page&gt;" in runs
    assert "e2e <page>" not in runs + run
    assert "Why is the sky <blue>?" in text
    assert "Rayleigh & friends" in text
    assert "RuntimeError" in text
    assert "the <model> is gone" in text


def test_a_value_of_the_wrong_kind_is_kept_and_described(server: Server) -> None:
    """A call with unusable numbers is stored, its tokens unknown and what was wrong named."""
    run_app(
        server,
        """
        from watchllm import WatchLLMClient
        with WatchLLMClient() as client:
            client.log_prompt_call(
                run_id="e2e-bad", prompt=None, model="gpt-4o", response="r",
                tokens_input="many", tokens_output=float("nan"), latency_ms=-5, status="fine")
            assert client.flush(timeout=100)
            assert client.stats()["refused"] == 0, client.stats()
        """,
    )

    (event,) = server.run("e2e-bad")["events"]

    assert {"tokens_input", "tokens_output", "latency_ms", "status"} <= set(event["invalid_fields"])
    assert event["cost_usd"] is None


def test_an_unknown_key_is_told_in_one_sentence(server: Server) -> None:
    """With a wrong key the app goes on, and the logger says once what is wrong."""
    app = run_app(
        server,
        """
        import logging
        logging.basicConfig(level=logging.WARNING)
        from watchllm import WatchLLMClient
        client = WatchLLMClient()
        for n in range(30):
            client.log_prompt_call(run_id="e2e-key", prompt="p", model="m", response="r",
                                   tokens_input=1, tokens_output=1, latency_ms=1)
        print(client.flush(timeout=10))
        client.close()
        """,
        WATCHLLM_API_KEY="wllm_wrong",
    )

    warnings = [line for line in app.stderr.splitlines() if line.startswith("WARNING:watchllm")]

    assert app.stdout.strip() == "False"
    assert len([line for line in warnings if "401" in line or "key" in line]) == 1
    assert "wllm_wrong" not in app.stderr


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({}, 0, "✓ key: opens project proj-tests"),
        ({"WATCHLLM_PROJECT_ID": "another"}, 1, "✗ The key does not open project another (403)."),
        ({"WATCHLLM_API_KEY": "wllm_wrong"}, 1, "✗ The key is unknown (401)."),
    ],
)
def test_the_doctor_tells_a_key_from_a_wrong_one(
    server: Server, changes: dict[str, str], code: int, said: str
) -> None:
    """`watchllm doctor` asks a real server about key and project, and nothing is stored by it."""
    before = server.get("/v1/runs")
    done = subprocess.run(
        [sys.executable, "-m", "watchllm", "doctor"],
        env={**server.environment(), **changes},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert (done.returncode, said in done.stdout) == (code, True), done.stdout
    assert server.get("/v1/runs") == before
