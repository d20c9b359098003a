"""Answer how many events each value of the fields has that one narrows a list by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from watchllm_server.query.filter import Filter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.store.base import EventStore

# Each field of a filter, and the values of an event that count for it, as an array.
_VALUES: Final[Mapping[str, str]] = {
    "event_types": "[toString(event_type)]",
    "statuses": "[toString(status)]",
    "models": "[toString(model)]",
    "env": "[toString(env)]",
    "release": "[toString(release)]",
    "tags": "arrayMap(tag -> toString(tag), tags)",
}
_ALL: Final = ""


@dataclass(frozen=True, slots=True)
class Facets:
    """Stored events by value; sampled ones are not weighed, since a list shows what is stored."""

    events: int
    """How many match in all."""
    counts: dict[str, list[tuple[str, int]]]
    """By the name of the filter's field: its most frequent values and their numbers."""


def facets_of_events(store: EventStore, where: Filter, *, limit: int) -> Facets:
    """Return the `limit` most frequent values of each field.

    A field is counted under the conditions on all others but not under its own.
    """
    none = Filter(project_id=where.project_id)
    base = replace(where, **{name: getattr(none, name) for name in _VALUES})
    chosen = {name: getattr(where, name) for name in _VALUES}
    facets = [_facet(_ALL, "['']", replace(none, **chosen).condition())]
    for name, values in _VALUES.items():
        others = replace(none, **(chosen | {name: getattr(none, name)}))
        facets.append(_facet(name, values, others.condition()))
    rows = store.query(
        "facets",
        {**where.parameters(), "limit": limit},
        {"condition": base.condition(), "facets": ",\n    ".join(facets)},
    )
    counts: dict[str, list[tuple[str, int]]] = {name: [] for name in _VALUES}
    events = 0
    for name, value, total in rows:
        if name == _ALL:
            events = total
        else:
            counts[name].append((value, total))
    return Facets(events, counts)


def _facet(name: str, values: str, condition: str) -> str:
    """Return SQL for the values of a field, as pairs with its name; none where others forbid it."""
    kept = "value -> value != ''" if name else "value -> 1"
    return (
        f"if({condition}, arrayMap(value -> ('{name}', value), arrayFilter({kept}, {values})), [])"
    )
