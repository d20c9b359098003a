"""The kinds of value that an event's fields may have, and how each is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

Status: TypeAlias = Literal["success", "error", "timeout", "assertion_failed", "warning"]
Severity: TypeAlias = Literal["low", "medium", "high", "critical"]
StepType: TypeAlias = Literal["reasoning", "tool_call", "validation", "output"]
AssertionType: TypeAlias = Literal["response_format", "content_filter", "safety_check", "custom"]
DetectionMethod: TypeAlias = Literal["heuristic", "model_ensemble", "ground_truth_verification"]
AlertType: TypeAlias = Literal["cost_spike", "latency_spike", "error_rate_spike", "token_limit"]

# The largest cost that the column Decimal(38, 12) and a sum of many such can hold with room.
MAX_COST_USD = 1_000_000_000_000
MAX_INT = 2**63 - 1
MAX_DEPTH = 200
"""Levels of lists and objects that an event may have, itself included."""


class ErrorInfo(Struct):
    """The error of a call, a step or an error event."""

    message: str
    type: str | None = None
    code: str | None = None
    stack: str | None = None
    context: dict[str, Raw] | None = None


class ToolCall(Struct):
    """One call of a tool inside a prompt call."""

    tool_name: str
    input: Raw
    output: Raw
    latency_ms: Annotated[float, Meta(ge=0)]
    status: Status
    tool_id: str | None = None
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: its decoder, and what is allowed in words."""

    decoder: msgspec.json.Decoder[Any]
    allowed: str
    nullable: bool = False
    show: bool = False
    """Whether a wrong value is quoted in the answer; free text never is."""


class FaultyFieldError(Exception):
    """A field's value is missing or of the wrong kind."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _kind(type_: Any, allowed: str, *, nullable: bool = False, show: bool = False) -> Kind:
    return Kind(msgspec.json.Decoder(type_), allowed, nullable, show)


def _choice(literal: Any) -> Kind:
    values = ", ".join(literal.__args__)
    return _kind(literal, f"one of {values}", show=True)


ANY = _kind(Raw, "any JSON value", nullable=True)
TEXT = _kind(str, "a string")
NAME = _kind(Annotated[str, Meta(min_length=1)], "a non-empty string")
TEXTS = _kind(list[str], "a list of strings")
OBJECT = _kind(dict[str, Raw], "an object")
TEXT_BY_NAME = _kind(dict[str, str], "an object of strings")
COUNT = _kind(
    Annotated[int, Meta(ge=0, le=MAX_INT)], "an integer from 0 to 9223372036854775807", show=True
)
AMOUNT = _kind(Annotated[float, Meta(ge=0)], "a number of at least 0", show=True)
COST = _kind(
    Annotated[float, Meta(ge=0, le=MAX_COST_USD)], f"a number from 0 to {MAX_COST_USD}", show=True
)
NUMBER = _kind(float, "a number", show=True)
SHARE = _kind(Annotated[float, Meta(ge=0, le=1)], "a number from 0 to 1", show=True)
WEIGHT = _kind(
    Annotated[float, Meta(gt=0, le=1)], "a number greater than 0 and at most 1", show=True
)
STATUS = _choice(Status)
SEVERITY = _choice(Severity)
STEP_TYPE = _choice(StepType)
ASSERTION_TYPE = _choice(AssertionType)
DETECTION_METHOD = _choice(DetectionMethod)
ALERT_TYPE = _choice(AlertType)
ERROR_INFO = _kind(ErrorInfo, "an object with a string `message`")
TOOL_CALLS = _kind(
    list[ToolCall], "a list of objects with tool_name, input, output, latency_ms and status"
)

_JSON_TYPES = {
    '"': "a string", "{": "an object", "[": "a list", "t": "a boolean", "f": "a boolean",
    "n": "null",
}  # fmt: skip
_SHOWN = 40


def json_type(raw: bytes) -> str:
    """Name the JSON type of a value, in words."""
    return _JSON_TYPES.get(chr(raw[0]), "a number")


def check(name: str, raw: Raw, kind: Kind) -> Any:
    """Decode a value, or raise FaultyFieldError with a sentence that says what is allowed."""
    try:
        return kind.decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        why = str(error)
        if "missing required field" in why or "at `$" in why:
            code = "missing_field" if "missing required field" in why else "invalid_field"
            message = f"`{name}` must be {kind.allowed}: {why[:1].lower()}{why[1:]}."
            raise FaultyFieldError(code, message) from None
        text = bytes(raw)
        got = "an empty string" if text == b'""' else json_type(text)
        if kind.show and len(text) <= _SHOWN:
            got = f"{got}, {text.decode()}"
        message = f"`{name}` must be {kind.allowed}, but it is {got}."
        raise FaultyFieldError("invalid_field", message) from None
