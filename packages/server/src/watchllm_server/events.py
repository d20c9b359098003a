"""One event as it arrives: what is required of it, and the row that it becomes.

The values of an event are never taken apart further than their check needs: what the sender wrote
is kept as it was written, so that it comes back exactly (numbers beyond 64-bit floats too).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

from watchllm_server import fields
from watchllm_server.fields import FaultyFieldError, Kind, check
from watchllm_server.jsontext import unescape
from watchllm_server.rows import Call, Columns, Row

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_ENV: Final = "development"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END: Final = datetime(2262, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
# Up to so many digits a decimal number survives the way through a 64-bit float and back.
EXACT_DIGITS = 15

_REQUIRED: Final[Mapping[str, Kind]] = {
    "event_id": fields.NAME,
    "event_type": fields.NAME,
    "run_id": fields.NAME,
}
COMMON: Final[Mapping[str, Kind]] = {
    "env": fields.TEXT,
    "tags": fields.TEXTS,
    "user_id": fields.TEXT,
    "release": fields.TEXT,
    "client": fields.OBJECT,
    "sample_rate": fields.WEIGHT,
    "redactions": fields.OBJECT,
    "invalid_fields": fields.TEXT_BY_NAME,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of one event type beyond those of every event."""

    required: Mapping[str, Kind]
    optional: Mapping[str, Kind]


SHAPES: Final[Mapping[str, Shape]] = {
    "prompt_call": Shape(
        required={
            "prompt": fields.TEXT,
            "response": fields.TEXT,
            "model": fields.TEXT,
            "tokens_input": fields.COUNT,
            "tokens_output": fields.COUNT,
            "latency_ms": fields.AMOUNT,
            "status": fields.STATUS,
        },
        optional={
            "model_version": fields.TEXT,
            "cost_estimate_usd": fields.COST,
            "prompt_template_id": fields.TEXT,
            "response_metadata": fields.OBJECT,
            "tool_calls": fields.TOOL_CALLS,
            "error": fields.ERROR_INFO,
        },
    ),
    "agent_step": Shape(
        required={
            "step_number": fields.COUNT,
            "step_name": fields.TEXT,
            "step_type": fields.STEP_TYPE,
            "input_data": fields.OBJECT,
            "output_data": fields.OBJECT,
            "latency_ms": fields.AMOUNT,
            "status": fields.STATUS,
        },
        optional={
            "reasoning": fields.TEXT,
            "context": fields.OBJECT,
            "error": fields.ERROR_INFO,
        },
    ),
    "error": Shape(
        required={"error": fields.ERROR_INFO},
        optional={"context": fields.OBJECT, "stack_trace": fields.TEXT},
    ),
    "assertion_failed": Shape(
        required={
            "assertion_name": fields.TEXT,
            "assertion_type": fields.ASSERTION_TYPE,
            "expected": fields.ANY,
            "actual": fields.ANY,
            "severity": fields.SEVERITY,
        },
        optional={},
    ),
    "hallucination_detected": Shape(
        required={
            "detection_method": fields.DETECTION_METHOD,
            "confidence_score": fields.SHARE,
            "flagged_content": fields.TEXT,
            "recommendations": fields.TEXTS,
        },
        optional={"ground_truth": fields.TEXT},
    ),
    "performance_alert": Shape(
        required={
            "alert_type": fields.ALERT_TYPE,
            "threshold": fields.NUMBER,
            "actual_value": fields.NUMBER,
            "window_minutes": fields.COUNT,
            "affected_models": fields.TEXTS,
        },
        optional={"severity": fields.SEVERITY},
    ),
}
_UNKNOWN_TYPE = Shape(required={}, optional={})

# The fields of a type that have a column of their own, in which they are kept.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt_call": (
        "prompt", "response", "model", "status", "latency_ms", "tokens_input", "tokens_output",
    ),
    "agent_step": ("status", "latency_ms"),
}  # fmt: skip
# What a sender names in invalid_fields is unknown here; other fields keep what they came with.
_MAY_BE_UNKNOWN = frozenset(
    {"status", "latency_ms", "tokens_input", "tokens_output", "cost_estimate_usd"}
)


class FaultyEventError(Exception):
    """One event of a batch is refused."""

    def __init__(self, code: str, message: str, event_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.event_id = event_id


def parse_timestamp(text: str) -> datetime:
    """Return an RFC 3339 time as UTC; raise ValueError with a sentence when it is none.

    Digits beyond microseconds are cut.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError("must be RFC 3339 with an offset, as in 2026-11-24T09:30:00.123Z")
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("names a day or a time that does not exist") from None
    if not EPOCH <= moment < _END:
        raise ValueError("must lie in the years 1970 to 2261")
    return moment


def micros(moment: datetime) -> int:
    """Return the microseconds from 1970 to a moment."""
    return (moment - EPOCH) // _MICROSECOND


_as_mapping = msgspec.json.Decoder(dict[str, Raw]).decode
# Values are compared with it where they lie: a copy of a long text only to see that it is not null
# would cost as much as to decode it.
_NULL: Final = Raw(b"null")
_as_text = msgspec.json.Decoder(str).decode


def read_event(raw: Raw, project_id: str) -> Row:
    """Check one event and return its row; raise FaultyEventError when it is refused.

    The project is the key's: an event that names none belongs to it.
    """
    try:
        event = _as_mapping(raw)
    except msgspec.DecodeError:
        got = fields.json_type(bytes(raw))
        message = f"An event must be an object, but this is {got}."
        raise FaultyEventError("invalid_event", message) from None
    event_id = _readable_id(event)
    try:
        return _read(event, project_id)
    except FaultyFieldError as fault:
        raise FaultyEventError(fault.code, fault.message, event_id) from None


def _readable_id(event: Mapping[str, Raw]) -> str | None:
    try:
        return _as_text(event["event_id"]) or None
    except (KeyError, msgspec.DecodeError):
        return None


def _read(event: dict[str, Raw], project_id: str) -> Row:
    named = event.pop("project_id", None)
    if named is not None and named != _NULL:
        owner = check("project_id", named, fields.TEXT)
        if owner != project_id:
            message = f"The event belongs to project {owner!r}, and the key to {project_id!r}."
            raise FaultyFieldError("wrong_project", message)
    values = _check_required(event, _REQUIRED)
    event_type: str = values["event_type"]
    shape = SHAPES.get(event_type, _UNKNOWN_TYPE)
    for name in [name for name, raw in event.items() if raw == _NULL]:
        kind = COMMON.get(name) or shape.required.get(name) or shape.optional.get(name)
        if kind is None or not kind.nullable:
            del event[name]
    ts = _check_timestamp(event)
    values |= _check_common(event)
    unknown = _MAY_BE_UNKNOWN.intersection(values.get("invalid_fields", ()))
    for name in unknown:
        event.pop(name, None)
    values |= _check_required(
        event, {name: kind for name, kind in shape.required.items() if name not in unknown}
    )
    values |= {
        name: check(name, event[name], kind)
        for name, kind in shape.optional.items()
        if name in event
    }
    call = _call(event, values, ts) if event_type == "prompt_call" else None
    return Row(
        project_id=project_id,
        event_id=values["event_id"],
        ts=ts,
        columns=_columns(event, values, project_id, ts),
        call=call,
    )


def _check_required(event: Mapping[str, Raw], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    values = {}
    for name, kind in kinds.items():
        raw = event.get(name)
        if raw is None or (raw == _NULL and not kind.nullable):
            message = f"`{name}` is missing: it must be {kind.allowed}."
            raise FaultyFieldError("missing_field", message)
        values[name] = check(name, raw, kind)
    return values


def _check_common(event: Mapping[str, Raw]) -> dict[str, Any]:
    return {name: check(name, event[name], kind) for name, kind in COMMON.items() if name in event}


def _check_timestamp(event: Mapping[str, Raw]) -> datetime:
    raw = event.get("timestamp")
    if raw is None:
        message = "`timestamp` is missing: it must be RFC 3339, as in 2026-11-24T09:30:00.123Z."
        raise FaultyFieldError("missing_field", message)
    try:
        return parse_timestamp(check("timestamp", raw, fields.TEXT))
    except ValueError as error:
        raise FaultyFieldError("invalid_timestamp", f"`timestamp` {error}.") from None
    except FaultyFieldError:
        got = fields.json_type(bytes(raw))
        message = f"`timestamp` must be RFC 3339 with an offset, but it is {got}."
        raise FaultyFieldError("invalid_timestamp", message) from None


def _call(event: Mapping[str, Raw], values: Mapping[str, Any], ts: datetime) -> Call:
    def text(name: str) -> bytes | None:
        return bytes(event[name]) if name in event else None

    return Call(
        model=values["model"],
        at=ts,
        tokens_input=values.get("tokens_input"),
        tokens_output=values.get("tokens_output"),
        response_metadata=text("response_metadata"),
        cost_estimate_usd=text("cost_estimate_usd"),
    )


def _columns(
    event: dict[str, Raw], values: Mapping[str, Any], project_id: str, ts: datetime
) -> Columns:
    """Share the fields out between columns and `attributes`, the JSON text of all that remains."""
    rest = dict(event)
    rest.pop("timestamp")
    own = ("event_id", "event_type", "run_id", *COLUMNS.get(values["event_type"], ()))
    found: dict[str, Any] = {
        name: rest.pop(name)
        for name in (*own, "env", "tags", "user_id", "release")
        if name in values
    }
    # An empty text in a column means that the field is absent: one that was sent stays visible.
    for name in ("user_id", "release", "env"):
        if values.get(name) == "":
            rest[name] = event[name]
    if "latency_ms" in found and len(bytes(found["latency_ms"])) > EXACT_DIGITS:
        rest["latency_ms"] = event["latency_ms"]
    if "sample_rate" in values:
        found["sample_rate"] = event["sample_rate"]
    found.setdefault("env", DEFAULT_ENV)
    if rest:
        found["attributes"] = unescape(msgspec.json.encode(rest)).decode()
    return Columns(project_id=project_id, ts=ts.replace(tzinfo=None).isoformat(sep=" "), **found)
