"""What an assistant may ask: each tool is one question of the HTTP API, and none of them writes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import msgspec

from watchllm_server.api.params import (
    ERROR_PARAMETERS,
    EVENT_PARAMETERS,
    RUN_EVENTS_PARAMETERS,
    RUN_PARAMETERS,
    SERIES_PARAMETERS,
    STATS_PARAMETERS,
    Parameter,
    Parameters,
    question_of,
    schema_of,
)
from watchllm_server.errors import invalid_query

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_ROWS: Final = 100
_USUAL_ROWS: Final = 20


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the HTTP API; its path, with the query, comes after /v1."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """One question. `subject` names the id that the path ends in; `body` says what is posted."""

    name: str
    description: str
    path: str
    parameters: Parameters = field(default_factory=dict)
    subject: str = ""
    body: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments."""
        known = self._known()
        return {
            "type": "object",
            "properties": {
                name: {"description": of.help, **schema_of(of)} for name, of in known.items()
            },
            "required": [self.subject] if self.subject else [],
            "additionalProperties": False,
        }

    def request(self, arguments: Mapping[str, Any]) -> Request:
        """Return the request that asks; raise the Problem that names an argument that is wrong."""
        question = question_of(arguments, self._known())
        values = {name: arguments[name] for name in question.values}
        if "limit" in self.parameters:
            values["limit"] = question["limit"]
        path = self.path
        if self.subject:
            if self.subject not in values:
                raise invalid_query(f"`{self.subject}` is missing.")
            path += f"/{quote(values.pop(self.subject), safe='')}"
        if self.body:
            return Request("POST", path, msgspec.json.encode(values))
        return Request("GET", f"{path}?{urlencode(values, doseq=True)}" if values else path)

    def _known(self) -> Parameters:
        subject = {self.subject: Parameter("text", "The id.")} if self.subject else {}
        return subject | self.parameters


def _few(parameters: Parameters) -> Parameters:
    """Return parameters whose pages an assistant can read."""
    few = replace(parameters["limit"], default=_USUAL_ROWS, most=_MOST_ROWS)
    return {**parameters, "limit": few}


TOOLS: Final = (
    Tool(
        "list_runs",
        "List the runs of the project, the last started first: how each went, its calls, errors, "
        "tokens, cost and first prompt.",
        "/runs",
        _few(RUN_PARAMETERS),
    ),
    Tool(
        "get_run",
        "Read one run: its sums, and its events in the order of their times.",
        "/runs",
        _few(RUN_EVENTS_PARAMETERS),
        subject="run_id",
    ),
    Tool(
        "search_events",
        "Find events by words in their texts, by model, user, tag, status or time.",
        "/events/query",
        _few(EVENT_PARAMETERS),
        body=True,
    ),
    Tool("get_event", "Read one event.", "/events", subject="event_id"),
    Tool(
        "sum_up",
        "Sum up requests, errors, tokens, cost in US dollars and latency, also by model, user, "
        "tag, release or environment; of the last 30 days where date_from is not given. A cost "
        "that is not known is null, and unpriced_requests says how many are missing.",
        "/analytics/stats",
        _few(STATS_PARAMETERS),
    ),
    Tool(
        "follow_metric",
        "Follow a metric, such as the cost, over time; the period 30d answers by day.",
        "/analytics/timeseries",
        SERIES_PARAMETERS,
    ),
    Tool(
        "list_errors",
        "List the kinds of errors, the most frequent first, each with an event as an example; of "
        "the last 30 days where date_from is not given.",
        "/analytics/errors",
        _few(ERROR_PARAMETERS),
    ),
    Tool(
        "get_cache_stats",
        "Tell how many answers the gateway's cache keeps, how often they were served again, and "
        "what that saved in US dollars.",
        "/cache/stats",
    ),
)
