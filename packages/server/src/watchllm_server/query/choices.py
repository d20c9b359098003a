"""Answer which environments, models and releases there are to narrow a page by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

from watchllm_server.query.filter import Filter
from watchllm_server.query.spans import span_of

if TYPE_CHECKING:
    from watchllm_server.store.base import EventStore

ChoiceOf = Literal["env", "model", "release"]

_MOST: Final = 100


def choices(store: EventStore, where: Filter) -> dict[ChoiceOf, list[str]]:
    """Return the values that events have in the time of a filter, the most frequent first.

    Nothing but the time narrows them, so that another can be chosen. Of a field with more than 100
    values there are none: such a list helps nobody.
    """
    whole = Filter(where.project_id, date_from=where.date_from, date_to=where.date_to)
    names = get_args(ChoiceOf)
    span = span_of(whole, by=names)
    rows = store.query(
        "choices",
        {**whole.parameters(), **span.parameters, "limit": _MOST + 1},
        {"span": span.condition},
    )
    found: dict[ChoiceOf, list[str]] = {name: [] for name in names}
    for name, value in rows:
        found[name].append(value)
    return {name: values if len(values) <= _MOST else [] for name, values in found.items()}
