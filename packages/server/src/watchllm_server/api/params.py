"""From a query string or a JSON body to a question; every wrong value is named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

import msgspec

from watchllm_server.errors import Problem, invalid_query
from watchllm_server.events import parse_timestamp
from watchllm_server.fields import Status
from watchllm_server.query.events import SortBy, SortOrder
from watchllm_server.query.filter import Filter
from watchllm_server.query.runs import RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Kind = Literal["text", "texts", "time", "count"]
MAX_BODY: Final = 1_000_000
_MAX_CHARACTERS: Final = 20_000
_MAX_VALUES: Final = 1_000
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

_FILTER: Final[Mapping[str, Kind]] = {
    "event_types": "texts",
    "user_id": "text",
    "status": "texts",
    "models": "texts",
    "tags": "texts",
    "env": "text",
    "release": "text",
    "date_from": "time",
    "date_to": "time",
    "text_search": "text",
}
_PAGE: Final[Mapping[str, Kind]] = {"limit": "count", "cursor": "text"}
EVENT_PARAMETERS: Final[Mapping[str, Kind]] = {
    **_FILTER, "run_id": "text", "sort_by": "text", "sort_order": "text", **_PAGE,
}  # fmt: skip
RUN_PARAMETERS: Final[Mapping[str, Kind]] = {**_FILTER, **_PAGE}
RUN_EVENTS_PARAMETERS: Final = _PAGE


@dataclass(frozen=True, slots=True)
class Question:
    """The values of a request, each of its parameter's kind; what was not given is absent."""

    values: Mapping[str, Any]

    def filter(self, project_id: str, *, statuses: tuple[str, ...] = ()) -> Filter:
        """Return the filter, confined to a project."""
        values = self.values
        times = {name: values[name] for name in ("date_from", "date_to") if name in values}
        return Filter(
            project_id=project_id,
            event_types=values.get("event_types", ()),
            run_id=values.get("run_id", ""),
            user_id=values.get("user_id", ""),
            statuses=statuses,
            models=values.get("models", ()),
            tags=values.get("tags", ()),
            env=values.get("env", ""),
            release=values.get("release", ""),
            text=values.get("text_search", ""),
            **times,
        )

    def limit(self, default: int, most: int) -> int:
        """Return how many rows a page has."""
        limit: int = self.values.get("limit", default)
        if not 1 <= limit <= most:
            raise invalid_query(f"`limit` must be an integer from 1 to {most}, but it is {limit}.")
        return limit

    @property
    def cursor(self) -> str | None:
        """Return where the page begins."""
        return self.values.get("cursor")

    def statuses(self) -> tuple[Status, ...]:
        """Return the statuses of events that are asked for."""
        found = _all_of("status", self.values.get("status", ()), get_args(Status))
        return cast("tuple[Status, ...]", found)

    def run_statuses(self) -> tuple[RunStatus, ...]:
        """Return the statuses of runs that are asked for."""
        found = _all_of("status", self.values.get("status", ()), get_args(RunStatus))
        return cast("tuple[RunStatus, ...]", found)

    def sort_by(self) -> SortBy:
        """Return what events are sorted by."""
        found = _one_of("sort_by", self.values.get("sort_by", "timestamp"), get_args(SortBy))
        return cast("SortBy", found)

    def sort_order(self) -> SortOrder:
        """Return the direction in which events are sorted."""
        found = _one_of("sort_order", self.values.get("sort_order", "desc"), get_args(SortOrder))
        return cast("SortOrder", found)


def question_of_body(body: bytes, kinds: Mapping[str, Kind]) -> Question:
    """Read a JSON body; null is absent, and an empty body asks for everything."""
    try:
        values = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except msgspec.ValidationError:
        raise invalid_query("The body must be a JSON object.") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        message = "The body cannot be read as JSON."
        raise Problem(400, "invalid_json", message) from None
    return _question(values, kinds)


def question_of_url(items: Iterable[tuple[str, str]], kinds: Mapping[str, Kind]) -> Question:
    """Read a query string; a list is given by repeating its name, or with commas."""
    values: dict[str, Any] = {}
    for name, text in items:
        if kinds.get(name) == "texts":
            values.setdefault(name, []).extend(part for part in text.split(",") if part)
        elif name in values:
            raise invalid_query(f"`{name}` is given twice.")
        elif kinds.get(name) == "count":
            values[name] = int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else text
        else:
            values[name] = text
    return _question(values, kinds)


def _question(given: Mapping[str, Any], kinds: Mapping[str, Kind]) -> Question:
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in kinds:
            known = ", ".join(sorted(kinds))
            raise invalid_query(f"There is no parameter {name[:100]!r}. There are: {known}.")
        if value is not None:
            values[name] = _READ[kinds[name]](name, value)
    return Question(values)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_CHARACTERS:
        message = f"`{name}` must be a text of 1 to {_MAX_CHARACTERS} characters."
        raise invalid_query(message)
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or len(values) > _MAX_VALUES:
        raise invalid_query(f"`{name}` must be a list of at most {_MAX_VALUES} texts.")
    return tuple(_text(f"{name}[{index}]", item) for index, item in enumerate(values))


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_query(f"`{name}` must be an integer.")
    return value


def _time(name: str, value: Any) -> datetime:
    text = _text(name, value)
    try:
        if _DAY.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return parse_timestamp(text)
    except ValueError as error:
        why = str(error) if not _DAY.fullmatch(text) else "names a day that does not exist"
        raise invalid_query(f"`{name}` {why}, or a day as in 2026-11-24.") from None


_READ: Final[Mapping[Kind, Callable[[str, Any], Any]]] = {
    "text": _text,
    "texts": _texts,
    "time": _time,
    "count": _count,
}


def _one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise invalid_query(
            f"`{name}` must be one of {', '.join(allowed)}, but it is {value[:40]!r}."
        )
    return value


def _all_of(name: str, values: Iterable[str], allowed: Sequence[str]) -> tuple[str, ...]:
    return tuple(_one_of(name, value, allowed) for value in values)
