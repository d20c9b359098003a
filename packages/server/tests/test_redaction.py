"""What a project's setting replaces in rows, and what it leaves as it was."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from conftest import CONTRACT, prompt_call
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from watchllm import RedactionConfig
from watchllm_server.calls import read_call
from watchllm_server.errors import MetadataError
from watchllm_server.events import read_event
from watchllm_server.redaction import FAILED, Redaction, redaction_of, stored_setting

if TYPE_CHECKING:
    from watchllm_server.rows import Row

ADDRESS = "jane.doe@example.com"
CARD = "4111 1111 1111 1111"
CARD_NUMBER = 5_555_555_555_554_444
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
EXAMPLES = [
    event
    for path in sorted((CONTRACT / "accepted").glob("*.json"))
    for event in json.loads(path.read_text()).get("body", {}).get("events", [])
]


def row(event: dict[str, Any] | str) -> Row:
    """Return the row of an event of project p."""
    text = event if isinstance(event, str) else json.dumps({**event, "project_id": "p"})
    return read_event(Raw(text.encode()), "p")


def redacted(event: dict[str, Any] | str, setting: str = "on") -> dict[str, Any]:
    """Return the fields of an event's row, columns and others, after redaction."""
    redaction = redaction_of(setting)
    assert redaction is not None
    return fields(redaction.row(row(event)))


def fields(one: Row) -> dict[str, Any]:
    """Return the fields of a row as the store gets them."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(one.columns))
    return {**found, **json.loads(found.pop("attributes", "{}"))}


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (None, None), ("off", "off"), (" ON ", "on"), ("email", "EMAIL"),
        ("cc, EMAIL,cc", "CC,EMAIL"), ("credit_card", "CC"),
        ("EMAIL,CC,PHONE,SSN,IBAN,IP,SECRET", "EMAIL,CC,PHONE,SSN,IBAN,IP,SECRET"),
    ],
)  # fmt: skip
def test_a_setting_is_kept_in_one_spelling(given_: str | None, kept: str | None) -> None:
    """Case, spaces, repeats and other names of a kind make no difference."""
    assert stored_setting(given_) == kept


@pytest.mark.parametrize("wrong", ["", ",", "yes", "EMAIL,NAME", "on,EMAIL", "*"])
def test_a_setting_that_is_none_is_refused(wrong: str) -> None:
    """The sentence names what there is, and nothing falls back to no redaction."""
    with pytest.raises(MetadataError, match="off, on, or kinds among EMAIL"):
        stored_setting(wrong)


@pytest.mark.parametrize(
    ("setting", "agent", "acts"),
    [
        (None, "watchllm-python/0.2.0", False), (None, "python-requests/2", True),
        (None, None, True), (None, "x watchllm-python/0.2.0", True),
        ("on", "watchllm-python/0.2.0", True), ("SSN", "watchllm-python/0.2.0", True),
        ("off", "curl/8", False), ("off", None, False),
    ],
)  # fmt: skip
def test_only_without_a_setting_it_matters_who_sends(
    setting: str | None, agent: str | None, *, acts: bool
) -> None:
    """A setting counts for every sender; without one the SDK's own events are left alone."""
    assert (redaction_of(setting, agent) is not None) is acts


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event["event_type"])
def test_nothing_that_is_planted_in_any_text_is_left(event: dict[str, Any]) -> None:
    """In every event of the contract each text, key and own field is looked at, and counted."""

    def planted(value: Any) -> Any:
        if isinstance(value, dict):
            return {f"{name} {ADDRESS}": planted(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [planted(inner) for inner in value]
        return f"{value} {ADDRESS}, {CARD}." if isinstance(value, str) else value

    same = {"event_id", "event_type", "timestamp", "project_id", "redactions", "tool_calls"}
    same |= {"status", "step_type", "assertion_type", "severity", "detection_method", "alert_type"}
    full = {
        name: value if name in same else planted(value)
        for name, value in event.items()
        if name not in {"invalid_fields", "error"}
    }
    full |= {f"own {ADDRESS}": [{"deep": [ADDRESS, CARD, CARD_NUMBER]}], "run_id": ADDRESS}
    full |= {"tags": [ADDRESS, "a tag"], "env": CARD, "error": {"message": ADDRESS, "stack": CARD}}
    if "model" in full:
        full["model"] = f"model of {ADDRESS}"

    found = redacted(full)

    text = json.dumps(found)
    assert ADDRESS not in text
    assert CARD not in text
    assert str(CARD_NUMBER) not in text
    assert found["run_id"] == "[REDACTED_EMAIL]"
    assert found["tags"] == ["[REDACTED_EMAIL]", "a tag"]
    assert found["redactions"]["email"] >= 4
    assert found["redactions"]["credit_card"] >= 2


@given(VALUES, TEXTS)
def test_a_second_pass_changes_nothing(value: Any, text: str) -> None:
    """Whatever is logged, all that is to be found is found at once and counted once."""
    event = prompt_call(prompt=text, response="", response_metadata={"a": value}, own=value)
    once = redaction_of("on")
    assert once is not None
    first = once.row(row(event))
    before = msgspec.json.encode(first)

    again = once.row(first)

    assert msgspec.json.encode(again) == before


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event["event_type"])
def test_the_contract_holds_nothing_personal_and_stays_as_it_is(event: dict[str, Any]) -> None:
    """Not a byte of an event without findings changes, numbers and spaces included."""
    text = json.dumps({**event, "project_id": "p", "own": [1, 2.50, 10**30]}, indent=1)
    redaction = redaction_of("on")
    assert redaction is not None

    assert msgspec.json.encode(redaction.row(row(text))) == msgspec.json.encode(row(text))


def test_both_ways_of_reading_are_redacted_alike() -> None:
    """A prompt call of the short way becomes the same row as one of the long way."""
    event = prompt_call(prompt=f"to {ADDRESS}", response_metadata={"card": CARD}, user_id=ADDRESS)
    raw = Raw(json.dumps(event).encode())
    short, redaction = read_call(raw, "p"), redaction_of("on")
    assert short is not None
    assert redaction is not None

    of_short, of_long = fields(redaction.row(short)), redacted(event)
    assert of_short.pop("ts") in of_long.pop("ts")
    assert of_short == of_long
    assert ADDRESS not in str(of_short)


def test_only_the_kinds_of_the_setting_are_replaced() -> None:
    """A list of kinds looks for these and no others; a password goes by its name, always."""
    event = prompt_call(prompt=f"{ADDRESS} {CARD} 078-05-1120 10.1.2.3", own={"password": "x"})

    found = redacted(event, "SSN,IP")

    assert found["prompt"] == f"{ADDRESS} {CARD} [REDACTED_SSN] [REDACTED_IP]"
    assert found["own"] == {"password": "[REDACTED_FIELD]"}
    assert found["redactions"] == {"ssn": 1, "ip": 1, "field": 1}


def test_counts_are_added_to_those_of_the_sender() -> None:
    """What the sender has counted stays, and its placeholders are not counted again."""
    event = prompt_call(
        prompt=f"[REDACTED_EMAIL] [REDACTED_EMAIL:abcdefabcdef] and {ADDRESS} and {CARD}",
        redactions={"email": 1, "name": 3, "credit_card": "two"},
    )

    assert redacted(event)["redactions"] == {"email": 2, "name": 3, "credit_card": 1}


def test_an_event_whose_id_is_an_address_is_still_known_by_one_id() -> None:
    """The id becomes a UUID, the same each time and for what names it as its parent."""
    events = [
        prompt_call(event_id=ADDRESS), prompt_call(event_id=ADDRESS),
        prompt_call(event_id=f"{ADDRESS}-2"), prompt_call(parent_event_id=ADDRESS),
    ]  # fmt: skip
    redaction = redaction_of("on")
    assert redaction is not None
    rows = [redaction.row(row(event)) for event in events]

    one, again, other, child = [each.event_id for each in rows]
    assert one == again == fields(rows[0])["event_id"] == fields(rows[3])["parent_event_id"]
    assert len({one, other, child}) == 3
    assert uuid.UUID(one)
    assert fields(rows[0])["redactions"] == {"email": 1}


def test_ids_that_are_long_numbers_stay_ids() -> None:
    """Digits in an id are no card, unless the whole of a run's or a model's name is one."""
    number = CARD.replace(" ", "")
    found = redacted(prompt_call(event_id=number, run_id=f"run-{number}", model=f"m/{number}"))
    whole = redacted(prompt_call(run_id=number))

    assert (found["event_id"], found["run_id"], found["model"]) == (
        number, f"run-{number}", f"m/{number}",
    )  # fmt: skip
    assert whole["run_id"] == "[REDACTED_CC]"


def test_numbers_that_are_measured_stay_numbers() -> None:
    """A count, a latency or a cost is no card, whatever its digits."""
    event = prompt_call(
        tokens_input=CARD_NUMBER, latency_ms=CARD_NUMBER, own=CARD_NUMBER, prompt=ADDRESS
    )

    found = redacted(event)

    assert (found["tokens_input"], found["latency_ms"]) == (CARD_NUMBER, CARD_NUMBER)
    assert found["own"] == "[REDACTED_CC]"


def test_fields_of_one_name_after_redaction_are_all_kept() -> None:
    """Two keys that become the same placeholder are numbered."""
    found = redacted(prompt_call(**{"a@example.com": 1, "b@example.com": 2}))

    assert (found["[REDACTED_EMAIL]"], found["[REDACTED_EMAIL]#2"]) == (1, 2)


def test_a_field_that_cannot_be_looked_at_is_lost_alone() -> None:
    """A number that cannot be read costs its field, which is counted; the others are stored."""
    text = json.dumps(prompt_call(own=f"to {ADDRESS}", response_metadata={"a": 1}))
    huge = text.replace('{"a": 1}', '{"a": %s}' % ("1" * 5_000))

    found = redacted(huge)

    assert found["response_metadata"] == FAILED
    assert found["own"] == "to [REDACTED_EMAIL]"
    assert found["redactions"] == {"failed": 1, "email": 1}


def test_a_detector_that_raises_costs_the_text_and_nothing_leaks() -> None:
    """Every text becomes a placeholder when the look at it fails; the event is stored."""

    def broken(text: str) -> str:
        raise ZeroDivisionError(text)

    redaction = Redaction(RedactionConfig(callables=[broken]))

    found = fields(redaction.row(row(prompt_call(prompt="a", tags=["b"], own={"c": "d"}))))

    assert (found["prompt"], found["tags"], found["model"]) == (FAILED, [FAILED], FAILED)
    assert "d" not in json.dumps(found["own" if "own" in found else FAILED])
    assert found["redactions"]["failed"] >= 4
