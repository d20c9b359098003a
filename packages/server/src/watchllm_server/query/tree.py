"""Put the events of a run under the events that caused them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from watchllm_server.query.events import Event

_PARENT = "parent_event_id"


@dataclass(frozen=True, slots=True)
class Branch:
    """An event's place in the tree; `depth` is 0 for what nothing caused."""

    event_id: str
    parent_event_id: str | None
    depth: int


def tree_of(parents: Mapping[str, str]) -> list[Branch]:
    """Return a place for each event: each right before what it caused, siblings as they came.

    `parents` are the events' ids in order, each with the id that the event names as its parent.
    Where that is not among the events, or leads back to itself, the event is at the top.
    """
    children: defaultdict[str, list[str]] = defaultdict(list)
    tops = []
    for event_id, parent in parents.items():
        if parent in parents and parent != event_id:
            children[parent].append(event_id)
        else:
            tops.append(event_id)
    found: dict[str, Branch] = {}
    # What a circle holds is under no top: its first event becomes one.
    for top in [*tops, *parents]:
        waiting: list[tuple[str, str | None, int]] = [(top, None, 0)]
        while waiting:
            event_id, parent_id, depth = waiting.pop()
            if event_id not in found:
                found[event_id] = Branch(event_id, parent_id, depth)
                below = reversed(children[event_id])
                waiting += [(child, event_id, depth + 1) for child in below]
    return list(found.values())


def parents_of(events: Iterable[Event]) -> dict[str, str]:
    """Return the ids of events in order, each with the id of its parent or an empty text."""
    return {event.event_id: _parent(event) for event in events}


def _parent(event: Event) -> str:
    """Return the id that an event names as its parent, or an empty text."""
    raw = event.attributes.get(_PARENT)
    try:
        return msgspec.json.decode(raw, type=str) if raw is not None else ""
    except msgspec.DecodeError:
        return ""
