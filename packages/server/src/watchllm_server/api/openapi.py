"""The OpenAPI document, made from what the routes declare: parameters, answers and problems."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import msgspec

from watchllm_server.api import answers
from watchllm_server.api.admin_openapi import ADMIN_OPERATIONS
from watchllm_server.api.admin_openapi import SCHEMAS as ADMIN_SCHEMAS
from watchllm_server.api.described import Operation
from watchllm_server.api.event_schema import BATCH, BATCH_ANSWER, ERROR, STORED_EVENT
from watchllm_server.api.gateway_openapi import GATEWAY_OPERATIONS, GATEWAY_SCHEMAS
from watchllm_server.api.params import (
    ERROR_PARAMETERS,
    EVENT_PARAMETERS,
    EXPORT_PARAMETERS,
    RUN_EVENTS_PARAMETERS,
    RUN_PARAMETERS,
    SERIES_PARAMETERS,
    STATS_PARAMETERS,
    schema_of,
)
from watchllm_server.query.export import MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.api.described import Admission

_JSON: Final = "application/json"
_PROBLEMS: Final[Mapping[int, str]] = {
    400: "The body or a parameter is wrong; the message names it. Mend it before you ask again.",
    401: "The key or the password is missing or unknown.",
    403: "The key does not allow this, or what is asked for belongs to another project.",
    404: "There is nothing of this id.",
    413: "The body is too large.",
    415: "The body's Content-Encoding or Content-Type is none that is understood.",
    429: "Too much at a time. Ask again after Retry-After seconds.",
    500: "The server made a mistake. Its log says where.",
    503: "The store cannot serve this now. Ask again after Retry-After seconds.",
}
_WITH_KEY: Final = (401, 403, 429, 500, 503)
_BAD_REQUEST: Final = 400
_ID: Final = {"type": "string", "minLength": 1}
_PATH_PARAMETERS: Final = {"key_id": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}}
_TOO_LONG: Final = {
    "type": "string", "description": "To an address of more than 64 kB, which is not read."
}  # fmt: skip
_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}


_ADMISSIONS: Final[Mapping[Admission, list[dict[str, list[str]]]]] = {
    "key": [{"key": []}],
    "admin": [{"admin": []}],
    "anyone": [],
}
OPERATIONS: Final = (
    Operation(
        "post", "/v1/events/batch", "storeEvents",
        "Store 1 to 500 events. 200 means that the good ones are synced to disk; send a batch "
        "again whenever the answer did not arrive, an event is stored once.",
        answer="BatchAnswer", body="Batch", problems=(400, 413, 415),
    ),
    Operation(
        "post", "/v1/events/query", "queryEvents", "Find events, a page at a time.",
        answer="EventsAnswer", body="EventQuery", body_required=False, problems=(400, 413),
    ),
    Operation(
        "get", "/v1/events/{event_id}", "getEvent", "Read one event.",
        answer="StoredEvent", problems=(404,),
    ),
    Operation(
        "get", "/v1/runs", "listRuns",
        "List the runs of which an event matches, the last started first.",
        answer="RunsAnswer", parameters=RUN_PARAMETERS, problems=(400,),
    ),
    Operation(
        "get", "/v1/runs/{run_id}", "getRun",
        "Read a run: its sums, its events in the order of their times, and their tree.",
        answer="RunAnswer", parameters=RUN_EVENTS_PARAMETERS,
        problems=(400, 404),
    ),
    Operation(
        "get", "/v1/analytics/stats", "getStats",
        "Sum up calls, errors, tokens, cost and latency, of the last 30 days where date_from "
        "is not given. Sampled events count 1 / sample_rate-fold.",
        answer="StatsAnswer", parameters=STATS_PARAMETERS, problems=(400,),
    ),
    Operation(
        "get", "/v1/analytics/timeseries", "getTimeseries", "Follow a metric over time.",
        answer="SeriesAnswer", parameters=SERIES_PARAMETERS, problems=(400,),
    ),
    Operation(
        "get", "/v1/analytics/errors", "listErrors",
        "List the kinds of errors, those that differ only in numbers and ids as one, of the last "
        "30 days where date_from is not given.",
        answer="ErrorsAnswer", parameters=ERROR_PARAMETERS, problems=(400,),
    ),
    Operation(
        "get", "/v1/export", "exportEvents",
        "Stream all events that match, the oldest first. JSON lines can be sent again as they are.",
        parameters=EXPORT_PARAMETERS, problems=(400,), media=tuple(MEDIA_TYPES.values()),
    ),
    Operation(
        "get", "/healthz", "isAlive", "Answer while the process lives.",
        answer="StatusAnswer", problems=(500,), admits="anyone",
    ),
    Operation(
        "get", "/readyz", "isReady", "Answer while the store takes events and questions.",
        answer="StatusAnswer", problems=(500, 503), admits="anyone",
    ),
    Operation(
        "get", "/openapi.json", "getOpenApi", "Read this document.",
        answer="Document", problems=(500,), admits="anyone",
    ),
    *ADMIN_OPERATIONS,
    *GATEWAY_OPERATIONS,
)  # fmt: skip


def document() -> dict[str, Any]:
    """Return the document, of OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "WatchLLM",
            "version": version("watchllm-server"),
            "description": "Store LLM events and ask about them. A key opens one project and "
            "sees nothing of any other.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A project's key."},
                "admin": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The server's password, or a key of the scope admin, which "
                    "administers its own project. Without a password requests from the same "
                    "machine need neither.",
                },
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": _ADMISSIONS[operation.admits],
        "responses": _responses(operation),
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS.get(name, _ID)}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    for name, parameter in (operation.parameters or {}).items():
        parameters.append(
            {
                "name": name,
                "in": "query",
                "description": parameter.help,
                "schema": schema_of(parameter),
            }
        )
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {_JSON: {"schema": _reference(operation.body)}},
        }
    return described


def _responses(operation: Operation) -> dict[str, Any]:
    if operation.media:
        content: dict[str, Any] = {media: {} for media in operation.media}
    else:
        content = {_JSON: {"schema": _reference(operation.answer)}}
    found = {str(operation.status): {"description": "As asked.", "content": content}}
    kept_out = () if operation.admits == "anyone" else _WITH_KEY
    for status in sorted({*operation.problems, *kept_out}):
        problem: dict[str, Any] = {
            "description": _PROBLEMS[status],
            "content": {_JSON: {"schema": _reference("Error")}},
        }
        if status == _BAD_REQUEST and operation.parameters:
            problem["content"]["text/plain"] = {"schema": _TOO_LONG}
        if "Retry-After" in _PROBLEMS[status]:
            problem["headers"] = _RETRY_AFTER
        found[str(status)] = problem
    return found


def _query_body() -> dict[str, Any]:
    """Return the schema of a query of events: its parameters, each of which may be null."""
    properties = {
        name: {"description": parameter.help, "anyOf": [schema_of(parameter), {"type": "null"}]}
        for name, parameter in EVENT_PARAMETERS.items()
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _schemas() -> dict[str, Any]:
    kinds = [
        answers.EventsAnswer, answers.RunsAnswer, answers.RunAnswer, answers.StatsAnswer,
        answers.SeriesAnswer, answers.ErrorsAnswer, answers.StatusAnswer,
    ]  # fmt: skip
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    made = {name: _as_sent(schema) for name, schema in found.items()}
    for name in ("EventsAnswer", "RunAnswer"):
        made[name]["properties"]["events"]["items"] = _reference("StoredEvent")
    return {
        **made,
        "Batch": BATCH,
        "BatchAnswer": BATCH_ANSWER,
        "StoredEvent": STORED_EVENT,
        "EventQuery": _query_body(),
        "Error": ERROR,
        **ADMIN_SCHEMAS,
        **GATEWAY_SCHEMAS,
        "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
    }


def _as_sent(schema: Any) -> Any:
    """Return a schema with decimals as the numbers that they are sent as."""
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            return {"type": "number"}
        return {name: _as_sent(value) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_as_sent(value) for value in schema]
    return schema


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
