"""The client does what its documentation says."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

import pytest
from conftest import log_call

from watchllm import (
    ConfigurationError,
    ErrorEvent,
    PromptCallEvent,
    Severity,
    Status,
    StepType,
    WatchLLMClient,
)
from watchllm.testing import MemoryTransport

if TYPE_CHECKING:
    from typing import Callable

    from conftest import App

    MakeApp = Callable[..., App]


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (
            "__init__",
            (
                "api_key project_id base_url environment sample_rate redact_pii batch_size"
                " flush_interval_seconds timeout release enabled durability spool_dir spool_max_mb"
                " debug also_to transport clock"
            ),
        ),
        (
            "log_prompt_call",
            (
                "run_id prompt model response tokens_input tokens_output latency_ms status error"
                " prompt_template_id model_version"
                " response_metadata tool_calls tags user_id release"
                " cost_estimate_usd"
            ),
        ),
        (
            "log_agent_step",
            (
                "run_id step_number step_name step_type input_data output_data latency_ms status"
                " reasoning context error tags user_id release"
            ),
        ),
        ("log_error", "run_id error context tags user_id release"),
        (
            "log_assertion_failed",
            "run_id assertion_name assertion_type expected actual severity tags user_id release",
        ),
        (
            "log_hallucination_detected",
            (
                "run_id detection_method confidence_score flagged_content ground_truth"
                " recommendations tags user_id release"
            ),
        ),
        (
            "log_performance_alert",
            (
                "run_id alert_type threshold actual_value window_minutes affected_models severity"
                " tags user_id release"
            ),
        ),
        ("flush", "timeout"),
        ("close", "timeout"),
    ],
)
def test_parameters_have_the_documented_names_and_order(method: str, parameters: str) -> None:
    """Arguments can be passed by the names, or in the order, of the documentation."""
    found = list(inspect.signature(getattr(WatchLLMClient, method)).parameters)

    assert found == ["self", *parameters.split()]


def test_a_prompt_call_arrives_as_logged(app: App) -> None:
    """All arguments of a call are on the wire, and its id is returned."""
    call = {"tool_name": "t", "tool_id": "1", "input": {"q": 1}, "output": [], "latency_ms": 2,
            "status": "success"}  # fmt: skip
    event_id = log_call(
        app.client,
        status=Status.ERROR,
        error={"message": "boom", "type": "E"},
        prompt_template_id="tmpl",
        model_version="v1",
        response_metadata={"finish_reason": "stop"},
        tool_calls=[call],
        tags=["a"],
        user_id="u",
        release="r",
        cost_estimate_usd=0.25,
    )
    event = app.sent_one()

    assert event["event_id"] == event_id
    assert event["status"] == "error"
    assert event["error"] == {"message": "boom", "type": "E"}
    assert event["tool_calls"] == [call]
    assert event["cost_estimate_usd"] == 0.25
    assert (event["tags"], event["user_id"], event["release"]) == (["a"], "u", "r")
    assert (event["model_version"], event["prompt_template_id"]) == ("v1", "tmpl")


def test_an_agent_step_arrives_as_logged(app: App) -> None:
    """A step's data, reasoning and context are on the wire."""
    app.client.log_agent_step(
        "run-1", 2, "Search", StepType.TOOL_CALL, {"q": "x"}, {"hits": 3}, 12.5,
        reasoning="because", context={"model": "m"}, error=ValueError("partial"),
    )  # fmt: skip
    event = app.sent_one()

    assert (event["step_number"], event["step_name"]) == (2, "Search")
    assert (event["step_type"], event["latency_ms"]) == ("tool_call", 12.5)
    assert (event["input_data"], event["output_data"]) == ({"q": "x"}, {"hits": 3})
    assert (event["reasoning"], event["context"]) == ("because", {"model": "m"})
    assert event["error"]["message"] == "partial"


def test_an_error_arrives_with_its_traceback_redacted(app: App) -> None:
    """An exception's type, message and stack are sent, without the address it quotes."""
    try:
        raise LookupError("no user zoe@example.com")
    except LookupError as error:
        app.client.log_error("run-1", error, context={"attempt": 2}, tags=["error"])
    event = app.sent_one()

    assert event["error"]["type"] == "LookupError"
    assert event["error"]["message"] == "no user [REDACTED_EMAIL]"
    assert "test_client.py" in event["error"]["stack"]
    assert "zoe" not in str(event)
    assert event["context"] == {"attempt": 2}


def test_findings_of_the_app_arrive_as_logged(app: App) -> None:
    """Assertions, hallucinations and alerts have methods of their own."""
    app.client.log_assertion_failed("r", "is JSON", "custom", {"a": 1}, "text", Severity.LOW)
    app.client.log_hallucination_detected(
        "r", "heuristic", 0.9, "Rome", ground_truth="Paris", recommendations=["ground it"]
    )
    app.client.log_performance_alert("r", "cost_spike", 1, 2.5, 60, ["gpt-4o"], "high")
    failed, found, alert = app.sent()

    assert (failed["expected"], failed["actual"], failed["severity"]) == ({"a": 1}, "text", "low")
    assert (found["confidence_score"], found["ground_truth"]) == (0.9, "Paris")
    assert found["recommendations"] == ["ground it"]
    assert (alert["threshold"], alert["actual_value"], alert["window_minutes"]) == (1, 2.5, 60)
    assert (alert["affected_models"], alert["severity"]) == (["gpt-4o"], "high")


def test_an_event_can_be_logged_as_an_object(app: App) -> None:
    """An event's own id and run are kept; without an id one is minted each time."""
    event = ErrorEvent(error="x", run_id="run-1")
    own = app.client.log_event(
        PromptCallEvent(
            prompt="p", model="m", response="r", tokens_input=1, tokens_output=1, latency_ms=1,
            run_id="run-1", event_id="order-7 zoe@example.com",
        )
    )  # fmt: skip
    first, second = app.client.log_event(event), app.client.log_event(event)

    assert own == "order-7 [REDACTED_EMAIL]"
    assert [one["event_id"] for one in app.sent()] == [own, first, second]
    assert first != second


def test_an_own_id_is_kept_as_it_is_without_redaction(make_app: MakeApp) -> None:
    """With redaction off an event's id is not looked into."""
    app = make_app(redact_pii=False)

    assert app.client.log_event(ErrorEvent(error="x", event_id="a@b.co")) == "a@b.co"


def test_what_is_no_event_is_counted_not_raised(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """log_event of something else returns an id, and says that it was dropped."""
    wrong: Any = "no event"

    assert app.client.log_event(wrong)
    assert app.client.log_event(wrong)
    assert app.client.stats()["dropped"] == {"internal_error": 2}
    assert caplog.text.count("An event could not be logged") == 1
    assert app.client.flush()


def test_sampling_keeps_whole_runs_and_all_failures(make_app: MakeApp) -> None:
    """Of each run all ordinary events arrive or none; its failures always do."""
    app = make_app(sample_rate=0.3)
    for n in range(50):
        for _ in range(3):
            log_call(app.client, run_id=f"run-{n}")
        app.client.log_error(f"run-{n}", {"message": "x"})
    sent = app.sent()
    calls: dict[str, int] = {}
    for event in sent:
        if event["event_type"] == "prompt_call":
            calls[event["run_id"]] = calls.get(event["run_id"], 0) + 1
            assert event["sample_rate"] == 0.3

    assert 0 < len(calls) < 50
    assert set(calls.values()) == {3}
    assert sum(event["event_type"] == "error" for event in sent) == 50
    assert app.client.stats()["sampled_out"] == 150 - 3 * len(calls)


def test_a_disabled_client_does_nothing(make_app: MakeApp) -> None:
    """A disabled client needs no key, returns ids and sends nothing."""
    app = make_app(enabled=False, api_key=None, project_id=None)

    assert log_call(app.client)
    assert app.client.flush()
    assert app.client.close()
    assert app.client.stats()["dropped"] == {"disabled": 1}
    assert app.transport.bodies == []


def test_wrong_arguments_raise_one_error() -> None:
    """A client that cannot work is refused when it is made."""
    with pytest.raises(ConfigurationError, match=r"sample_rate=2\.0") as caught:
        WatchLLMClient(api_key="k", project_id="", sample_rate=2.0)

    assert "project_id=''" in str(caught.value)


def test_wrong_variables_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bad environment variable makes a warning, and the client works with the default."""
    monkeypatch.setenv("WATCHLLM_API_KEY", "k")
    monkeypatch.setenv("WATCHLLM_PROJECT_ID", "p")
    monkeypatch.setenv("WATCHLLM_BATCH_SIZE", "ten")
    with WatchLLMClient(transport=MemoryTransport()) as client:
        assert "batch_size=10" in repr(client)

    assert "WATCHLLM_BATCH_SIZE='ten' is ignored" in caplog.text


def test_the_context_manager_delivers(make_app: MakeApp) -> None:
    """Leaving `with` sends what was logged, after an exception too."""
    app = make_app()
    with pytest.raises(KeyError), app.client as client:  # noqa: PT012 - both belong to the case
        log_call(client)
        raise KeyError

    assert len(app.transport.events) == 1


def test_debugging_shows_each_event_and_never_the_key(
    make_app: MakeApp, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """With debug each accepted event has one line with type, id and run on stderr."""
    found = logging.getLogger("watchllm")
    handlers, level = list(found.handlers), found.level
    try:
        app = make_app(debug=True)
        event_id = log_call(app.client)
        log_call(make_app(sample_rate=0.0).client)
    finally:
        for handler in set(found.handlers) - set(handlers):
            found.removeHandler(handler)
        found.setLevel(level)
    error = capsys.readouterr().err

    assert error.count("logged ") == 1
    assert f"logged prompt_call {event_id} run=run-1\n" in error
    assert "key-of-the-test" not in error + repr(app.client) + caplog.text


def test_a_finaliser_may_log(app: App) -> None:
    """An object that logs when it is collected does no harm."""

    class Last:
        def __del__(self) -> None:
            log_call(app.client, prompt="bye")

    log_call(app.client, prompt="hello")
    last = Last()
    del last

    assert [event["prompt"] for event in app.sent()] == ["hello", "bye"]
