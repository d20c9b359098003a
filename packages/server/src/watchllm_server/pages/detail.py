"""One event in full, as it stands beside the outline of its run and on a page of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchllm_server.pages.difference import Line, difference
from watchllm_server.pages.event_view import EventView, event_view, texts_to_compare
from watchllm_server.pages.site import NotFoundError, event_url, run_url
from watchllm_server.query.events import event_by_id

if TYPE_CHECKING:
    from watchllm_server.pages.site import Visit
    from watchllm_server.query.events import Event

NAMES: Final = ("id", "event", "with", "plain", "whole")
"""What an address may say about the event that is shown."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where an event differs from another one."""

    title: str
    """Of the other event."""
    url: str
    """Of the other event."""
    parts: list[tuple[str, list[Line]]]
    """By label the lines of the texts that differ."""


@dataclass(frozen=True, slots=True)
class Detail:
    """An event in full, and where its links lead; an address that leads nowhere is empty."""

    event: EventView
    url: str
    """Its own address, to send to another person."""
    run_url: str
    """Its run, with the event chosen."""
    parent_url: str
    """The event that caused it."""
    formatted: bool
    formatted_url: str
    """The same page with its texts formatted, or as they are."""
    whole_url: str
    """The same page with texts of any length to their end."""
    compare_url: str
    """The same page with what differs from the event of its kind before it."""
    comparison: Comparison | None


def detail_of(visit: Visit, event_id: str, before: str = "") -> Detail:
    """Return what there is to show of an event; `before` is the one that it may be compared with.

    Raises NotFoundError.
    """
    state = visit.state
    event = _event(visit, event_id)
    formatted = not state["plain"]
    project_id = visit.project.id
    view = event_view(event, formatted=formatted, whole=bool(state["whole"]))
    return Detail(
        event=view,
        url=event_url(project_id, event_id),
        run_url=run_url(project_id, event.run_id, event=event_id),
        parent_url=run_url(project_id, event.run_id, event=view.parent_id)
        if view.parent_id
        else "",
        formatted=formatted,
        formatted_url=state.url(plain="1" if formatted else None),
        whole_url=state.url(whole="1"),
        compare_url=state.url(event=event_id, with_=before) if before else "",
        comparison=_comparison(visit, event, state["with"]) if state["with"] else None,
    )


def _event(visit: Visit, event_id: str) -> Event:
    event = event_by_id(visit.services.store, visit.project.id, event_id)
    if event is None:
        raise NotFoundError("There is no event of this id in the project.")
    return event


def _comparison(visit: Visit, event: Event, other_id: str) -> Comparison:
    other = _event(visit, other_id)
    texts, others = texts_to_compare(event), texts_to_compare(other)
    parts = [
        (label, lines)
        for label in texts | others
        if (lines := difference(others.get(label, ""), texts.get(label, "")))
    ]
    return Comparison(event_view(other).title, event_url(visit.project.id, other_id), parts)
