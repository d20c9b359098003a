"""What the OpenAPI document says of the admin API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from watchllm_server.api.described import Operation
from watchllm_server.metadata.keys import SCOPES
from watchllm_server.redaction import OFF, ON, KindName

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROJECT: Final = "/v1/admin/projects/{project_id}"
_WRONG_BODY: Final = (400, 413, 415)
_TIME: Final = {"type": "string", "format": "date-time"}
_NO_TIME: Final = {"type": ["string", "null"], "format": "date-time"}
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
_NAME: Final = {"type": "string", "maxLength": 200}
_SCOPES: Final = {"type": "array", "items": {"enum": list(SCOPES)}, "minItems": 1, "maxItems": 100}
_RATE: Final = {
    "description": "Requests a minute; 0 does not limit, null takes the server's setting.",
    "type": ["integer", "null"],
    "minimum": 0,
    "maximum": 10_000_000,
}


def _object(
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


def _list_of(name: str, field: str) -> dict[str, Any]:
    items = {"$ref": f"#/components/schemas/{name}"}
    return _object(f"A list of {field}.", {field: {"type": "array", "items": items}})


_KEY: Final = {
    "id": {"type": "integer"},
    "prefix": {"type": "string"},
    "name": {"type": "string"},
    "scopes": {"type": "array", "items": {"enum": list(SCOPES)}},
    "rate_limit": _COUNT,
    "created_at": _TIME,
    "last_used_at": _NO_TIME,
    "revoked_at": _NO_TIME,
}
SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "NewProject": _object(
        "A project to be made; its id is made from its name unless it is given.",
        {
            "name": {**_NAME, "minLength": 1},
            "id": {"type": ["string", "null"], "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
            "retention_days": _DAYS,
            "redact": _REDACT,
        },
        ("name",),
    ),
    "ProjectChange": _object(
        "Settings of a project. What is left out stays as it is.",
        {"retention_days": _DAYS, "redact": _REDACT},
        (),
    ),
    "NewKey": _object(
        "A key to be made; without scopes it may do all but administer.",
        {"name": _NAME, "scopes": _SCOPES, "rate_limit": _RATE},
        (),
    ),
    "NewErasure": _object(
        "Whose events are to be erased: a user or a run, one of them.",
        {
            name: {"type": ["string", "null"], "minLength": 1, "maxLength": 20_000}
            for name in ("user_id", "run_id")
        },
        (),
    ),
    "NewBackup": _object(
        "A file of the server's machine that does not exist yet.", {"path": {"type": "string"}}
    ),
    "Project": _object(
        "A project.",
        {
            "id": {"type": "string"},
            "name": {"type": "string"},
            "created_at": _TIME,
            "retention_days": _COUNT,
            "redact": _REDACT,
        },
    ),
    "ProjectsAnswer": _list_of("Project", "projects"),
    "Key": _object("A key without its secret.", _KEY),
    "KeyWithSecret": _object(
        "A new key. Its secret is shown this once.", {**_KEY, "secret": {"type": "string"}}
    ),
    "KeysAnswer": _list_of("Key", "keys"),
    "Erasure": _object(
        "That events were erased; whose they were is told by a hash alone.",
        {
            "reason": {"enum": ["user", "run", "project"]},
            "subject_sha256": {"type": "string"},
            "erased_events": {"type": "integer", "minimum": 0},
            "created_at": _TIME,
        },
    ),
    "ErasuresAnswer": _list_of("Erasure", "erasures"),
    "BackupAnswer": _object(
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
        answer="Project", body="NewProject", problems=_WRONG_BODY, admits="admin", status=201,
    ),
    Operation(
        "patch", _PROJECT, "changeProject",
        "Change how long a project's events are kept, and what is replaced in those to come.",
        answer="Project", body="ProjectChange", problems=(*_WRONG_BODY, 404), admits="admin",
    ),
    Operation(
        "delete", _PROJECT, "deleteProject", "Remove a project with its keys and all its events.",
        answer="Erasure", problems=(404,), admits="admin",
    ),
    Operation(
        "get", f"{_PROJECT}/keys", "listKeys", "List a project's keys, the oldest first.",
        answer="KeysAnswer", problems=(404,), admits="admin",
    ),
    Operation(
        "post", f"{_PROJECT}/keys", "createKey", "Create a key and answer its secret, this once.",
        answer="KeyWithSecret", body="NewKey", problems=(*_WRONG_BODY, 404), admits="admin",
        status=201,
    ),
    Operation(
        "delete", f"{_PROJECT}/keys/{{key_id}}", "revokeKey",
        "End a key for good: this process refuses it from now on, others within a second.",
        answer="Key", problems=(404,), admits="admin",
    ),
    Operation(
        "get", f"{_PROJECT}/erasures", "listErasures", "List what was erased, the newest 100.",
        answer="ErasuresAnswer", problems=(404,), admits="admin",
    ),
    Operation(
        "post", f"{_PROJECT}/erasures", "erase",
        "Erase the events of a user or a run: once answered, no other answer knows them.",
        answer="Erasure", body="NewErasure", problems=(*_WRONG_BODY, 404), admits="admin",
    ),
    Operation(
        "post", "/v1/admin/backup", "backUp",
        "Write a backup. Only commands of the server's machine that can read its data may.",
        answer="BackupAnswer", body="NewBackup", problems=_WRONG_BODY, admits="admin",
    ),
)  # fmt: skip
