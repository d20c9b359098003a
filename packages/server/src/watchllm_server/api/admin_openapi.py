"""What the OpenAPI document says of the admin API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from watchllm_server.api.described import Operation
from watchllm_server.cache_settings import LONGEST, ROUTES
from watchllm_server.metadata.keys import SCOPES
from watchllm_server.redaction import OFF, ON, KindName

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT: Final = "/v1/admin/projects/{project_id}"
WRONG_BODY: Final = (400, 413, 415)
TIME: Final = {"type": "string", "format": "date-time"}
NO_TIME: Final = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Final = {"type": ["integer", "null"], "minimum": 0}
_REDACT: Final = {
    "description": "What is replaced in events before they are stored: on (e-mail addresses and "
    "card numbers), off, or these kinds; null is on, but leaves the SDK's events as they are.",
    "anyOf": [
        {"enum": [ON, OFF, None]},
        {
            "type": "array",
            "items": {"enum": list(get_args(KindName))},
            "minItems": 1,
            "maxItems": 100,
        },
    ],
}
_DAYS: Final = {
    "description": "Days that events are kept; 0 is for ever, null as the server is set.",
    "type": ["integer", "null"],
    "minimum": 0,
    "maximum": 36_500,
}
_TTL: Final = {
    "description": "Seconds that the gateway's answers are kept; 0 keeps none, null is as the "
    "server is set.",
    "type": ["integer", "null"],
    "minimum": 0,
    "maximum": LONGEST,
}
_TTL_ROUTES: Final = {
    "description": "The same for routes of their own.",
    "type": ["object", "null"],
    "properties": {
        route: {"type": "integer", "minimum": 0, "maximum": LONGEST} for route in ROUTES
    },
    "additionalProperties": False,
}
# As read_matching reads it: a share from 0.0001 to 0.5.
_SHARE: Final = (
    r"^(off|shadow|serve)(:0\.([1-4][0-9]{0,3}|5|0[1-9][0-9]{0,2}|00[1-9][0-9]?|000[1-9]))?$"
)
_MODE: Final = {
    "type": "string",
    "pattern": _SHARE,
    "examples": ["shadow", "serve:0.02"],
}
_MATCHING: Final = {
    "description": "How questions are matched by their meaning, with the share of hits that may be "
    "wrong or without; null is as the server is set.",
    "anyOf": [_MODE, {"type": "null"}],
}
_MATCHING_ROUTES: Final = {
    "description": "The same for routes of their own.",
    "type": ["object", "null"],
    "properties": dict.fromkeys(ROUTES, _MODE),
    "additionalProperties": False,
}
_NAME: Final = {"type": "string", "maxLength": 200}
_SCOPES: Final = {"type": "array", "items": {"enum": list(SCOPES)}, "minItems": 1, "maxItems": 100}
_RATE: Final = {
    "description": "Requests a minute; 0 does not limit, null takes the server's setting.",
    "type": ["integer", "null"],
    "minimum": 0,
    "maximum": 10_000_000,
}


def object_of(
    description: str, properties: dict[str, Any], required: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """Return the schema of an object of these properties, by default with all of them."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


def list_of(name: str, field: str) -> dict[str, Any]:
    """Return the schema of an answer that has a list of objects of one schema."""
    items = {"$ref": f"#/components/schemas/{name}"}
    return object_of(f"A list of {field}.", {field: {"type": "array", "items": items}})


_KEY: Final = {
    "id": {"type": "integer"},
    "prefix": {"type": "string"},
    "name": {"type": "string"},
    "scopes": {"type": "array", "items": {"enum": list(SCOPES)}},
    "rate_limit": _COUNT,
    "created_at": TIME,
    "last_used_at": NO_TIME,
    "revoked_at": NO_TIME,
}
SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "NewProject": object_of(
        "A project to be made; its id is made from its name unless it is given.",
        {
            "name": {**_NAME, "minLength": 1},
            "id": {"type": ["string", "null"], "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
            "retention_days": _DAYS,
            "redact": _REDACT,
        },
        ("name",),
    ),
    "ProjectChange": object_of(
        "Settings of a project. What is left out stays as it is.",
        {
            "retention_days": _DAYS,
            "redact": _REDACT,
            "cache_ttl": _TTL,
            "cache_ttl_routes": _TTL_ROUTES,
            "cache_semantic": _MATCHING,
            "cache_semantic_routes": _MATCHING_ROUTES,
        },
        (),
    ),
    "NewKey": object_of(
        "A key to be made; without scopes it may do all but administer.",
        {"name": _NAME, "scopes": _SCOPES, "rate_limit": _RATE},
        (),
    ),
    "NewErasure": object_of(
        "Whose events are to be erased: a user or a run, one of them.",
        {
            name: {"type": ["string", "null"], "minLength": 1, "maxLength": 20_000}
            for name in ("user_id", "run_id")
        },
        (),
    ),
    "NewBackup": object_of(
        "A file of the server's machine that does not exist yet.", {"path": {"type": "string"}}
    ),
    "Project": object_of(
        "A project.",
        {
            "id": {"type": "string"},
            "name": {"type": "string"},
            "created_at": TIME,
            "retention_days": _COUNT,
            "redact": _REDACT,
            "cache_ttl": _COUNT,
            "cache_ttl_routes": {"type": "object", "additionalProperties": {"type": "integer"}},
            "cache_semantic": _MATCHING,
            "cache_semantic_routes": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    ),
    "ProjectsAnswer": list_of("Project", "projects"),
    "Key": object_of("A key without its secret.", _KEY),
    "KeyWithSecret": object_of(
        "A new key. Its secret is shown this once.", {**_KEY, "secret": {"type": "string"}}
    ),
    "KeysAnswer": list_of("Key", "keys"),
    "Erasure": object_of(
        "That events were erased; whose they were is told by a hash alone.",
        {
            "reason": {"enum": ["user", "run", "project"]},
            "subject_sha256": {"type": "string"},
            "erased_events": {"type": "integer", "minimum": 0},
            "created_at": TIME,
        },
    ),
    "ErasuresAnswer": list_of("Erasure", "erasures"),
    "BackupAnswer": object_of(
        "A backup that was written.",
        {"path": {"type": "string"}, "bytes": {"type": "integer", "minimum": 0}},
    ),
}
ADMIN_OPERATIONS: Final = (
    Operation(
        "get", "/v1/admin/projects", "listProjects",
        "List the projects that may be administered, the oldest first.",
        answer="ProjectsAnswer", admits="admin",
    ),
    Operation(
        "post", "/v1/admin/projects", "createProject", "Create a project.",
        answer="Project", body="NewProject", problems=WRONG_BODY, admits="admin", status=201,
    ),
    Operation(
        "patch", PROJECT, "changeProject",
        "Change how long a project's events are kept, and what is replaced in those to come.",
        answer="Project", body="ProjectChange", problems=(*WRONG_BODY, 404), admits="admin",
    ),
    Operation(
        "delete", PROJECT, "deleteProject", "Remove a project with its keys and all its events.",
        answer="Erasure", problems=(404,), admits="admin",
    ),
    Operation(
        "get", f"{PROJECT}/keys", "listKeys", "List a project's keys, the oldest first.",
        answer="KeysAnswer", problems=(404,), admits="admin",
    ),
    Operation(
        "post", f"{PROJECT}/keys", "createKey", "Create a key and answer its secret, this once.",
        answer="KeyWithSecret", body="NewKey", problems=(*WRONG_BODY, 404), admits="admin",
        status=201,
    ),
    Operation(
        "delete", f"{PROJECT}/keys/{{key_id}}", "revokeKey",
        "End a key for good: this process refuses it from now on, others within a second.",
        answer="Key", problems=(404,), admits="admin",
    ),
    Operation(
        "get", f"{PROJECT}/erasures", "listErasures", "List what was erased, the newest 100.",
        answer="ErasuresAnswer", problems=(404,), admits="admin",
    ),
    Operation(
        "post", f"{PROJECT}/erasures", "erase",
        "Erase the events of a user or a run: once answered, no other answer knows them.",
        answer="Erasure", body="NewErasure", problems=(*WRONG_BODY, 404), admits="admin",
    ),
    Operation(
        "post", "/v1/admin/backup", "backUp",
        "Write a backup. Only commands of the server's machine that can read its data may.",
        answer="BackupAnswer", body="NewBackup", problems=WRONG_BODY, admits="admin",
    ),
)  # fmt: skip
