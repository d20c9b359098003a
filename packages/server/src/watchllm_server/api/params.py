"""From a query string or a JSON body to a question; every wrong value is named.

Each parameter is declared once: what reads it, what checks it and what describes it in the OpenAPI
document come from that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import msgspec

from watchllm_server.errors import Problem, invalid_query
from watchllm_server.events import parse_timestamp
from watchllm_server.fields import Status
from watchllm_server.query.events import SortBy, SortOrder
from watchllm_server.query.export import ExportFormat
from watchllm_server.query.filter import Filter, TextMode, has_word
from watchllm_server.query.runs import RunStatus
from watchllm_server.query.stretches import Period
from watchllm_server.query.totals import GroupBy, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Kind = Literal["text", "texts", "time", "count"]

MAX_BODY: Final = 1_000_000
MAX_CHARACTERS: Final = 20_000
MAX_VALUES: Final = 1_000
MAX_PAGE: Final = 1_000
MAX_RUN_EVENTS: Final = 10_000
MAX_GROUPS: Final = 100
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its kind, what it means, the values it may have, and its default.

    `most` is the largest count.
    """

    kind: Kind
    help: str
    choices: tuple[str, ...] = ()
    default: str | int | None = None
    most: int = 0


Parameters = dict[str, Parameter]

_FILTER: Final[Parameters] = {
    "event_types": Parameter("texts", "Events of any of these types."),
    "run_id": Parameter("text", "Events of this run."),
    "user_id": Parameter("text", "Events of this user."),
    "status": Parameter("texts", "Calls and steps that ended with any of these.", get_args(Status)),
    "models": Parameter("texts", "Calls of any of these models."),
    "tags": Parameter("texts", "Events that have any of these tags."),
    "env": Parameter("text", "Events of this environment."),
    "release": Parameter("text", "Events of this release."),
    "date_from": Parameter("time", "From this time on: RFC 3339, or a day in UTC."),
    "date_to": Parameter("time", "Before this time: RFC 3339, or a day in UTC."),
    "text_search": Parameter(
        "text", "Events with this text in the prompt, the response or any other field."
    ),
    "mode": Parameter(
        "text",
        "How text_search is meant. words: every word of it, whole, in any order and in upper or "
        "lower case, by an index. substring: the text as it stands, in upper or lower case; reads "
        "every event, so narrow the time.",
        get_args(TextMode),
        "words",
    ),
}
_CURSOR: Final = Parameter("text", "next_cursor of the page before.")


def _page(default: int, most: int) -> Parameters:
    return {"limit": Parameter("count", "Size of a page.", (), default, most), "cursor": _CURSOR}


def _top(default: int) -> Parameter:
    return Parameter("count", "Most groups to answer.", (), default, MAX_GROUPS)


_GROUP_BY: Final = Parameter("text", "What to group by.", get_args(GroupBy))
_RUN_FILTER: Final[Parameters] = {
    **{name: known for name, known in _FILTER.items() if name != "run_id"},
    "status": Parameter("texts", "Runs that went so.", get_args(RunStatus)),
    "date_from": replace(_FILTER["date_from"], help="Runs that began at this time or later."),
    "date_to": replace(_FILTER["date_to"], help="Runs that began before this time."),
}
EVENT_PARAMETERS: Final[Parameters] = {
    **_FILTER,
    "sort_by": Parameter("text", "What to sort by.", get_args(SortBy), "timestamp"),
    "sort_order": Parameter("text", "Which way to sort.", get_args(SortOrder), "desc"),
    **_page(50, MAX_PAGE),
}
RUN_PARAMETERS: Final[Parameters] = {**_RUN_FILTER, **_page(50, MAX_PAGE)}
RUN_EVENTS_PARAMETERS: Final[Parameters] = _page(MAX_RUN_EVENTS, MAX_RUN_EVENTS)
STATS_PARAMETERS: Final[Parameters] = {**_FILTER, "group_by": _GROUP_BY, "limit": _top(20)}
SERIES_PARAMETERS: Final[Parameters] = {
    "metric": Parameter("text", "What to measure.", get_args(Metric), "requests"),
    "period": Parameter(
        "text",
        "How far back, to the end of the current stretch. Its stretches are of 5 minutes, 30 "
        "minutes, 1 hour, 6 hours and 1 day. Not together with date_from and date_to.",
        get_args(Period),
        "24h",
    ),
    "group_by": _GROUP_BY,
    **_FILTER,
    "date_from": replace(
        _FILTER["date_from"],
        help="From the stretch on that this time lies in, instead of period; the width of the "
        "stretches follows from the time that is asked for.",
    ),
    "date_to": replace(_FILTER["date_to"], help="To the end of the stretch before this time."),
    "limit": _top(10),
}
ERROR_PARAMETERS: Final[Parameters] = {
    **_FILTER,
    "limit": Parameter("count", "Most kinds of errors to answer.", (), 50, MAX_PAGE),
}
EXPORT_PARAMETERS: Final[Parameters] = {
    "format": Parameter("text", "What to write.", get_args(ExportFormat), "jsonl"),
    **_FILTER,
}


def schema_of(parameter: Parameter) -> dict[str, Any]:
    """Return the JSON Schema of a parameter's value."""
    if parameter.kind == "count":
        return {
            "type": "integer", "minimum": 1, "maximum": parameter.most,
            "default": parameter.default,
        }  # fmt: skip
    if parameter.kind == "time":
        return {
            "type": "string",
            "anyOf": [{"format": "date-time"}, {"format": "date"}],
        }
    text: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}
    if parameter.choices:
        text = {"type": "string", "enum": list(parameter.choices)}
    if parameter.default is not None:
        text["default"] = parameter.default
    if parameter.kind == "texts":
        return {"type": "array", "items": text, "maxItems": MAX_VALUES}
    return text


@dataclass(frozen=True, slots=True)
class Question:
    """The values of a request, each of its parameter's kind; what was not given is absent."""

    values: Mapping[str, Any]
    parameters: Parameters

    def __getitem__(self, name: str) -> Any:
        """Return a value or, where it was not given, its default or None."""
        return self.values.get(name, self.parameters[name].default)

    def __contains__(self, name: str) -> bool:
        """Tell whether a value was given."""
        return name in self.values

    def filter(self, project_id: str, *, whole_runs: bool = False, **times: datetime) -> Filter:
        """Return the filter, confined to a project; `times` go before those that were given.

        With `whole_runs` a status is one of runs and not for the filter.
        """
        values = self.values
        given = {name: values[name] for name in ("date_from", "date_to") if name in values}
        return Filter(
            project_id=project_id,
            event_types=values.get("event_types", ()),
            run_id=values.get("run_id", ""),
            user_id=values.get("user_id", ""),
            statuses=() if whole_runs else values.get("status", ()),
            models=values.get("models", ()),
            tags=values.get("tags", ()),
            env=values.get("env", ""),
            release=values.get("release", ""),
            text=values.get("text_search", ""),
            text_mode=self["mode"],
            **(given | times),
        )


def question_of_body(body: bytes, parameters: Parameters) -> Question:
    """Read a JSON body; null is absent, and an empty body asks for everything."""
    try:
        values = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except msgspec.ValidationError:
        raise invalid_query("The body must be a JSON object.") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        message = "The body cannot be read as JSON."
        raise Problem(400, "invalid_json", message) from None
    return question_of(values, parameters)


def question_of_url(items: Iterable[tuple[str, str]], parameters: Parameters) -> Question:
    """Read a query string; a list is given by repeating its name, or with commas."""
    values: dict[str, Any] = {}
    for name, text in items:
        kind = parameters[name].kind if name in parameters else None
        if kind == "texts":
            values.setdefault(name, []).extend(text.split(","))
        elif name in values:
            raise invalid_query(f"`{name}` is given twice.")
        elif kind == "count":
            values[name] = int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else text
        else:
            values[name] = text
    return question_of(values, parameters)


def question_of(given: Mapping[str, Any], parameters: Parameters) -> Question:
    """Read values by their names; null is absent. Raises the Problem that names a wrong one."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in parameters:
            known = ", ".join(sorted(parameters))
            raise invalid_query(f"There is no parameter {name[:100]!r}. There are: {known}.")
        if value is not None:
            parameter = parameters[name]
            values[name] = _READ[parameter.kind](name, value, parameter)
    if values.get("mode", "words") == "words" and not has_word(values.get("text_search", "any")):
        raise invalid_query(
            "`text_search` has no word, only signs: use mode=substring to look for them."
        )
    return Question(values, parameters)


def _text(name: str, value: Any, parameter: Parameter) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CHARACTERS:
        message = f"`{name}` must be a text of 1 to {MAX_CHARACTERS} characters."
        raise invalid_query(message)
    if parameter.choices and value not in parameter.choices:
        allowed = ", ".join(parameter.choices)
        raise invalid_query(f"`{name}` must be one of {allowed}, but it is {value[:40]!r}.")
    return value


def _texts(name: str, value: Any, parameter: Parameter) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or len(values) > MAX_VALUES:
        raise invalid_query(f"`{name}` must be a list of at most {MAX_VALUES} texts.")
    return tuple(_text(f"{name}[{index}]", item, parameter) for index, item in enumerate(values))


def _count(name: str, value: Any, parameter: Parameter) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_query(f"`{name}` must be an integer.")
    if not 1 <= value <= parameter.most:
        allowed = f"an integer from 1 to {parameter.most}"
        raise invalid_query(f"`{name}` must be {allowed}, but it is {value}.")
    return value


def _time(name: str, value: Any, parameter: Parameter) -> datetime:
    text = _text(name, value, parameter)
    try:
        if _DAY.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return parse_timestamp(text)
    except ValueError as error:
        why = str(error) if not _DAY.fullmatch(text) else "names a day that does not exist"
        raise invalid_query(f"`{name}` {why}, or a day as in 2026-11-24.") from None


_READ: Final[Mapping[Kind, Callable[[str, Any, Parameter], Any]]] = {
    "text": _text,
    "texts": _texts,
    "time": _time,
    "count": _count,
}
