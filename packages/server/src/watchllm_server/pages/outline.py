"""From the events of a run to the rows of its outline: as a tree, or by their times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from watchllm_server.pages import format as show
from watchllm_server.pages.words import visible
from watchllm_server.query.tree import tree_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from watchllm_server.query.outline import OutlineEvent
    from watchllm_server.query.tree import Branch

DEEPEST: Final = 12
"""Levels that are indented; what is deeper stands below them."""

_TONES: Final = {"success": "success", "error": "error", "timeout": "error"}
_TYPE_TONES: Final = {
    "error": "error",
    "assertion_failed": "warning",
    "hallucination_detected": "warning",
    "performance_alert": "warning",
}
_LEAST_BAR: Final = 0.4
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Row:
    """An event in the outline of its run. A figure that is not known or has no sense is empty."""

    event_id: str
    kind: str
    """The event type, with blanks: `prompt call`."""
    title: str
    tone: str
    """success, warning, error or neutral: the colour of its bar."""
    depth: int
    """Of the tree, from 0 to DEEPEST; 0 in the order of time."""
    latency: str
    tokens: str
    cost: str
    below: str
    """What the event and all below it come to, where there are any."""
    after: str
    """The time from the run's beginning to its own."""
    bar_start: float
    """Where its bar begins in the run's stretch of time, in percent."""
    bar_width: float


@dataclass(slots=True)
class _Sum:
    """What an event and those below it come to."""

    events: int
    tokens: int
    cost: Decimal | None


def rows_of_run(
    events: Sequence[OutlineEvent], *, as_tree: bool, shown: slice = slice(None)
) -> list[Row]:
    """Return the rows of a run's events, which are given in the order of their times.

    Only the rows that are `shown` are made, by their places in the outline.
    """
    if not events:
        return []
    begin = min(event.began for event in events)
    span = max(max(event.ts for event in events) - begin, _MILLISECOND)
    if not as_tree:
        return [_row(event, begin, span) for event in events[shown]]
    known = {event.event_id: event for event in events}
    branches = tree_of({event.event_id: event.parent_event_id for event in events})
    sums = _sums(known, branches)
    return [
        _row(known[branch.event_id], begin, span, branch.depth, sums[branch.event_id])
        for branch in branches[shown]
    ]


def title_of(event: OutlineEvent) -> str:
    """Return what an event is called: a call by its model, a step by its name."""
    if event.event_type == "prompt_call":
        return event.model or "unknown model"
    if event.event_type == "agent_step":
        number = "" if event.step_number == "0" else f"{event.step_number}. "
        return f"{number}{event.name}"
    return event.name or event.error_type or show.words(event.event_type)


def tone_of(event_type: str, status: str) -> str:
    """Return the colour of an event: success, warning, error or neutral."""
    return _TYPE_TONES.get(event_type) or _TONES.get(status, "neutral")


def _sums(known: dict[str, OutlineEvent], branches: Sequence[Branch]) -> dict[str, _Sum]:
    sums = {
        event_id: _Sum(1, (event.tokens_input or 0) + (event.tokens_output or 0), event.cost_usd)
        for event_id, event in known.items()
    }
    # Each event stands right before what is below it: from the end on, all below is summed already.
    for branch in reversed(branches):
        if branch.parent_event_id is not None:
            own, above = sums[branch.event_id], sums[branch.parent_event_id]
            above.events += own.events
            above.tokens += own.tokens
            if own.cost is not None:
                above.cost = own.cost + (above.cost or Decimal(0))
    return sums


def _row(
    event: OutlineEvent,
    begin: datetime,
    span: timedelta,
    depth: int = 0,
    total: _Sum | None = None,
) -> Row:
    start = min(100 * (event.began - begin) / span, 100 - _LEAST_BAR)
    width = max(100 * (event.ts - event.began) / span, _LEAST_BAR)
    is_call = event.event_type == "prompt_call"
    tokens = (event.tokens_input or 0) + (event.tokens_output or 0)
    return Row(
        event_id=event.event_id,
        kind=show.words(event.event_type),
        title=visible(title_of(event))[:120],
        tone=tone_of(event.event_type, event.status),
        depth=min(depth, DEEPEST),
        latency="" if event.latency_ms is None else show.milliseconds(event.latency_ms),
        tokens=show.count(tokens) if is_call else "",
        cost=show.cost(event.cost_usd) if is_call else "",
        below=_below(total) if total and total.events > 1 else "",
        after=f"+{show.milliseconds((event.ts - begin) / _MILLISECOND)}",
        bar_start=round(start, 2),
        bar_width=round(min(width, 100 - start), 2),
    )


def _below(total: _Sum) -> str:
    parts = [show.counted(total.events, "event")]
    if total.tokens:
        parts.append(show.counted(total.tokens, "token"))
    if total.cost is not None:
        parts.append(show.cost(total.cost))
    return ", ".join(parts)
