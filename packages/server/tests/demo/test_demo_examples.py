"""Each example program, run as a reader would run it, against a real server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from demo_servers import KEY, PROJECT, scripted_endpoint, watchllm_server
from watchllm_server.demo.children import HOST, Child, child, free_port
from watchllm_server.demo.programs import Program, examples_folder, logged_events, run_program
from watchllm_server.demo.recorded import Reader, missing, read_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from watchllm_server.demo.recorded import Run


@dataclass(frozen=True)
class World:
    """A server and an endpoint, and the environment of a program that uses both."""

    reader: Reader
    environment: dict[str, str]
    folder: Path

    def run(self, file: str) -> tuple[str, list[Run]]:
        """Run an example; return what it printed, and its runs once every event was found."""
        outcome = run_program(Program(examples_folder() / file, ""), self.environment, self.folder)

        assert outcome.exit_code == 0, outcome.output
        assert outcome.logged
        runs = read_back(self.reader, outcome.logged)
        assert missing(outcome.logged, runs) == []
        return outcome.output, runs


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run a server and the scripted endpoint for all tests of this file."""
    folder = tmp_path_factory.mktemp("examples")
    with watchllm_server(folder) as server, scripted_endpoint(folder) as endpoint:
        environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("OPENAI_")},
            "WATCHLLM_BASE_URL": server.url,
            "WATCHLLM_PROJECT_ID": PROJECT,
            "WATCHLLM_API_KEY": KEY,
            "WATCHLLM_DEBUG": "1",
            "OPENAI_BASE_URL": endpoint.url,
            "OPENAI_API_KEY": "any",
            "PYTHONWARNINGS": "error",
        }
        yield World(Reader(server.port, KEY), environment, folder)


def of_type(runs: list[Run], event_type: str) -> list[dict[str, Any]]:
    """Return the events of a type in all runs."""
    return [event for run in runs for event in run.of_type(event_type)]


def test_the_quick_start_logs_its_call(world: World) -> None:
    """The smallest program logs one prompt call, under the run that it prints."""
    output, runs = world.run("quickstart.py")

    (call,) = (e for e in of_type(runs, "prompt_call") if e["event_id"] in output)
    assert call["run_id"] == "run-123"
    assert (call["tokens_input"], call["tokens_output"], call["latency_ms"]) == (12, 45, 1250)


def test_every_call_is_stored_with_all_that_it_was_given(world: World) -> None:
    """Each kind of event has the values that the program gave it, and so has its client."""
    output, runs = world.run("every_call.py")

    (run,) = runs
    counts = Counter(event["event_type"] for event in run.events)
    assert counts == {
        "prompt_call": 2,
        "agent_step": 4,
        "error": 2,
        "assertion_failed": 1,
        "hallucination_detected": 1,
        "performance_alert": 1,
    }
    assert {(event["user_id"], event["release"]) for event in run.events} == {("user-456", "1.2.0")}
    assert {tuple(event["tags"]) for event in run.events} == {("summarization", "article")}
    invalid = [set(event["invalid_fields"]) for event in run.events if "invalid_fields" in event]
    assert invalid == [{"tokens_input", "tokens_output"}]  # those that the program does not know
    answered, late = run.of_type("prompt_call")
    assert answered["prompt_template_id"] == "summary-v3"
    assert answered["tool_calls"][0]["tool_name"] == "fetch"
    assert (late["status"], late["error"]["type"]) == ("timeout", "APITimeoutError")
    assert "tokens_input" not in late
    steps = run.of_type("agent_step")
    assert [(step["step_type"], step["status"]) for step in steps] == [
        ("reasoning", "success"),
        ("tool_call", "error"),
        ("validation", "assertion_failed"),
        ("output", "warning"),
    ]
    assert [error["error"]["type"] for error in run.of_type("error")] == [
        "JSONDecodeError",
        "SearchError",
    ]
    assert "delivered: True" in output


def test_the_chat_logs_each_answer_in_one_run_and_redacts(world: World) -> None:
    """The chat's calls share a run, a user and tags; an address and a card number are redacted."""
    output, runs = world.run("openai_chat.py")

    (run,) = runs
    calls = run.of_type("prompt_call")
    assert len(calls) == len(run.events) == 3
    assert {call["model"] for call in calls} == {"gpt-4o"}
    assert {call["user_id"] for call in calls} == {"ada"}
    assert {tuple(call["tags"]) for call in calls} == {("chat",)}
    assert all(call["tokens_input"] > 0 and call["tokens_output"] > 0 for call in calls)
    assert "no-key" not in output
    order = calls[-1]
    assert "[REDACTED_EMAIL]" in order["prompt"]
    assert "[REDACTED_CC]" in order["prompt"]
    assert order["redactions"] == {"email": 2, "credit_card": 2}
    stored = json.dumps(run.events)
    assert "ada.lovelace@example.com" not in stored
    assert "4111 1111" not in stored
    assert "script has none" not in stored


def test_two_lines_log_every_call(world: World) -> None:
    """Each question is a run of two steps, with the streamed call below the second one."""
    output, runs = world.run("auto_instrument.py")

    assert len(runs) == 2
    for run in runs:
        (call,) = run.of_type("prompt_call")
        steps = {step["step_name"]: step for step in run.of_type("agent_step")}
        assert set(steps) == {"look up the notes", "answer"}
        assert call["parent_event_id"] == steps["answer"]["event_id"]
        assert steps["answer"]["output_data"] == {"result": call["response"]}
        assert call["response"] in output
        assert call["tokens_output"] > 0
        assert call["response_metadata"]["time_to_first_token_ms"] > 0
        assert {tuple(event["tags"]) for event in run.events} == {("support",)}


def test_the_agent_logs_steps_and_calls_in_order(world: World) -> None:
    """The three steps and the two calls of the agent stand in one run, in the order they ended."""
    output, runs = world.run("research_agent.py")

    (run,) = runs
    steps = run.of_type("agent_step")
    assert [event["event_type"] for event in run.events] == [
        "agent_step",
        "prompt_call",
        "agent_step",
        "prompt_call",
        "agent_step",
    ]
    assert [(step["step_number"], step["step_type"]) for step in steps] == [
        (1, "tool_call"),
        (2, "reasoning"),
        (3, "output"),
    ]
    results = steps[0]["output_data"]["results"]
    assert len(results) == 3
    assert all("climate" in text or "solutions" in text for text in results)
    assert "climate change solutions" in results[0]
    assert steps[2]["output_data"]["summary"] in output
    assert "script has none" not in output


def test_the_errors_are_logged_with_their_context(world: World) -> None:
    """A failed request is logged with its context and stack, and the program goes on."""
    output, runs = world.run("error_handling.py")

    unknown_order, unknown_model = of_type(runs, "error")
    assert unknown_order["error"]["type"] == "UnknownOrderError"
    assert unknown_order["context"]["request_id"] == "req-2"
    assert unknown_order["user_id"] == "ada"
    assert unknown_order["tags"] == ["error", "processing", "user-request"]
    assert unknown_order["env"] == "production"
    assert unknown_model["error"]["type"] == "NotFoundError"
    assert unknown_model["context"]["request_id"] == "req-3"
    assert "execute_business_logic" in json.dumps(unknown_model)
    assert len(of_type(runs, "prompt_call")) == 1
    assert "req-3: this failed and was logged" in output


def test_coroutines_log_through_one_client(world: World) -> None:
    """Calls made at the same time stand in the run of their trace, each with its own answer."""
    _, runs = world.run("async_usage.py")

    (run,) = runs
    calls = run.of_type("prompt_call")
    assert {call["prompt"] for call in calls} == {
        "What is machine learning?",
        "What is a token?",
        "When is a refund paid?",
    }
    assert len({call["response"] for call in calls}) == 3


def test_own_personal_data_is_sanitised_before_it_is_logged(world: World) -> None:
    """The number that the app replaces and the address that the SDK redacts are both gone."""
    _, runs = world.run("pii_sanitize.py")

    (step,) = of_type(runs, "agent_step")
    note = step["input_data"]["note"]
    assert "[REDACTED_SSN]" in note
    assert "[REDACTED_EMAIL]" in note
    assert "078-05-1120" not in json.dumps(step)


def test_sampling_keeps_whole_runs_with_their_weight(world: World) -> None:
    """About a tenth of 500 runs is kept, and each kept event carries its rate."""
    _, runs = world.run("sampling_and_batching.py")

    steps = of_type(runs, "agent_step")
    assert 10 <= len(steps) <= 120
    assert {step["sample_rate"] for step in steps} == {0.1}
    assert {step["release"] for step in steps} == {"v1.2.3"}


@contextlib.contextmanager
def web_app(world: World, **more: str) -> Iterator[Child]:
    """Serve the FastAPI example by uvicorn, as its docstring says."""
    with child(
        "web app",
        ["uvicorn", "fastapi_app:app", "--app-dir", str(examples_folder())],
        port=free_port(),
        environment={**world.environment, "PYTHONDONTWRITEBYTECODE": "1", **more},
        log=world.folder / f"fastapi-{len(more)}.log",
    ) as app:
        app.wait_until_ready("/openapi.json", seconds=50)
        yield app


def ask(app: Child, body: dict[str, str], run_id: str | None = None) -> tuple[int, str | None, Any]:
    """Post a prompt; return status, the x-run-id of the answer, and its body."""
    headers = {"Content-Type": "application/json", **({"x-run-id": run_id} if run_id else {})}
    connection = http.client.HTTPConnection(HOST, app.port, timeout=100)
    try:
        connection.request("POST", "/api/chat", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("x-run-id"), json.loads(answer.read())
    finally:
        connection.close()


def test_the_web_app_logs_calls_under_the_callers_run(world: World) -> None:
    """Under a real uvicorn x-run-id names the run, and closing the app sends what is queued."""
    with web_app(world) as app:
        named = ask(app, {"prompt": "What is machine learning?"}, "web-run-1")
        nameless = ask(app, {"prompt": "When is a refund paid?"})
        wrong = ask(app, {"question": "?"})

    logged = logged_events("fastapi_app.py", app.log.read_text())
    runs = read_back(world.reader, logged)
    assert missing(logged, runs) == []
    assert (named[0], nameless[0], wrong[0]) == (200, 200, 422)
    assert "patterns" in named[2]["text"]
    assert named[1] == "web-run-1"
    assert [run.run_id for run in runs] == ["web-run-1", nameless[1]]
    assert [call["prompt"] for call in of_type(runs, "prompt_call")] == [
        "What is machine learning?",
        "When is a refund paid?",
    ]


def test_the_web_app_answers_500_when_the_model_fails(world: World) -> None:
    """A model that does not exist gives the caller 500, and the run an error with its context."""
    with web_app(world, OPENAI_MODEL="none-such") as app:
        failed = ask(app, {"prompt": "What is machine learning?"}, "web-run-failed")

    (error,) = world.reader.events("web-run-failed")
    assert failed[:2] == (500, "web-run-failed")
    assert "none-such" in failed[2]["error"]
    assert error["error"]["type"] == "NotFoundError"
    assert error["context"] == {"endpoint": "/api/chat"}
