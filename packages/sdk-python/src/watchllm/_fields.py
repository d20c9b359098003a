"""What each field of the wire takes: any value in, a value that the contract allows out."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from watchllm._encoding import LONG_TEXT_CHARACTERS, dumps
from watchllm._enums import (
    AlertType,
    AssertionType,
    DetectionMethod,
    EventType,
    Severity,
    Status,
    StepType,
)
from watchllm._exceptions import describe_exception
from watchllm._redaction import FAILED, Walk
from watchllm._redaction._rules import SHORT
from watchllm._redaction._walk import LARGEST_INT, LONGEST_TEXT_BYTES, clip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enum import Enum
    from typing import Any, Callable, Dict

    Invalid = Dict[str, str]
    Convert = Callable[[Any, Walk, str, Invalid], Any]


MOST_TOOL_CALLS = 1_000
MOST_NOTES = 100
FEW = 50
_ONLY_TEXTS = frozenset((str,))
_OWN = ("event_id", "event_type", "project_id", "run_id", "timestamp", "env", "client")
_OURS_ALONE = frozenset((*_OWN, "sample_rate", "redactions", "invalid_fields"))


class Misfit(Exception):  # noqa: N818 - it is no error: it says what a field takes
    """Say what a field takes, when a value is not of that kind."""


def text(value: Any, walk: Walk, path: str, invalid: Invalid) -> str:
    """Return any value as text: a list of messages becomes its JSON."""
    copy = walk.value(value)
    return copy if isinstance(copy, str) else clip(dumps(copy), LONGEST_TEXT_BYTES)


def label(value: Any, walk: Walk, path: str, invalid: Invalid) -> str:
    """Return a name or an id."""
    return walk.label(value)


def filled_label(value: Any, walk: Walk, path: str, invalid: Invalid) -> str:
    """Return a name or an id that may not be empty."""
    found = walk.label(value)
    if not found:
        raise Misfit("a text that is not empty")
    return found


def whole(value: Any, walk: Walk, path: str, invalid: Invalid) -> int:
    """Return a count."""
    expected = "an integer >= 0"
    try:
        if isinstance(value, float) and value.is_integer():
            number = int(value)
        elif isinstance(value, bool):
            raise Misfit(expected)
        else:
            number = operator.index(value)
    except TypeError:
        raise Misfit(expected) from None
    if not 0 <= number <= LARGEST_INT:
        raise Misfit(expected if number < 0 else f"{expected} and below 2**63")
    return number


class Number:
    """Convert to a finite number within bounds."""

    def __init__(self, lowest: float | None, highest: float | None = None) -> None:
        self._expected = "a number"
        if lowest is not None:
            self._expected += (
                f" >= {lowest:g}" if highest is None else f" from {lowest:g} to {highest:g}"
            )
        self._lowest = -math.inf if lowest is None else lowest
        self._highest = math.inf if highest is None else highest
        self.takes_all_from_0 = self._lowest <= 0 and highest is None

    def __call__(self, value: Any, walk: Walk, path: str, invalid: Invalid) -> float | int:
        """Return the number."""
        kind = type(value)
        if kind is float or (kind is int and -LARGEST_INT <= value <= LARGEST_INT):
            found: float | int = value
        elif isinstance(value, (bool, str, bytes)):
            raise Misfit(self._expected)
        else:
            try:
                found = float(value)
            except (TypeError, ValueError, OverflowError):
                raise Misfit(self._expected) from None
        if not (math.isfinite(found) and self._lowest <= found <= self._highest):
            raise Misfit(self._expected)
        return found


class OneOf:
    """Convert to one of an enum's values; `found` has each by its member and by its text."""

    def __init__(self, enum: type[Enum]) -> None:
        self.found: dict[Any, str] = {}
        for member in enum:
            # Both: the hash of a member is another than that of its value.
            self.found[member] = self.found[str(member.value)] = str(member.value)
        self._expected = "one of " + ", ".join(str(member.value) for member in enum)

    def __call__(self, value: Any, walk: Walk, path: str, invalid: Invalid) -> str:
        """Return the value as text."""
        found = self.found.get(str.__str__(value)) if isinstance(value, str) else None
        if found is None:
            raise Misfit(self._expected)
        return found


def mapping(value: Any, walk: Walk, path: str, invalid: Invalid) -> dict[str, Any]:
    """Return an object: from a dict, a dataclass, a pydantic model."""
    copy = walk.value(value)
    if not isinstance(copy, dict):
        raise Misfit("a dict")
    return copy


def texts(value: Any, walk: Walk, path: str, invalid: Invalid) -> list[str]:
    """Return a list of texts; a single text becomes a list of one."""
    if type(value) is list and len(value) < FEW and _ONLY_TEXTS.issuperset(map(type, value)):
        if walk.known()[0].issuperset(value):
            return value.copy()
        return [walk.text(item) for item in value]
    if isinstance(value, str):
        return [walk.text(value)]
    if not isinstance(value, (list, tuple, AbstractSet)):
        raise Misfit("a list of texts")
    copies = walk.value(list(value))
    return [
        item if isinstance(item, str) else "None" if item is None else dumps(item)
        for item in copies
    ]


def anything(value: Any, walk: Walk, path: str, invalid: Invalid) -> Any:
    """Return any JSON value."""
    return walk.value(value)


def error_info(value: Any, walk: Walk, path: str, invalid: Invalid) -> dict[str, Any]:
    """Return an ErrorInfo: from an exception, a dict or a message."""
    if isinstance(value, BaseException):
        value = describe_exception(value)
    elif isinstance(value, str):
        value = {"message": value}
    elif not isinstance(value, Mapping):
        raise Misfit("an exception, or a dict with a message")
    return convert(value, _ERROR_INFO, walk, f"{path}.", invalid)


def tool_calls(value: Any, walk: Walk, path: str, invalid: Invalid) -> list[dict[str, Any]]:
    """Return a list of tool calls, each from a dict."""
    if not isinstance(value, (list, tuple)):
        raise Misfit("a list of dicts")
    calls = []
    if len(value) > MOST_TOOL_CALLS:
        invalid[path] = f"expected at most {MOST_TOOL_CALLS}, got {len(value)}"
    for index, call in enumerate(value[:MOST_TOOL_CALLS]):
        here = f"{path}[{index}]"
        if isinstance(call, Mapping):
            calls.append(convert(call, _TOOL_CALL, walk, f"{here}.", invalid))
        else:
            invalid[here] = f"expected a dict, got {walk.describe(call)}"
            calls.append(convert({}, _TOOL_CALL, walk, f"{here}.", {}))
    return calls


class Field:
    """One field: its name, its converter, and for a required one the value that means unknown.

    Numbers of the types in `numbers` from 0 to `LARGEST_INT` are taken as they are, and of
    `choices` what they lead to.
    """

    __slots__ = (
        "choices",
        "convert",
        "is_label",
        "is_text",
        "name",
        "neutral",
        "numbers",
        "required",
    )

    def __init__(self, name: str, convert: Convert, neutral: Any = None) -> None:
        self.name = name
        self.convert = convert
        self.neutral = neutral
        self.required = neutral is not None
        self.is_text = convert is text
        self.is_label = convert is label
        self.numbers: tuple[type, ...] = (int,) if convert is whole else ()
        if isinstance(convert, Number) and convert.takes_all_from_0:
            self.numbers = (int, float)
        self.choices = convert.found if isinstance(convert, OneOf) else {}


class Fields:
    """The fields of one object, by name, and those among them that it must have.

    Those in `left_out` are nobody's but ours to fill in.
    """

    __slots__ = ("by_name", "left_out", "required")

    def __init__(self, *fields: Field, left_out: frozenset[str] = frozenset()) -> None:
        self.left_out = left_out
        self.by_name = {field.name: field for field in fields}
        self.required = {field.name: field for field in fields if field.required}


def convert(
    values: Mapping[Any, Any],
    fields: Fields,
    walk: Walk,
    path: str,
    invalid: Invalid,
    long_texts: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return an object with the fields that are known, then all others that are not None.

    What does not fit is replaced by its neutral value, or left out if it is optional, and
    described in `invalid` under its path. Long texts go into `long_texts` if that is given.
    """
    out: dict[str, Any] = {}
    others: dict[Any, Any] | None = None
    by_name = fields.by_name
    known_texts, known_labels = walk.known()
    together = long_texts if walk.at_once else None
    for name, value in values.items():
        if value is None:
            continue
        field = by_name.get(name)
        if field is None:
            if name not in fields.left_out:
                others = others or {}
                others[name] = value
            continue
        # What most events are made of is taken here: a call for each field costs more than that.
        kind = type(value)
        if kind is str:
            if field.is_text:
                length = len(value)
                if length <= SHORT:
                    if value in known_texts:
                        out[name] = value
                        continue
                elif length >= LONG_TEXT_CHARACTERS and together is not None:
                    together[name] = value
                    continue
            elif field.is_label and len(value) <= SHORT and value in known_labels:
                out[name] = value
                continue
        elif kind in field.numbers:
            if 0 <= value <= LARGEST_INT:
                out[name] = value
                continue
        elif kind in _ENUMS and value in field.choices:
            out[name] = field.choices[value]
            continue
        _convert_one(field, value, walk, path, invalid, out, long_texts)
    if together and not walk.passes(together):
        for name, value in together.copy().items():
            del together[name]
            _convert_one(by_name[name], value, walk, path, invalid, out, together)
    for name, field in fields.required.items():
        if name not in out and not (long_texts and name in long_texts):
            neutral = field.neutral
            out[name] = neutral.copy() if isinstance(neutral, (dict, list)) else neutral
            invalid.setdefault(path + name, "expected a value, got None")
    if others is not None:
        if walk.skips:
            walk.enter(path)
        for key, value in walk.value(others).items():
            known = key in out or (long_texts and key in long_texts)
            out[f"{key}#2" if known else key] = value
    return out


def _convert_one(
    field: Field,
    value: Any,
    walk: Walk,
    path: str,
    invalid: Invalid,
    out: dict[str, Any],
    long_texts: dict[str, str] | None,
) -> None:
    name = field.name
    if walk.skips:
        walk.enter(path + name)
    try:
        copy = field.convert(value, walk, path + name, invalid)
        if field.is_text and long_texts is not None and len(copy) >= LONG_TEXT_CHARACTERS:
            long_texts[name] = copy
        else:
            out[name] = copy
    except Misfit as misfit:
        invalid[path + name] = f"expected {misfit}, got {walk.describe(value)}"
    except Exception as failure:
        # Fail closed: the field is lost, never sent as it was.
        invalid[path + name] = f"{FAILED} {type(failure).__name__}"


_ENUMS = frozenset((AlertType, AssertionType, DetectionMethod, Severity, Status, StepType))
_milliseconds = Number(0)
_status = Field("status", OneOf(Status), Status.SUCCESS.value)
_latency = Field("latency_ms", _milliseconds, 0)
_error = Field("error", error_info)
_severity = OneOf(Severity)

_ERROR_INFO = Fields(
    Field("message", text, ""),
    Field("type", text),
    Field("code", text),
    Field("stack", text),
    Field("context", mapping),
)
_TOOL_CALL = Fields(
    Field("tool_name", text, ""),
    Field("tool_id", text),
    Field("input", anything, {}),
    Field("output", anything, {}),
    _latency,
    _status,
    _error,
)
COMMON = (
    Field("tags", texts),
    Field("user_id", text),
    Field("release", text),
    Field("parent_event_id", label),
)
BY_TYPE: dict[str, Fields] = {
    EventType.PROMPT_CALL.value: Fields(
        *COMMON,
        Field("prompt", text, ""),
        Field("response", text, ""),
        Field("model", label, ""),
        Field("model_version", text),
        Field("tokens_input", whole, 0),
        Field("tokens_output", whole, 0),
        _latency,
        _status,
        Field("cost_estimate_usd", Number(0)),
        Field("prompt_template_id", text),
        Field("response_metadata", mapping),
        Field("tool_calls", tool_calls),
        _error,
        left_out=_OURS_ALONE,
    ),
    EventType.AGENT_STEP.value: Fields(
        *COMMON,
        Field("step_number", whole, 0),
        Field("step_name", text, ""),
        Field("step_type", OneOf(StepType), StepType.REASONING.value),
        Field("input_data", mapping, {}),
        Field("output_data", mapping, {}),
        Field("reasoning", text),
        Field("context", mapping),
        _latency,
        _status,
        _error,
        left_out=_OURS_ALONE,
    ),
    EventType.ERROR.value: Fields(
        *COMMON,
        Field("error", error_info, {"message": ""}),
        Field("context", mapping),
        Field("stack_trace", text),
        left_out=_OURS_ALONE,
    ),
    EventType.ASSERTION_FAILED.value: Fields(
        *COMMON,
        Field("assertion_name", text, ""),
        Field("assertion_type", OneOf(AssertionType), AssertionType.CUSTOM.value),
        Field("expected", anything, ""),
        Field("actual", anything, ""),
        Field("severity", _severity, Severity.MEDIUM.value),
        left_out=_OURS_ALONE,
    ),
    EventType.HALLUCINATION_DETECTED.value: Fields(
        *COMMON,
        Field("detection_method", OneOf(DetectionMethod), DetectionMethod.HEURISTIC.value),
        Field("confidence_score", Number(0, 1), 0),
        Field("flagged_content", text, ""),
        Field("ground_truth", text),
        Field("recommendations", texts, []),
        left_out=_OURS_ALONE,
    ),
    EventType.PERFORMANCE_ALERT.value: Fields(
        *COMMON,
        Field("alert_type", OneOf(AlertType), AlertType.LATENCY_SPIKE.value),
        Field("threshold", Number(None), 0),
        Field("actual_value", Number(None), 0),
        Field("window_minutes", whole, 0),
        Field("affected_models", texts, []),
        Field("severity", _severity),
        left_out=_OURS_ALONE,
    ),
}
