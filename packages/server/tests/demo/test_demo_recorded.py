"""What the demo reads back from a real server, and its check that nothing is missing."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from demo_servers import KEY, post_events, watchllm_server
from watchllm_server.demo.children import free_port
from watchllm_server.demo.errors import DemoError
from watchllm_server.demo.programs import Logged
from watchllm_server.demo.recorded import Reader, Run, missing, read_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from demo_servers import Running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run one server for all tests of this file."""
    with watchllm_server(tmp_path_factory.mktemp("recorded")) as running:
        yield running


def prompt_call(run_id: str, **more: Any) -> dict[str, Any]:
    """Return an event as a sender sends it."""
    return {
        "event_id": str(uuid.uuid4()),
        "event_type": "prompt_call",
        "run_id": run_id,
        "timestamp": "2026-11-24T09:30:00.000Z",
        "prompt": "Hello?",
        "response": "Hi.",
        "model": "gpt-4o",
        "tokens_input": 2,
        "tokens_output": 3,
        "latency_ms": 310,
        "status": "success",
        **more,
    }


def logged(event: dict[str, Any]) -> Logged:
    """Return what the SDK says of an event that it took."""
    return Logged("chat.py", event["event_type"], event["event_id"], event["run_id"])


def test_events_that_were_stored_are_found(server: Running) -> None:
    """Every event that the server took is found in its run, whatever the run is called."""
    run_id = f"run/with ?odd&name=ü#{uuid.uuid4()}"
    events = [prompt_call(run_id), prompt_call(run_id)]
    post_events(server, events)

    runs = read_back(Reader(server.port, KEY), [logged(event) for event in events])

    assert [(run.run_id, len(run.events)) for run in runs] == [(run_id, 2)]
    assert missing([logged(event) for event in events], runs) == []


def test_a_run_of_several_pages_is_read_to_its_end(server: Running) -> None:
    """A run with more events than the server gives at once is found whole."""
    run_id = f"run-{uuid.uuid4()}"
    events = [prompt_call(run_id) for _ in range(5)]
    post_events(server, events)

    runs = read_back(Reader(server.port, KEY, page=2), [logged(event) for event in events])

    assert len(runs[0].events) == 5
    assert missing([logged(event) for event in events], runs) == []


def test_an_event_that_was_never_stored_is_named(server: Running) -> None:
    """One lost event of a run, and a run that is lost whole, are both reported."""
    run_id, lost_run = f"run-{uuid.uuid4()}", f"run-{uuid.uuid4()}"
    stored, lost, lost_whole = prompt_call(run_id), prompt_call(run_id), prompt_call(lost_run)
    post_events(server, [stored])
    all_logged = [logged(event) for event in (stored, lost, lost_whole)]

    runs = read_back(Reader(server.port, KEY), all_logged)

    assert missing(all_logged, runs) == [logged(lost), logged(lost_whole)]


def test_an_event_stored_under_another_run_is_missing(server: Running) -> None:
    """An event counts as found only in the run that it was logged under."""
    mine, other = prompt_call(f"run-{uuid.uuid4()}"), prompt_call(f"run-{uuid.uuid4()}")
    post_events(server, [mine, other])
    misplaced = Logged("chat.py", "prompt_call", other["event_id"], mine["run_id"])

    runs = read_back(Reader(server.port, KEY), [logged(mine), misplaced])

    assert missing([logged(mine), misplaced], runs) == [misplaced]


def test_a_refused_key_is_an_error(server: Running) -> None:
    """A server that does not let us read is reported, never taken for an empty one."""
    with pytest.raises(DemoError, match="The server answered 401"):
        Reader(server.port, "wllm_no-such-key").events("any")


def test_a_server_that_is_gone_is_an_error() -> None:
    """A server that does not answer is reported, never taken for an empty one."""
    with pytest.raises(DemoError, match="could not be asked"):
        Reader(free_port(), KEY).events("any")


def test_calls_since_a_moment_are_read_to_their_end(server: Running) -> None:
    """Calls of several pages are all found; those of an earlier demo, and what is no call, are not.

    None of them went through this server's gateway, and so none is waited for.
    """
    since, before = datetime(2026, 11, 24, 12, tzinfo=UTC), "2026-11-24T11:59:59.000Z"
    calls = [prompt_call("run-since", timestamp="2026-11-24T12:00:00.000Z") for _ in range(3)]
    post_events(server, [*calls, prompt_call("run-before", timestamp=before)])

    found = Reader(server.port, KEY, page=2).gatewayed(since)

    assert found.made == 0
    assert {call["event_id"] for call in found.calls} == {call["event_id"] for call in calls}


def test_the_figures_of_a_run_come_from_its_calls(server: Running) -> None:
    """Tokens and cost are sums, the latency is the median; what is known to be unknown stays so."""
    run_id = f"run-{uuid.uuid4()}"
    events = [
        prompt_call(run_id, latency_ms=latency, cost_estimate_usd=0.25) for latency in (10, 20, 90)
    ]
    post_events(server, events)
    (run,) = read_back(Reader(server.port, KEY), [logged(event) for event in events])

    assert (run.tokens("input"), run.tokens("output")) == (6, 9)
    assert run.cost() == Decimal("0.75")
    assert run.latency_p50_ms() == 20


def test_one_unpriced_call_makes_the_cost_unknown() -> None:
    """A sum that lacks a price is no sum."""
    priced, unpriced = (
        {"event_type": "prompt_call", "cost_usd": cost, "tokens_input": None}
        for cost in (0.5, None)
    )

    assert Run("r", "p", (priced,)).cost() == Decimal("0.5")
    assert Run("r", "p", (priced, unpriced)).cost() is None
    assert Run("r", "p", (priced, unpriced)).tokens("input") is None


def test_a_refused_call_costs_nothing_whatever_its_model() -> None:
    """A call that used no token has no price to know, and leaves the sum known."""
    priced = {"event_type": "prompt_call", "cost_usd": 0.5}
    refused = {**priced, "cost_usd": None, "tokens_input": 0, "tokens_output": 0}

    assert Run("r", "p", (priced, refused)).cost() == Decimal("0.5")
    assert Run("r", "p", (refused,)).cost() == 0


def test_a_run_without_calls_has_no_figures() -> None:
    """Without a call there is neither cost nor latency."""
    run = Run("r", "p", ({"event_type": "error"},))

    assert (run.cost(), run.latency_p50_ms(), run.tokens("output")) == (None, None, None)
