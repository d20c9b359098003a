"""The columns that a list of events may have, and what each shows of an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from watchllm_server.pages import format as show
from watchllm_server.pages.outline import tone_of
from watchllm_server.pages.words import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from watchllm_server.query.events import Event

_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, what it shows, and the columns of an export that say the same."""

    heading: str
    text: Callable[[Event], str]
    exported: tuple[str, ...]
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What a column shows of an event."""

    name: str
    heading: str
    text: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event in a list."""

    event_id: str
    run_id: str
    ts: datetime
    tone: str
    cells: list[Cell]


def row_of(event: Event, columns: Sequence[str]) -> EventRow:
    """Return the row of a brief event with the columns of these names."""
    cells = [
        Cell(name, column.heading, visible(column.text(event))[:_LONGEST], column.is_number)
        for name in columns
        if (column := COLUMNS[name])
    ]
    tone = tone_of(event.event_type, event.status)
    return EventRow(event.event_id, event.run_id, event.ts, tone, cells)


def exported(columns: Sequence[str]) -> list[str]:
    """Return the columns of an export that say what these say, and whose event it is."""
    names = [each for name in columns for each in COLUMNS[name].exported]
    return list(dict.fromkeys(["event_id", *names]))


def _summary(event: Event) -> str:
    """Return what an event is about: a call's prompt, another's name and error."""
    if event.prompt:
        return event.prompt
    texts = [msgspec.json.decode(raw, type=str) for raw in event.attributes.values()]
    return ": ".join(texts)


def _tokens(event: Event) -> str:
    if event.tokens_input is None and event.tokens_output is None:
        return ""
    return f"{show.count(event.tokens_input)} / {show.count(event.tokens_output)}"


COLUMNS: Final[Mapping[str, Column]] = {
    "time": Column("Time", lambda event: show.moment(event.ts), ("timestamp",)),
    "type": Column("Type", lambda event: show.words(event.event_type), ("event_type",)),
    "summary": Column("Event", _summary, ("prompt",)),
    "response": Column("Response", lambda event: event.response, ("response",)),
    "model": Column("Model", lambda event: event.model, ("model",)),
    "status": Column("Status", lambda event: show.words(event.status), ("status",)),
    "user": Column("User", lambda event: event.user_id, ("user_id",)),
    "run": Column("Run", lambda event: event.run_id, ("run_id",)),
    "release": Column("Release", lambda event: event.release, ("release",)),
    "env": Column("Environment", lambda event: event.env, ("env",)),
    "tags": Column("Tags", lambda event: ", ".join(event.tags), ("tags",)),
    "tokens": Column("Tokens in / out", _tokens, ("tokens_input", "tokens_output"), is_number=True),
    "cost": Column(
        "Cost",
        lambda event: "" if event.cost_usd is None else show.cost(event.cost_usd),
        ("cost_usd",),
        is_number=True,
    ),
    "latency": Column(
        "Latency",
        lambda event: "" if event.latency_ms is None else show.milliseconds(event.latency_ms),
        ("latency_ms",),
        is_number=True,
    ),
}
"""By the name that an address has for it."""
DEFAULT: Final = ("time", "type", "summary", "model", "cost", "latency")
"""The columns of a list when its address names none."""
