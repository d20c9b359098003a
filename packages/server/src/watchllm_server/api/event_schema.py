"""The schemas of what the OpenAPI document cannot take from a dataclass: events and errors."""

from __future__ import annotations

from typing import Any, Final

_ID: Final = {"type": "string", "minLength": 1}

EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "An event; contract/event.schema.json describes the fields of each type. "
    "Further fields are kept, null is absent, and unknown types are stored.",
    "required": ["event_id", "event_type", "run_id", "timestamp"],
    "properties": {
        "event_id": {**_ID, "description": "Known by it, an event is stored once."},
        "event_type": _ID,
        "run_id": _ID,
        "project_id": {"type": "string", "description": "The key's project, if given."},
        "timestamp": {"type": "string", "format": "date-time"},
        "env": {"type": "string", "default": "development"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "user_id": {"type": "string"},
        "release": {"type": "string"},
        "client": {"type": "object"},
        "sample_rate": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "redactions": {"type": "object"},
        "parent_event_id": {
            "type": "string",
            "description": "The event of the same run that caused this one.",
        },
    },
}
BATCH: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["events"],
    "properties": {
        "events": {"type": "array", "items": EVENT, "minItems": 1, "maxItems": 500},
        "losses": {
            "description": "An object: how many events the sender lost, by reason. What is no "
            "count is left out.",
        },
    },
}
BATCH_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["success", "total_processed", "total_errors", "errors"],
    "properties": {
        "success": {"type": "boolean"},
        "total_processed": {"type": "integer", "minimum": 0},
        "total_errors": {"type": "integer", "minimum": 0},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "code", "message"],
                "properties": {
                    "index": {"type": "integer", "minimum": 0},
                    "event_id": {"type": ["string", "null"]},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
STORED_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "An event as it was sent, with its time in UTC and its cost.",
    "required": [
        "event_id", "event_type", "project_id", "run_id", "timestamp", "env", "tags", "cost_usd",
    ],
    "properties": {
        **EVENT["properties"],
        "cost_usd": {
            "type": ["number", "null"],
            "description": "At list price at the event's own time, or as the sender gave it; null "
            "where no price is known.",
        },
    },
}  # fmt: skip
ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "code", "message"],
            "properties": {
                "type": {"type": "string"},
                "code": {"type": "string"},
                "message": {"type": "string", "description": "A sentence for people."},
            },
        }
    },
}
