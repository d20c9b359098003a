"""An event is sampled, completed, redacted and encoded on its way to the spool."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

import pytest
from conftest import breaches, log_call
from hypothesis import given
from hypothesis import strategies as st

from watchllm import (
    ErrorEvent,
    PerformanceAlertEvent,
    PromptCallEvent,
    RedactionConfig,
    Status,
    StepType,
)
from watchllm._config import load
from watchllm._encoding import Encoder
from watchllm._pipeline import Pipeline
from watchllm._redaction import Walk, rules_of
from watchllm.testing import ManualClock

if TYPE_CHECKING:
    from typing import Callable

    from conftest import App

NOW = "2025-11-24T16:00:00.000000Z"


def processed(event: Any, **options: Any) -> dict[str, Any] | None:
    """Return an event as it would be sent, None if it would not."""
    config, _ = load({"api_key": "k", "project_id": "p", **options}, {})
    pipeline = Pipeline(config, Encoder())
    encoded = pipeline.process(
        event.event_type.value, event.to_wire(), "id-1", ManualClock().time_ns()
    )
    if encoded is None:
        return None
    record, redactions = encoded
    wire: dict[str, Any] = json.loads(pipeline.unpack(record))
    assert breaches(wire) == []
    assert wire["event_id"] == "id-1"
    assert redactions == wire.get("redactions", {})
    return wire


def call(**fields: Any) -> PromptCallEvent:
    """Return a prompt call."""
    return PromptCallEvent(
        **{
            "prompt": "p",
            "model": "m",
            "response": "r",
            "tokens_input": 1,
            "tokens_output": 2,
            "latency_ms": 3,
            "run_id": "run-1",
            **fields,
        }
    )


def test_an_event_is_completed() -> None:
    """Project, environment, time, sender and an empty list of tags are filled in."""
    wire = processed(call(), environment="staging", release="1.2")

    assert wire is not None
    assert wire["event_id"] == "id-1"
    assert (wire["project_id"], wire["env"], wire["release"]) == ("p", "staging", "1.2")
    assert (wire["timestamp"], wire["tags"]) == (NOW, [])
    assert set(wire["client"]) == {"sdk_version", "platform", "hostname"}
    assert {"sample_rate", "redactions", "invalid_fields", "user_id", "error"}.isdisjoint(wire)


def test_what_an_event_says_itself_wins() -> None:
    """Its own environment, release and time are kept; the SDK's own fields are not for it."""
    wire = processed(
        call(env="canary", release="9", timestamp="2026-01-02T03:04:05.6Z", project_id="other",
             client={"x": 1}, sample_rate=0.5, redactions={"email": 9}),
        release="1.2",
    )  # fmt: skip

    assert wire is not None
    assert (wire["env"], wire["release"]) == ("canary", "9")
    assert wire["timestamp"] == "2026-01-02T03:04:05.600Z"
    assert wire["project_id"] == "p"
    assert "x" not in wire["client"]
    assert "sample_rate" not in wire
    assert "redactions" not in wire


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2026-11-24T09:30:00Z", "2026-11-24T09:30:00.000Z"),
        ("2026-11-24T11:30:00.5+02:00", "2026-11-24T09:30:00.500Z"),
        ("2026-11-24T09:30:00.123456789Z", "2026-11-24T09:30:00.123456789Z"),
        (
            datetime.datetime(2026, 11, 24, 9, 30, tzinfo=datetime.timezone.utc),
            "2026-11-24T09:30:00.000000Z",
        ),
        (
            datetime.datetime(
                2026, 11, 24, 9, 30, 0, 7,
                tzinfo=datetime.timezone(datetime.timedelta(hours=-1)),
            ),
            "2026-11-24T10:30:00.000007Z",
        ),
    ],
)  # fmt: skip
def test_a_moment_is_sent_in_utc(given: object, sent: str) -> None:
    """A text or a datetime with an offset is converted; its digits are kept."""
    wire = processed(call(timestamp=given))

    assert wire is not None
    assert wire["timestamp"] == sent
    assert "invalid_fields" not in wire


@pytest.mark.parametrize(
    "given",
    [
        "yesterday",
        "2026-02-30T00:00:00Z",
        "2026-11-24T09:30:00",
        "9999-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        1764000000.5,
        datetime.datetime(2026, 11, 24),  # noqa: DTZ001 - without a time zone on purpose
        datetime.date(2026, 11, 24),
    ],
)
def test_an_unusable_moment_gives_way_to_now(given: object) -> None:
    """A time that nobody can place is described, and the time of logging is sent."""
    wire = processed(call(timestamp=given))

    assert wire is not None
    assert wire["timestamp"] == NOW
    assert "RFC 3339" in wire["invalid_fields"]["timestamp"]


@pytest.mark.parametrize("run_id", [None, ""])
def test_an_event_without_run_is_a_run_of_its_own(run_id: str | None) -> None:
    """The event's id stands for the missing run id, and that is said; sampling goes by it too."""
    wire = processed(call(run_id=run_id))

    assert wire is not None
    assert wire["run_id"] == "id-1"
    assert wire["invalid_fields"]["run_id"].startswith("expected a text that is not empty, got ")
    assert processed(call(run_id=run_id), sample_rate=1e-9) is None


def test_sampled_events_carry_their_rate_and_failures_none() -> None:
    """A kept event says what share it stands for; one that is always kept stands for itself."""
    kept = processed(call(run_id="run-2"), sample_rate=0.5)
    dropped = processed(call(run_id="run-1"), sample_rate=0.5)
    number = processed(call(run_id=7), sample_rate=0.99)
    failure = processed(ErrorEvent(error="x", run_id="run-1"), sample_rate=0.5)

    assert kept is not None
    assert kept["sample_rate"] == 0.5
    assert dropped is None
    assert number is not None
    assert failure is not None
    assert "sample_rate" not in failure


def test_findings_are_counted_on_the_event_unless_redaction_is_off() -> None:
    """Findings of the whole event are summed by kind; without redaction nothing is replaced."""
    event = call(
        prompt="a@b.co 4111 1111 1111 1111", user_id="c@d.co", tags=["e@f.co"], run_id="g@h.co/1"
    )
    wire = processed(event)
    plain = processed(event, redact_pii=False)

    assert wire is not None
    assert plain is not None
    assert wire["redactions"] == {"email": 4, "credit_card": 1}
    assert wire["run_id"] == "[REDACTED_EMAIL]/1"
    assert plain["prompt"] == "a@b.co 4111 1111 1111 1111"
    assert "redactions" not in plain


def test_descriptions_of_misfits_are_bounded() -> None:
    """An event with thousands of misfits describes the first hundred."""
    wire = processed(call(tool_calls=["x"] * 1_000))

    assert wire is not None
    assert len(wire["invalid_fields"]) == 100


def test_an_empty_environment_of_an_event_is_the_clients() -> None:
    """An event cannot take its environment away."""
    wire = processed(
        PerformanceAlertEvent(
            alert_type="cost_spike", threshold=1, actual_value=2, window_minutes=3, env="",
            run_id="r",
        )
    )  # fmt: skip

    assert wire is not None
    assert wire["env"] == "development"


def test_a_timestamp_of_none_is_the_moment_of_logging() -> None:
    """What gives no moment is stamped like any other event."""
    config, _ = load({"api_key": "k", "project_id": "p"}, {})
    pipeline = Pipeline(config, Encoder())
    encoded = pipeline.process(
        "error", {"error": "x", "run_id": "r", "timestamp": None}, "id-1", ManualClock().time_ns()
    )
    assert encoded is not None

    assert json.loads(pipeline.unpack(encoded[0]))["timestamp"] == NOW


class Odd(str):
    """A text of a kind of its own."""

    __slots__ = ()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"status": Status.ERROR, "error": "it broke"},
        {"tags": ["a", "b"], "response_metadata": {"finish_reason": "stop", "n": 3, "x": None}},
        {"tool_calls": [{"name": "t", "input": {"deep": [1]}}]},
        {"prompt": Odd("odd"), "latency_ms": "not a number"},
        {"run_id": None, "error": ValueError("raised")},
        {"prompt": "long " * 200, "response": None},
        {"response_metadata": {"t": (1, 2), "s": {3}, "b": b"bytes", "c": 1j, "n": float("nan")}},
        {"response_metadata": {"deep": [[[[{"k": ...}]]]], "big": 2**70, "a": bytearray(b"x")}},
    ],
)
def test_memory_without_redaction_postpones_the_work_and_changes_nothing(
    changes: dict[str, Any],
) -> None:
    """The event is the same, whether it is made of it when it is logged or when it is sent."""
    values = {"run_id": "r", "prompt": "p", "model": "m", "response": "x", "tokens_input": 1}
    values.update({"tokens_output": 2, "latency_ms": 3, "status": Status.SUCCESS, **changes})
    events = []
    for durability in ("memory", "disk"):
        config, _ = load(
            {"api_key": "k", "project_id": "p", "redact_pii": False, "durability": durability}, {}
        )
        pipeline = Pipeline(config, Encoder())
        encoded = pipeline.process("prompt_call", dict(values), "id-1", ManualClock().time_ns())
        assert encoded is not None
        events.append(json.loads(pipeline.unpack(encoded[0])))

    assert events[0]["event_id"] == "id-1"
    assert events[0] == events[1]
    assert events[0]["model"] == "m"


def test_a_postponed_event_is_a_snapshot(make_app: Callable[..., App]) -> None:
    """What the app does to its own lists and dicts after logging changes no event."""
    app = make_app(durability="memory", redact_pii=False, clock=ManualClock())
    tags = ["a"]
    metadata = {"k": 1}
    log_call(app.client, tags=tags, response_metadata=metadata)
    tags.append("b")
    metadata["k"] = 2

    event = app.sent_one()
    assert (event["tags"], event["response_metadata"]) == (["a"], {"k": 1})


@pytest.mark.parametrize("options", [{}, {"redact_pii": RedactionConfig(kinds=["EMAIL", "IBAN"])}])
@given(
    texts=st.lists(
        st.one_of(
            st.text(min_size=150, max_size=300),
            st.sampled_from(
                [
                    "clean " * 60,
                    "é" * 250,
                    f"{'x ' * 120}write to ada@example.com",
                    f"4111 1111 1111 1111{' y' * 120}",
                    f"{'z' * 220}4111 1111",
                    f"1111 1111{'z' * 220}",
                    f"{'z ' * 120}ada@",
                    f"example.com{' z' * 120}",
                ]
            ),
        ),
        min_size=2,
        max_size=2,
    )
)
def test_one_look_at_all_texts_finds_what_a_look_at_each_does(
    options: dict[str, Any], texts: list[str]
) -> None:
    """The long texts of an event are redacted as if each were alone."""
    rules = rules_of(options.get("redact_pii", True))
    rules.load()
    alone = [Walk(rules).text(text) for text in texts]
    wire = processed(call(prompt=texts[0], response=texts[1]), **options)
    assert wire is not None

    assert [wire["prompt"], wire["response"]] == alone


def test_a_run_without_a_name_is_none_even_if_an_empty_label_is_known() -> None:
    """What was learned of other fields lets no empty run id through."""
    assert processed(call(model="")) is not None
    wire = processed(call(run_id=""))

    assert wire is not None
    assert wire["run_id"] == "id-1"
    assert "run_id" in wire["invalid_fields"]


def test_a_member_of_another_enum_is_none_of_the_choices() -> None:
    """A step type is no status, whichever enum of ours it is from."""
    wire = processed(call(status=StepType.OUTPUT))

    assert wire is not None
    assert wire["status"] == "success"
    assert "status" in wire["invalid_fields"]


def test_an_id_of_any_characters_is_sent_as_it_is(make_app: Callable[..., App]) -> None:
    """Quotes, backslashes and controls in an event's own id do not break its JSON."""
    app = make_app()
    event_id = 'a"b\\c\td\u2028'
    app.client.log_event(call(event_id=event_id))
    assert app.client.flush()

    assert [event["event_id"] for event in app.transport.events] == [event_id]
