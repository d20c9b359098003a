"""The admin API: projects, their keys and retention, erasure, backup."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.routing import Route

from watchllm_server.api.bodies import json_answer as _json
from watchllm_server.api.bodies import read_body as _body
from watchllm_server.api.bodies import run as _do
from watchllm_server.errors import Problem
from watchllm_server.metadata.keys import DEFAULT_SCOPES
from watchllm_server.query.events import format_time
from watchllm_server.redaction import OFF, ON, KindName

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.requests import Request
    from starlette.responses import Response

    from watchllm_server.access import Access, Administrator
    from watchllm_server.keeping.backup import Backup
    from watchllm_server.keeping.erasure import Eraser
    from watchllm_server.metadata import ApiKey, Erasure, Metadata, Project

_MAX_ID = 20_000
Redact: TypeAlias = Literal["off", "on"] | Annotated[Sequence[KindName], Meta(min_length=1)]
"""What is replaced in a project's events: the default kinds, or those of a list."""


class NewProject(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/admin/projects."""

    name: str
    id: str | None = None
    retention_days: int | None = None
    redact: Redact | None = None


class ProjectChange(msgspec.Struct, forbid_unknown_fields=True):
    """The body of PATCH /v1/admin/projects/{project_id}: what is left out stays as it is.

    `retention_days` is in days, 0 for ever, null as the server. `redact` null is the default. The
    gateway's answers are kept for `cache_ttl` seconds, null as the server, or as their route says;
    `cache_semantic` says likewise how questions are matched by their meaning, as in `serve:0.02`.
    """

    retention_days: int | UnsetType | None = UNSET
    redact: Redact | UnsetType | None = UNSET
    cache_ttl: int | UnsetType | None = UNSET
    cache_ttl_routes: dict[str, int] | UnsetType | None = UNSET
    cache_semantic: str | UnsetType | None = UNSET
    cache_semantic_routes: dict[str, str] | UnsetType | None = UNSET


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/admin/projects/{project_id}/keys. The limit is in requests a minute."""

    name: str = ""
    scopes: Sequence[str] = DEFAULT_SCOPES
    rate_limit: int | None = None


class NewErasure(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/admin/projects/{project_id}/erasures: either of the two."""

    user_id: str | None = None
    run_id: str | None = None


class NewBackup(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/admin/backup: a file of the server's machine that does not exist."""

    path: str


class Admin:
    """Answer administrators. A key of the scope admin administers its own project alone."""

    def __init__(
        self,
        access: Access,
        metadata: Metadata,
        eraser: Eraser,
        backup: Backup,
        forget_keys: Callable[[], None],
    ) -> None:
        self._access = access
        self._metadata = metadata
        self._eraser = eraser
        self._backup = backup
        self._forget_keys = forget_keys

    def routes(self) -> list[Route]:
        """Return the routes, for the application."""
        one = "/v1/admin/projects/{project_id}"
        return [
            Route("/v1/admin/projects", self.projects, methods=["GET"]),
            Route("/v1/admin/projects", self.create_project, methods=["POST"]),
            Route(one, self.change_project, methods=["PATCH"]),
            Route(one, self.delete_project, methods=["DELETE"]),
            Route(f"{one}/keys", self.keys, methods=["GET"]),
            Route(f"{one}/keys", self.create_key, methods=["POST"]),
            Route(f"{one}/keys/{{key_id:int}}", self.revoke_key, methods=["DELETE"]),
            Route(f"{one}/erasures", self.erasures, methods=["GET"]),
            Route(f"{one}/erasures", self.erase, methods=["POST"]),
            Route("/v1/admin/backup", self.back_up, methods=["POST"]),
        ]

    async def projects(self, request: Request) -> Response:
        """Answer the projects that the administrator administers, the oldest first."""
        who = self._access.administrator(request)
        found = await _do(self._metadata.projects)
        shown = [project for project in found if who.project_id in (None, project.id)]
        return _json({"projects": [_project(project) for project in shown]})

    async def create_project(self, request: Request) -> Response:
        """Create a project."""
        self._access.administrator(request).check_all()
        wanted = await _body(request, NewProject)
        project = await _do(
            self._metadata.create_project,
            wanted.name,
            project_id=wanted.id,
            retention_days=wanted.retention_days,
            redact=_setting(wanted.redact),
        )
        return _json(_project(project), 201)

    async def change_project(self, request: Request) -> Response:
        """Change how long a project's events and answers are kept, and what is replaced in them."""
        project_id = await self._project_id(request)
        wanted = await _body(request, ProjectChange)
        changed = await _do(
            self._metadata.change_project,
            project_id,
            retention_days=wanted.retention_days,
            redact=_setting(wanted.redact),
            cache_ttl=wanted.cache_ttl,
            cache_ttl_routes=wanted.cache_ttl_routes,
            cache_semantic=wanted.cache_semantic,
            cache_semantic_routes=wanted.cache_semantic_routes,
        )
        self._forget_keys()
        return _json(_project(changed))

    async def delete_project(self, request: Request) -> Response:
        """Remove a project with its keys and all its events."""
        self._access.administrator(request).check_all()
        project_id = await self._project_id(request)
        done = await _do(self._eraser.erase_project, project_id, self._forget_keys)
        return _json(_erasure(done))

    async def keys(self, request: Request) -> Response:
        """Answer a project's keys, without their secrets."""
        found = await _do(self._metadata.all_keys, await self._project_id(request))
        return _json({"keys": [_key(key) for key, _ in found]})

    async def create_key(self, request: Request) -> Response:
        """Create a key and answer its secret, this once."""
        project_id = await self._project_id(request)
        wanted = await _body(request, NewKey)
        key, secret = await _do(
            self._metadata.create_key,
            project_id,
            name=wanted.name,
            scopes=wanted.scopes,
            rate_limit=wanted.rate_limit,
        )
        return _json({**_key(key), "secret": secret}, 201)

    async def revoke_key(self, request: Request) -> Response:
        """End a key for good; this process refuses it from now on, others within a second."""
        project_id = await self._project_id(request)
        key_id = request.path_params["key_id"]
        key = await _do(self._metadata.revoke_key, key_id, project_id=project_id)
        if key is None:
            raise Problem(404, "not_found", "There is no key of this id in the project.")
        self._forget_keys()
        return _json(_key(key))

    async def erasures(self, request: Request) -> Response:
        """Answer what was erased, the newest first, at most 100."""
        found = await _do(self._metadata.erasures.of_project, await self._project_id(request))
        return _json({"erasures": [_erasure(done) for done in found]})

    async def erase(self, request: Request) -> Response:
        """Erase the events of a user or a run; once answered, no other answer knows them."""
        project_id = await self._project_id(request)
        wanted = await _body(request, NewErasure)
        subject: Literal["user", "run"] = "user" if wanted.user_id is not None else "run"
        name = wanted.user_id if wanted.user_id is not None else wanted.run_id
        both = wanted.user_id is not None and wanted.run_id is not None
        if both or not name or len(name) > _MAX_ID:
            message = "Give `user_id` or `run_id`, one of them and not empty."
            raise Problem(400, "invalid_erasure", message)
        return _json(_erasure(await _do(self._eraser.erase, project_id, subject, name)))

    async def back_up(self, request: Request) -> Response:
        """Write a backup to a file of the server's machine. Only its owner may ask for that."""
        self._access.check_control(request)
        wanted = await _body(request, NewBackup)
        written = await _do(self._backup.write, Path(wanted.path))
        return _json({"path": wanted.path, "bytes": written})

    async def _project_id(self, request: Request) -> str:
        """Return the project of the address. Every route that names one comes by here."""
        who: Administrator = self._access.administrator(request)
        project_id: str = request.path_params["project_id"]
        who.check(project_id)
        found: Project | None = await _do(self._metadata.project, project_id)
        if found is None or found.id != project_id:
            raise Problem(404, "not_found", "There is no project of this id.")
        return project_id


def _setting(redact: Redact | UnsetType | None) -> str | UnsetType | None:
    if redact is None or redact is UNSET or isinstance(redact, str):
        return redact
    return ",".join(redact)


def _project(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "created_at": _time(project.created_at),
        "retention_days": project.retention_days,
        "redact": (
            project.redact if project.redact in (None, OFF, ON) else project.redact.split(",")
        ),
        "cache_ttl": project.cache_ttl,
        "cache_ttl_routes": project.cache_ttl_routes or {},
        "cache_semantic": project.cache_semantic,
        "cache_semantic_routes": project.cache_semantic_routes or {},
    }


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "prefix": key.prefix,
        "name": key.name,
        "scopes": key.scopes.split(","),
        "rate_limit": key.rate_limit,
        "created_at": _time(key.created_at),
        "last_used_at": _time(key.last_used_at),
        "revoked_at": _time(key.revoked_at),
    }


def _erasure(done: Erasure) -> dict[str, Any]:
    return {
        "reason": done.reason,
        "subject_sha256": done.subject_hash,
        "erased_events": done.events,
        "created_at": _time(done.created_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
