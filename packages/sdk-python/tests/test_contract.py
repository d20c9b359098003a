"""Whatever an app logs, the SDK sends events that conform to the contract."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from conftest import breaches, cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from typing import Callable

    from conftest import App

    from watchllm import WatchLLMClient

LABELS = ("run_id", "model")
METHODS = {
    "prompt_call": "log_prompt_call",
    "agent_step": "log_agent_step",
    "error": "log_error",
    "assertion_failed": "log_assertion_failed",
    "hallucination_detected": "log_hallucination_detected",
    "performance_alert": "log_performance_alert",
}


def arguments_of(method: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """Return what a log method takes of an event's fields, None for what it requires besides."""
    parameters = inspect.signature(method).parameters.values()
    required = {p.name: None for p in parameters if p.default is inspect.Parameter.empty}
    given_ = {p.name: fields[p.name] for p in parameters if p.name in fields}
    return {**required, **given_}


def log(client: WatchLLMClient, event: dict[str, Any]) -> bool:
    """Log an event of the contract through the method of its type, if there is one."""
    name = METHODS.get(event.get("event_type", ""))
    if name is None:
        return False
    method = getattr(client, name)
    method(**arguments_of(method, event))
    return True


@pytest.mark.parametrize("case", cases("accepted"))
def test_accepted_events_arrive_with_the_values_given(app: App, case: dict[str, Any]) -> None:
    """Logging the values of an accepted body sends them unchanged, and conforming."""
    logged = [event for event in case["body"]["events"] if log(app.client, event)]
    sent = app.sent() if logged else []

    assert [breaches(event) for event in sent] == [[] for _ in logged]
    for before, after in zip(logged, sent):
        taken = arguments_of(getattr(app.client, METHODS[before["event_type"]]), before)
        values = {name: value for name, value in taken.items() if value is not None}
        assert {name: after[name] for name in values} == values
        assert "invalid_fields" not in after


@pytest.mark.parametrize("case", cases("rejected"))
def test_rejected_values_are_sent_as_conforming_events(app: App, case: dict[str, Any]) -> None:
    """The values that a server refuses are described by the SDK, never sent as they are."""
    body = case.get("body")
    events = body.get("events") if isinstance(body, dict) else None
    bad = [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    logged = [event for event in bad if log(app.client, event)]

    assert app.client.flush()
    assert len(app.transport.events) == len(logged)
    assert [breaches(event) for event in app.transport.events] == [[] for _ in logged]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.builds(object) | st.builds(ValueError, st.text()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize("method", sorted(METHODS.values()))
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_anything_may_be_passed_to_a_log_method(
    make_app: Callable[..., App], method: str, data: st.DataObject
) -> None:
    """No argument raises, and the event that is sent conforms, with its id returned."""
    app = make_app()
    log_method = getattr(app.client, method)
    names = list(inspect.signature(log_method).parameters)
    event_id = log_method(**{name: data.draw(anything) for name in names})
    app.client.close()

    (event,) = app.transport.events
    assert event["event_id"] == event_id
    assert breaches(event) == []
    assert app.client.stats()["dropped"] == {}


@pytest.mark.parametrize("method", sorted(METHODS.values()))
def test_a_planted_address_or_card_leaves_through_no_argument(app: App, method: str) -> None:
    """Personal data in any argument of any method is on no wire.

    Names and ids (run_id, model) hold digits by nature: there a card is one only as a whole.
    """
    address, card = "zoe.planted@example.com", "4111 1111 1111 1111"
    log_method = getattr(app.client, method)
    names = inspect.signature(log_method).parameters
    kinds: list[Callable[[str], Any]] = [
        str,
        lambda text: {text: [text], "b": text.encode()},
        lambda text: [text, {text: text}],
        ValueError,
        lambda text: {text},
    ]
    for kind in kinds:
        both = {name: kind(f"{address} {card}") for name in names}
        log_method(**{**both, **{name: kind(address) for name in names if name in LABELS}})

    assert app.client.flush()
    wire = b"".join(app.transport.bodies).decode()
    assert "zoe.planted" not in wire
    assert "4111 1111" not in wire  # four such digits stand in a time or an id by chance
    assert len(app.transport.events) == len(kinds)
