"""Answer which events there are: pages of them, one by its id, all of them in turn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Raw

from watchllm_server.events import COLUMNS, EPOCH, micros
from watchllm_server.query.cursor import CursorError, decode_cursor, encode_cursor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore, Value

SortBy = Literal["timestamp", "latency_ms", "cost"]
SortOrder = Literal["asc", "desc"]

_SHORT_COLUMNS = (
    "project_id, event_id, run_id, event_type, toUnixTimestamp64Micro(ts), env, tags, user_id, "
    "release, model, status, latency_ms, tokens_input, tokens_output, cost"
)
_COLUMNS = f"{_SHORT_COLUMNS}, prompt, response, attributes"
_NAMES = ("step_name", "assertion_name", "alert_type", "detection_method", "name")
_NAMED = ", ".join(f"'{name}', JSONExtractString(attributes, '{name}')" for name in _NAMES)
_BRIEF_COLUMNS = (
    f"{_SHORT_COLUMNS}, prompt_head, response_head, toJSONString(mapFilter((name, text) -> text != "
    f"'', map({_NAMED}, 'error_type', toString(error_type), 'error_message', error_message)))"
)
# An unknown value sorts below every known one. Costs compare as decimals, times as microseconds.
_KEYS: Mapping[SortBy, str] = {
    "timestamp": "toUnixTimestamp64Micro(ts)",
    "latency_ms": "ifNull(latency_ms, -1)",
    "cost": "ifNull(cost, toDecimal128(-1, 12))",
}
_KEY_KINDS: Mapping[SortBy, str] = {
    "timestamp": "Int64",
    "latency_ms": "Float64",
    "cost": "Decimal(38, 12)",
}
# What an export holds at a time; beyond a few MB it gets no faster.
_CHUNK_BYTES = 4_000_000
_CHUNK_EVENTS = 5_000
_raw_fields = msgspec.json.Decoder(dict[str, Raw]).decode


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event. Times are UTC; None and an empty text mean that a value is not known."""

    project_id: str
    event_id: str
    run_id: str
    event_type: str
    ts: datetime
    env: str
    tags: list[str]
    user_id: str
    release: str
    model: str
    status: str
    latency_ms: float | None
    tokens_input: int | None
    tokens_output: int | None
    cost_usd: Decimal | None
    prompt: str
    response: str
    attributes: dict[str, Raw]
    """Every other field as JSON text, exactly as it was sent."""

    def to_wire(self) -> dict[str, Any]:
        """Return the event as it was sent, with its time in UTC and the cost that we know."""
        wire: dict[str, Any] = {
            "event_id": self.event_id,
            "event_type": self.event_type,
            "project_id": self.project_id,
            "run_id": self.run_id,
            "timestamp": format_time(self.ts),
            "env": self.env,
            "tags": self.tags,
        }
        if self.user_id:
            wire["user_id"] = self.user_id
        if self.release:
            wire["release"] = self.release
        for name in COLUMNS.get(self.event_type, ()):
            value = getattr(self, name)
            if value is not None and not (name == "status" and value == ""):
                wire[name] = _number(value)
        return wire | self.attributes | {"cost_usd": json_decimal(self.cost_usd)}


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events, and where the next one begins."""

    events: list[Event]
    next_cursor: str | None


def format_time(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC, in milliseconds where that says it all."""
    precision = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def json_decimal(value: Decimal | None) -> Raw | None:
    """Return a decimal as a JSON number with every digit, or None."""
    if value is None:
        return None
    text = f"{value:f}"
    return Raw((text.rstrip("0").rstrip(".") if "." in text else text).encode())


def page_of_events(
    store: EventStore,
    where: Filter,
    *,
    limit: int,
    cursor: str | None = None,
    sort_by: SortBy = "timestamp",
    sort_order: SortOrder = "desc",
    brief: bool = False,
) -> EventPage:
    """Return the events that match, a page at a time and without a count.

    With `brief`, prompt and response are their first 200 characters, and of all other fields there
    are the event's name and, as `error_type` and `error_message`, the beginning of its error.
    Raises CursorError when the cursor belongs to another order.
    """
    place = _Place.read(cursor, sort_by, sort_order)
    rows = store.query(
        "events_page",
        {**where.parameters(), **place.parameters, "limit": limit + 1},
        {
            "columns": _BRIEF_COLUMNS if brief else _COLUMNS,
            "key": _KEYS[sort_by],
            "condition": where.condition(),
            "after": place.condition,
            "order": _order(sort_by, sort_order),
        },
    )
    events = [_event(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return EventPage(events, None)
    last, key_text = events[-1], str(rows[limit - 1][-1])
    question = _question(sort_by, sort_order)
    return EventPage(events, encode_cursor(question, key_text, micros(last.ts), last.event_id))


def chunks_of_events(
    store: EventStore,
    where: Filter,
    *,
    sort_by: SortBy = "timestamp",
    sort_order: SortOrder = "asc",
    most_bytes: int = _CHUNK_BYTES,
) -> Iterator[list[Event]]:
    """Yield all events that match, in lists of about `most_bytes` of text.

    A list holds more only when its one event does. What is stored meanwhile may be among them.
    """
    cursor: str | None = None
    while True:
        place = _Place.read(cursor, sort_by, sort_order)
        sizes = store.query(
            "event_sizes",
            {**where.parameters(), **place.parameters, "limit": _CHUNK_EVENTS},
            {
                "condition": where.condition(),
                "after": place.condition,
                "key": _KEYS[sort_by],
                "order": _order(sort_by, sort_order),
            },
        )
        for limit in _portions([size for size, _ in sizes], most_bytes):
            page = page_of_events(
                store,
                where,
                limit=limit,
                cursor=cursor,
                sort_by=sort_by,
                sort_order=sort_order,
            )
            yield page.events
            cursor = page.next_cursor
            if cursor is None:
                return
        if not sizes:
            return


def event_by_id(store: EventStore, project_id: str, event_id: str) -> Event | None:
    """Return one event of a project, or None when the project has none of that id."""
    parameters = {"project_id": project_id, "event_id": event_id}
    rows = store.query("event_by_id", parameters, {"columns": _COLUMNS})
    return _event(rows[0]) if rows else None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins, as a condition and its parameters."""

    condition: str
    parameters: Mapping[str, Value]

    @classmethod
    def read(cls, cursor: str | None, sort_by: SortBy, sort_order: SortOrder) -> _Place:
        """Return the place of a cursor; without one, the beginning."""
        if cursor is None:
            return cls("1", {})
        by = "<" if sort_order == "desc" else ">"
        key, at, event_id = decode_cursor(_question(sort_by, sort_order), cursor, str, int, str)
        condition = (
            f"({_KEYS[sort_by]}, toUnixTimestamp64Micro(ts), event_id) {by} "
            f"({{after_key:{_KEY_KINDS[sort_by]}}}, {{after_us:Int64}}, {{after_id:String}})"
        )
        if sort_by == "timestamp":
            # The engine skips what lies on the wrong side only if it is told about ts itself.
            condition += f" AND ts {by}= fromUnixTimestamp64Micro({{after_us:Int64}}, 'UTC')"
        after_key = sort_value(_KEY_KINDS[sort_by], key)
        return cls(condition, {"after_key": after_key, "after_us": at, "after_id": event_id})


def _question(sort_by: SortBy, sort_order: SortOrder) -> str:
    return f"events/{sort_by}/{sort_order}"


def _order(sort_by: SortBy, sort_order: SortOrder) -> str:
    """Return the order of a list as SQL; `sort_key` is what it is sorted by."""
    direction = "DESC" if sort_order == "desc" else "ASC"
    ordered = "ts" if sort_by == "timestamp" else f"sort_key {direction}, ts"
    return f"{ordered} {direction}, event_id {direction}"


def _portions(sizes: Sequence[int], most_bytes: int) -> Iterator[int]:
    """Share out a row of sizes: how many of the next ones are at most so many bytes together."""
    count = total = 0
    for size in sizes:
        if count and total + size > most_bytes:
            yield count
            count = total = 0
        count += 1
        total += size
    if count:
        yield count


def sort_value(kind: str, text: str) -> str:
    """Return a cursor's key; raise CursorError when it is no value of the engine's type."""
    try:
        if kind.startswith("Decimal"):
            value = Decimal(text)
            valid = value.is_finite() and abs(value) < 10**26
        else:
            valid = abs(int(text)) < 2**63 if kind == "Int64" else abs(float(text)) < float("inf")
    except (ValueError, InvalidOperation):
        valid = False
    if not valid:
        raise CursorError("it is none that this server gave out")
    return text


def _number(value: Any) -> Any:
    """Return 1250 for 1250.0, as most senders write milliseconds."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _event(row: list[Any]) -> Event:
    ts = EPOCH + timedelta(microseconds=row[4])
    attributes = row[17]
    return Event(
        project_id=row[0],
        event_id=row[1],
        run_id=row[2],
        event_type=row[3],
        ts=ts.astimezone(UTC),
        env=row[5],
        tags=row[6],
        user_id=row[7],
        release=row[8],
        model=row[9],
        status=row[10],
        latency_ms=row[11],
        tokens_input=row[12],
        tokens_output=row[13],
        cost_usd=None if row[14] is None else Decimal(row[14]),
        prompt=row[15],
        response=row[16],
        attributes=_raw_fields(attributes.encode()) if attributes else {},
    )
