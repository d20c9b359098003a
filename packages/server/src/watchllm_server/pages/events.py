"""The page of events of every type: searched, narrowed, counted by value and exported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final, cast, get_args

from starlette.responses import StreamingResponse

from watchllm_server.errors import invalid_query
from watchllm_server.pages.cells import COLUMNS, DEFAULT, EventRow, exported, row_of
from watchllm_server.pages.narrowing import (
    NAMES,
    check_sort,
    columns_of,
    least_cost,
    least_ms,
    one_address,
)
from watchllm_server.pages.site import Page, Visit, project_url
from watchllm_server.pages.words import visible
from watchllm_server.query.events import SortBy, SortOrder, page_of_events
from watchllm_server.query.export import COLUMNS as ALL
from watchllm_server.query.export import MEDIA_TYPES, ExportFormat, export
from watchllm_server.query.facets import facets_of_events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from watchllm_server.query.filter import Filter

_EVENTS: Final = 50
_VALUES: Final = 10
_SORTS: Final[Mapping[str, tuple[str, SortBy, SortOrder]]] = {
    "": ("newest first", "timestamp", "desc"),
    "oldest": ("oldest first", "timestamp", "asc"),
    "slowest": ("slowest first", "latency_ms", "desc"),
    "dearest": ("most expensive first", "cost", "desc"),
}
# The fields of facets by the names that addresses have for them, with their headings.
_FACETS: Final = {
    "type": ("event_types", "Type"),
    "status": ("statuses", "Status"),
    "model": ("models", "Model"),
    "env": ("env", "Environment"),
    "release": ("release", "Release"),
    "tag": ("tags", "Tag"),
}
_NAMES: Final = ("run", *NAMES)


@dataclass(frozen=True, slots=True)
class Value:
    """A value that the list can be narrowed by, and how many events have it."""

    text: str
    events: int
    url: str
    """The list narrowed by it or, if it is chosen, no longer narrowed."""
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class EventsPage:
    """A page of events, what else there is, and how to take it away."""

    events: int
    """All that match."""
    rows: list[EventRow]
    headings: list[tuple[str, bool]]
    """Of the columns shown, and whether they hold numbers."""
    columns: list[tuple[str, str, bool]]
    """All that may be shown: name, heading, and whether each is."""
    facets: list[tuple[str, list[Value]]]
    """By heading the most frequent values."""
    sorts: list[tuple[str, str]]
    """By name the orders beside the newest first."""
    newest_url: str
    """The beginning of the list, where this is another page of it."""
    older_url: str
    """The next page of the list, if there is one."""
    exports: list[tuple[str, str]]
    """By format the address of all events that match, in the columns shown."""


def events(visit: Visit) -> Response:
    """Show the events that match what the address says."""
    if elsewhere := one_address(visit):
        return elsewhere
    state, store = visit.state, visit.services.store
    where, columns = _where(visit), columns_of(state, COLUMNS, DEFAULT)
    check_sort(state, _SORTS)
    _, sort_by, sort_order = _SORTS[state["sort"]]
    page = page_of_events(
        store,
        where,
        limit=_EVENTS,
        cursor=state["cursor"] or None,
        sort_by=sort_by,
        sort_order=sort_order,
        brief=True,
    )
    found = facets_of_events(store, where, limit=_VALUES)
    context = EventsPage(
        events=found.events,
        rows=[row_of(event, columns) for event in page.events],
        headings=[(COLUMNS[name].heading, COLUMNS[name].is_number) for name in columns],
        columns=[(name, each.heading, name in columns) for name, each in COLUMNS.items()],
        facets=[
            (heading, _values(visit, name, found.counts[field]))
            for name, (field, heading) in _FACETS.items()
        ],
        sorts=[(name, label) for name, (label, *_) in _SORTS.items() if name],
        newest_url=state.url() if state["cursor"] else "",
        older_url=state.url(cursor=page.next_cursor) if page.next_cursor else "",
        exports=[(form, _export_url(visit, form)) for form in get_args(ExportFormat)],
    )
    return visit.render("events.html", context)


def export_events(visit: Visit) -> Response:
    """Answer with all events that match in the order of the list, a piece at a time."""
    wanted = visit.state["format"]
    if wanted not in MEDIA_TYPES:
        known = ", ".join(MEDIA_TYPES)
        raise invalid_query(f"`format` must be one of {known}, but it is {wanted[:40]!r}.")
    form = cast("ExportFormat", wanted)
    chosen = columns_of(visit.state, COLUMNS, ())
    columns = exported(chosen) if chosen else ALL
    check_sort(visit.state, _SORTS)
    _, sort_by, sort_order = _SORTS[visit.state["sort"]]
    pieces = export(
        visit.services.store,
        _where(visit),
        form,
        columns,
        sort_by=sort_by,
        sort_order=sort_order,
    )
    # What can fail fails in the first piece, while there still is a page to say so.
    first = next(pieces, b"")
    return StreamingResponse(
        chain([first], pieces),
        media_type=MEDIA_TYPES[form],
        headers=visit.site.headers(visit.request)
        | {"Content-Disposition": f'attachment; filename="events.{form}"'},
    )


def _where(visit: Visit) -> Filter:
    state = visit.state
    return replace(
        state.filter(visit.project.id),
        run_id=state["run"],
        least_cost=least_cost(state),
        least_ms=least_ms(state),
    )


def _values(visit: Visit, name: str, counts: list[tuple[str, int]]) -> list[Value]:
    chosen = visit.state[name]
    return [
        Value(
            text=visible(text),
            events=events,
            url=visit.state.url(**{name: None if text == chosen else text}),
            is_chosen=text == chosen,
        )
        for text, events in counts
    ]


def _export_url(visit: Visit, form: str) -> str:
    """Return the address of an export; without a choice of columns it has every field."""
    query = visit.state.url(format=form).partition("?")[2]
    return f"{project_url(visit.project.id, '/export')}?{query}"


PAGES: Final = (
    Page("/events", events, name="Events", key="n", place=3, all_times=True, more=_NAMES),
    Page("/export", export_events, all_times=True, more=(*_NAMES, "format")),
)
