"""Where an event stands in its run."""

from __future__ import annotations

from typing import Any


def by_name(events: Any) -> dict[str, dict[str, Any]]:
    """Return a run's steps by their names."""
    return {event["step_name"]: event for event in events if event["event_type"] == "agent_step"}


def below(event: dict[str, Any], events: Any) -> list[str]:
    """Return the names of the steps above an event, the nearest first."""
    by_id = {each["event_id"]: each for each in events}
    names = []
    while "parent_event_id" in event:
        event = by_id[event["parent_event_id"]]
        names.append(event["step_name"])
    return names
