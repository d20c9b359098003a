"""From a stored event to what its card on the page of a run shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from watchllm_server.pages import format as show

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from msgspec import Raw

    from watchllm_server.query.events import Event

_TONES = {"success": "success", "error": "error", "timeout": "error"}
_TYPE_TONES = {
    "error": "error",
    "assertion_failed": "warning",
    "hallucination_detected": "warning",
    "performance_alert": "warning",
}
_FACTS = ("step_type", "severity", "confidence_score", "threshold", "actual_value")
_FOLDED = {"client", "redactions", "response_metadata", "tool_calls", "sample_rate", "context"}
_MIN_BAR = 0.4


@dataclass(frozen=True, slots=True)
class Section:
    """A part of an event: a label and its text, open or folded."""

    label: str
    text: str
    folded: bool = False
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in an event."""

    kind: str
    message: str
    stack: str = ""


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of a run, in words that a person reads."""

    anchor: str
    kind: str
    """The event type, with blanks: `prompt call`."""
    title: str
    tone: str
    """success, warning, error or neutral: the colour of its mark."""
    time: str
    after: str
    """The time since the run's first event."""
    facts: list[tuple[str, str]]
    """Short facts by name: model, tokens, cost, latency."""
    tags: list[str]
    failure: Failure | None
    sections: list[Section]
    bar_start: float
    """Where its bar begins in the run's stretch of time, in percent."""
    bar_width: float


def event_views(events: Iterable[Event], start: datetime) -> tuple[list[EventView], timedelta]:
    """Return the cards of events, and the stretch of time that their bars lie in.

    An event is logged when its work has ended, so its bar ends at its timestamp.
    """
    listed = list(events)
    begin = min([_began(event) for event in listed], default=start)
    end = max([event.ts for event in listed], default=start)
    span = max(end - begin, timedelta(milliseconds=1))
    return [_view(event, number, begin, span) for number, event in enumerate(listed)], span


def _began(event: Event) -> datetime:
    try:
        return event.ts - timedelta(milliseconds=event.latency_ms or 0)
    except OverflowError:
        return event.ts


def _view(event: Event, number: int, begin: datetime, span: timedelta) -> EventView:
    other = _Fields(event.attributes)
    width = max(100 * (event.ts - _began(event)) / span, _MIN_BAR)
    start = min(100 * (_began(event) - begin) / span, 100 - _MIN_BAR)
    return EventView(
        anchor=f"event-{number}",
        kind=show.words(event.event_type),
        title=_title(event, other),
        tone=_TYPE_TONES.get(event.event_type) or _TONES.get(event.status, "neutral"),
        time=show.clock_time(event.ts),
        after=f"+{show.milliseconds((event.ts - begin) / timedelta(milliseconds=1))}",
        facts=_facts(event, other),
        tags=event.tags,
        failure=_failure(event, other),
        sections=_sections(event, other),
        bar_start=round(start, 3),
        bar_width=round(min(width, 100 - start), 3),
    )


class _Fields:
    """The fields of an event that have no column, read leniently: a card shows what it can."""

    def __init__(self, attributes: Mapping[str, Raw]) -> None:
        self.raw = attributes

    def text(self, name: str) -> str:
        """Return a text or number as text; empty when the field is neither."""
        value = self.value(name)
        return str(value) if isinstance(value, str | int | float) else ""

    def value(self, name: str) -> Any:
        """Return a field's value; None when it is absent or beyond what can be read."""
        if name not in self.raw:
            return None
        try:
            return msgspec.json.decode(self.raw[name])
        except (msgspec.DecodeError, RecursionError):
            return None

    def as_json(self, name: str) -> str:
        """Return a field as indented JSON with every digit that was sent."""
        raw = bytes(self.raw[name])
        try:
            return msgspec.json.format(raw, indent=2).decode(errors="replace")
        except (msgspec.DecodeError, RecursionError):
            return raw.decode(errors="replace")


def _title(event: Event, other: _Fields) -> str:
    if event.event_type == "prompt_call":
        return event.model or "unknown model"
    if event.event_type == "agent_step":
        return f"{other.text('step_number')}. {other.text('step_name')}"
    for name in ("assertion_name", "alert_type", "detection_method", "name"):
        if text := other.text(name):
            return show.words(text) if name in ("alert_type", "detection_method") else text
    failure = _failure(event, other)
    return failure.kind if failure else event.event_id


def _facts(event: Event, other: _Fields) -> list[tuple[str, str]]:
    facts = []
    if event.event_type == "prompt_call":
        facts = [
            ("input", f"{show.count(event.tokens_input)} tokens"),
            ("output", f"{show.count(event.tokens_output)} tokens"),
            ("cost", show.cost(event.cost_usd)),
        ]
    if event.event_type in ("prompt_call", "agent_step"):
        facts.append(("latency", show.milliseconds(event.latency_ms)))
        facts.append(("status", show.words(event.status) or "unknown"))
    facts += [(show.words(name), show.words(text)) for name in _FACTS if (text := other.text(name))]
    if event.user_id:
        facts.append(("user", event.user_id))
    if event.release:
        facts.append(("release", event.release))
    return facts


def _failure(event: Event, other: _Fields) -> Failure | None:
    error = other.value("error")
    if not isinstance(error, dict):
        return None
    stack = error.get("stack") or other.value("stack_trace") or ""
    return Failure(
        kind=str(error.get("type") or show.words(event.event_type)),
        message=str(error.get("message", "")),
        stack=str(stack),
    )


def _sections(event: Event, other: _Fields) -> list[Section]:
    sections = []
    if event.event_type == "prompt_call":
        sections = [Section("prompt", event.prompt), Section("response", event.response)]
    plain, folded = [], []
    shown = _shown_above(event, other)
    for name in other.raw:
        if name in shown:
            continue
        value = other.value(name)
        label = show.words(name)
        if name == "invalid_fields":
            plain.append(Section(label, other.as_json(name), is_json=True))
        elif isinstance(value, str) and name not in _FOLDED:
            if value:
                plain.append(Section(label, value))
        else:
            folded.append(Section(label, other.as_json(name), folded=True, is_json=True))
    if isinstance(error := other.value("error"), dict) and error.get("context"):
        text = msgspec.json.format(msgspec.json.encode(error["context"]), indent=2).decode()
        folded.append(Section("error context", text, folded=True, is_json=True))
    ids = Section("event id", event.event_id, folded=True)
    return [*sections, *plain, *folded, ids]


def _shown_above(event: Event, other: _Fields) -> set[str]:
    """Return the fields that the card shows above its sections."""
    shown = {name for name in _FACTS if other.text(name)}
    if _failure(event, other):
        shown |= {"error", "stack_trace"}
    if event.event_type == "prompt_call":
        shown |= {"cost_estimate_usd", "latency_ms"}
    if event.event_type == "agent_step":
        shown |= {"step_number", "step_name", "latency_ms"}
    return shown
