"""From a stored event to what its card shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from watchllm_server.pages import format as show
from watchllm_server.pages.folding import Fold, fold, indented
from watchllm_server.pages.outline import tone_of
from watchllm_server.pages.replay import Replay, replay_of_call
from watchllm_server.pages.words import SHOWN, Turn, Words, turns, visible, words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from msgspec import Raw

    from watchllm_server.query.events import Event

_FACTS: Final = ("step_type", "severity", "confidence_score", "threshold", "actual_value")
_NAMED: Final = ("assertion_name", "alert_type", "detection_method", "name")
# What few look at every time stands folded.
_CLOSED: Final = frozenset({"client", "redactions", "response_metadata", "sample_rate"})
_MANY_TOOLS: Final = 50


@dataclass(frozen=True, slots=True)
class Section:
    """A part of an event: a label, and its text or the JSON that it is."""

    label: str
    words: Words | None = None
    fold: Fold | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in an event."""

    kind: str
    message: Words
    stack: Words | None
    context: Fold | None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool inside a prompt call."""

    name: str
    tone: str
    facts: list[tuple[str, str]]
    sections: list[Section]
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class EventView:
    """One event, in words that a person reads."""

    event_id: str
    run_id: str
    parent_id: str
    """Of the event that caused it; empty when it names none."""
    kind: str
    """The event type, with blanks: `prompt call`."""
    title: str
    tone: str
    """success, warning, error or neutral: the colour of its mark."""
    ts: datetime
    facts: list[tuple[str, str]]
    """Short facts by name: model, tokens, cost, latency."""
    tags: list[str]
    failure: Failure | None
    turns: list[Turn]
    """Of a call: what it was asked, as a conversation."""
    response: Words | None
    tool_calls: list[ToolCall]
    sections: list[Section]
    replay: Replay | None
    is_cut: bool
    """Whether some text is longer than what is shown of it."""


def event_view(event: Event, *, formatted: bool = True, whole: bool = False) -> EventView:
    """Return the card of an event; `whole` shows texts of any length to their end."""
    other = _Fields(event.attributes)
    is_call = event.event_type == "prompt_call"
    asked = turns(event.prompt, formatted=formatted, whole=whole) if is_call else []
    response = words(event.response, formatted=formatted, whole=whole) if is_call else None
    longest = max(map(len, (event.prompt, event.response, *map(bytes, other.raw.values()))))
    return EventView(
        event_id=event.event_id,
        run_id=event.run_id,
        parent_id=other.text("parent_event_id"),
        kind=show.words(event.event_type),
        title=visible(_title(event, other)),
        tone=tone_of(event.event_type, event.status),
        ts=event.ts,
        facts=[(name, visible(value)) for name, value in _facts(event, other)],
        tags=[visible(tag) for tag in event.tags],
        failure=_failure(other, show.words(event.event_type)),
        turns=asked,
        response=response,
        tool_calls=_tool_calls(other),
        sections=_sections(event, other, formatted=formatted, whole=whole),
        replay=replay_of_call(event.model, event.prompt) if is_call else None,
        is_cut=longest > SHOWN and not whole,
    )


def texts_to_compare(event: Event) -> dict[str, str]:
    """Return the texts of an event by label, as they are compared with those of another."""
    other = _Fields(event.attributes)
    texts = {"prompt": event.prompt, "response": event.response}
    for name in other.raw:
        if name not in _CLOSED:
            texts[show.words(name)] = other.text(name) or indented(bytes(other.raw[name]))
    return {label: text for label, text in texts.items() if text}


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
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


def _title(event: Event, other: _Fields) -> str:
    if event.event_type == "prompt_call":
        return event.model or "unknown model"
    if event.event_type == "agent_step":
        return f"{other.text('step_number')}. {other.text('step_name')}"
    name = next((text for name in _NAMED if (text := other.text(name))), "")
    error = other.value("error")
    kind = error.get("type") if isinstance(error, dict) else ""
    return show.words(name) or str(kind or show.words(event.event_type))


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
    facts.append(("environment", event.env))
    facts += [("user", event.user_id)] if event.user_id else []
    facts += [("release", event.release)] if event.release else []
    return facts


def _failure(other: _Fields, kind: str) -> Failure | None:
    error = other.value("error")
    return None if not isinstance(error, dict) else _fault(error, kind, other.text("stack_trace"))


def _fault(error: Mapping[str, Any], kind: str, stack: str = "") -> Failure:
    context = error.get("context")
    told = str(error.get("stack") or stack or "")
    found = fold(msgspec.json.encode(context)) if context else None
    return Failure(
        kind=visible(" ".join(str(error[name]) for name in ("type", "code") if error.get(name)))
        or kind,
        message=words(str(error.get("message", "")), formatted=False),
        stack=words(told, formatted=False) if told else None,
        context=found if isinstance(found, Fold) else None,
    )


def _tool_calls(other: _Fields) -> list[ToolCall]:
    calls = other.value("tool_calls")
    listed = calls[:_MANY_TOOLS] if isinstance(calls, list) else []
    return [_tool_call(call) for call in listed if isinstance(call, dict)]


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    latency, status, error = call.get("latency_ms"), str(call.get("status", "")), call.get("error")
    facts = [("status", show.words(status))] if status else []
    if isinstance(latency, int | float):
        facts.append(("latency", show.milliseconds(latency)))
    return ToolCall(
        name=visible(str(call.get("tool_name", ""))),
        tone=tone_of("", status),
        facts=facts,
        sections=[
            _section(name, msgspec.json.encode(call[name]), formatted=False)
            for name in ("input", "output")
            if name in call
        ],
        failure=_fault(error, "error") if isinstance(error, dict) else None,
    )


def _sections(event: Event, other: _Fields, *, formatted: bool, whole: bool) -> list[Section]:
    """Return all other fields, the open ones first."""
    shown = _shown_above(event, other)
    found = [
        _section(name, bytes(raw), formatted=formatted, whole=whole)
        for name, raw in other.raw.items()
        if name not in shown
    ]
    return sorted(found, key=lambda section: section.closed)


def _section(name: str, raw: bytes, *, formatted: bool, whole: bool = False) -> Section:
    label, closed = visible(show.words(name)), name in _CLOSED
    value = _Fields({name: msgspec.Raw(raw)}).value(name)
    if isinstance(value, str):
        return Section(label, words(value, formatted=formatted, whole=whole), closed=closed)
    folded = fold(raw, whole=whole)
    if isinstance(folded, Fold):
        return Section(label, fold=folded, closed=closed)
    return Section(label, folded, closed=closed)


def _shown_above(event: Event, other: _Fields) -> set[str]:
    """Return the fields that the card shows above its sections."""
    shown = {name for name in (*_FACTS, "parent_event_id") if other.text(name)}
    if isinstance(other.value("error"), dict):
        shown |= {"error", "stack_trace"}
    if event.event_type == "prompt_call":
        shown |= {"cost_estimate_usd", "latency_ms"}
        if isinstance(other.value("tool_calls"), list):
            shown.add("tool_calls")
    if event.event_type == "agent_step":
        shown |= {"step_number", "step_name", "latency_ms"}
    return shown
