"""Apps with OpenTelemetry's exporter and a real instrumentation send to a real server.

Each instrumentation has an environment of its own: `nox -s otlp` makes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from otlp.conftest import App

QUESTION = "How is the weather in Rome?"
ANSWER = "Rome is sunny."


def calls(events: list[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    """Return a run's calls of a model in their order."""
    return [event for event in events if event.get("model") == model]


def test_all_calls_arrive_with_prompt_response_and_usage(events: list[dict[str, Any]]) -> None:
    """A call, a stream and a tool's call read alike whichever instrumentation tells of them."""
    plain, stream, tool = calls(events, "gpt-4o-2024-08-06")

    assert plain["prompt"] == f"system: Be brief.\n\nuser: {QUESTION}"
    assert (stream["prompt"], tool["prompt"]) == (QUESTION, QUESTION)
    assert (plain["response"], stream["response"]) == (ANSWER, ANSWER)
    assert tool["response"] == 'weather({"city":"Rome"})'
    assert plain["response_metadata"]["request"]["temperature"] == 0.2
    for call in (plain, stream, tool):
        metadata = call["response_metadata"]
        assert (call["tokens_input"], call["tokens_output"]) == (40, 12)
        assert metadata["usage"]["input_tokens_details"] == {"cached_tokens": 16}
        assert (metadata["provider"], metadata["requested_model"]) == ("openai", "gpt-4o")
        assert (call["status"], call["cost_usd"] > 0, call["latency_ms"] > 0) == (
            "success",
            True,
            True,
        )
    assert plain["response_metadata"]["usage"]["output_tokens_details"] == {"reasoning_tokens": 5}
    assert tool["response_metadata"]["tool_calls"] == [
        {"id": "call_1", "name": "weather", "arguments": {"city": "Rome"}}
    ]


def test_embeddings_are_calls_that_answer_nothing(events: list[dict[str, Any]]) -> None:
    """Embeddings have a model, tokens and a cost, and no vector is kept."""
    (call,) = calls(events, "text-embedding-3-small")

    assert (call["event_type"], call["response"]) == ("prompt_call", "")
    assert (call["tokens_input"], call["tokens_output"]) == (3, 0)
    assert call["cost_usd"] > 0
    assert "vector" not in str(call)


def test_failures_are_told_once_each(app: App, events: list[dict[str, Any]]) -> None:
    """A failed call and a failed step have the status and the message; exceptions are errors."""
    (failed,) = calls(events, "nope")
    (step,) = [event for event in events if event.get("step_name") == "check the answer"]
    errors = [event for event in events if event["event_type"] == "error"]

    assert (failed["status"], step["status"]) == ("error", "error")
    assert "There is no model nope." in failed["error"]["message"]
    assert failed["error"]["type"].endswith("NotFoundError")
    assert step["error"] == {"message": "the answer is too long", "type": "ValueError"}
    (raised,) = [event for event in errors if event["parent_event_id"] == step["event_id"]]
    assert raised["error"]["type"] == "ValueError"
    assert "client.py" in raised["stack_trace"]
    # OpenTelemetry's own instrumentation records no exception of a call, only its type.
    recorded = [event["parent_event_id"] for event in errors]
    assert recorded.count(failed["event_id"]) == (0 if app.name == "genai" else 1)


def test_the_run_is_a_tree_below_one_root(events: list[dict[str, Any]]) -> None:
    """Each event but the root's names its parent, and the parents are in the run."""
    by_id = {event["event_id"]: event for event in events}
    (root,) = [event for event in events if "parent_event_id" not in event]

    assert (root["step_name"], root["user_id"]) == ("answer", "user-7")
    assert all(event["parent_event_id"] in by_id for event in events if event is not root)
    (embeddings,) = calls(events, "text-embedding-3-small")
    assert by_id[embeddings["parent_event_id"]]["step_name"] == "look up"
    steps = [event for event in events if event["event_type"] == "agent_step"]
    assert sorted((step["step_number"], step["step_name"]) for step in steps) == [
        (1, "answer"),
        (2, "look up"),
        (3, "check the answer"),
    ]


def test_the_resource_becomes_environment_release_and_service(events: list[dict[str, Any]]) -> None:
    """What OTEL_RESOURCE_ATTRIBUTES says stands in every event."""
    for event in events:
        assert (event["env"], event["release"], event["service"]) == ("staging", "1.4.2", "weather")
        assert event["client"]["platform"] == "python"


@pytest.mark.parametrize("settings", [{"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, {}])
def test_the_exporters_other_settings_work(app: App, settings: dict[str, str]) -> None:
    """A compressed export and a key in `x-api-key` arrive as well."""
    key = {"OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={app.server.key}"}

    assert len(calls(app.run(**key, **settings), "gpt-4o-2024-08-06")) == 3
