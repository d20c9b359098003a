"""POST /v1/events/batch: check each event on its own, store the good ones, say what was refused."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Raw
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from watchllm_server.calls import read_call
from watchllm_server.errors import Problem
from watchllm_server.events import FaultyEventError, read_event
from watchllm_server.fields import MAX_DEPTH
from watchllm_server.ingest.body import ACCEPTED_ENCODING, drain, read_body
from watchllm_server.jsontext import is_deeper_than, mend_halves
from watchllm_server.redaction import redaction_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from watchllm_server.auth import Authenticator
    from watchllm_server.budget import Budget
    from watchllm_server.ingest.commit import GroupCommit
    from watchllm_server.rows import Row

_log = logging.getLogger(__name__)

MAX_EVENTS = 500
_TOO_SLOW = 408
_HEADERS = {"Accept-Encoding": ACCEPTED_ENCODING, "X-WatchLLM-Max-Batch": str(MAX_EVENTS)}
_as_mapping = msgspec.json.Decoder(dict[str, Raw]).decode
_as_list = msgspec.json.Decoder(list[Raw]).decode
_as_losses = msgspec.json.Decoder(dict[str, int]).decode


class Losses(Protocol):
    """What keeps count of the events that senders lost."""

    def add_losses(self, project_id: str, losses: Mapping[str, int]) -> None:
        """Add to a project's losses, by reason."""
        ...


class Counts(Protocol):
    """What counts events."""

    def batch(self, accepted: int, rejected: Sequence[str]) -> None:
        """Count the events of a batch that was answered, the refused ones by their codes."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What a body holds: rows to store and answers for the events that are refused."""

    rows: list[Row]
    errors: list[dict[str, Any]]
    losses: dict[str, int]


class BatchIngest:
    """Answer the route with the writer, the keys and the budget that it is given."""

    def __init__(
        self,
        keys: Authenticator,
        commit: GroupCommit,
        budget: Budget,
        losses: Losses,
        *,
        body_seconds: float,
        counts: Counts | None = None,
    ) -> None:
        self._keys = keys
        self._commit = commit
        self._budget = budget
        self._losses = losses
        self._body_seconds = body_seconds
        self._counts = counts

    def routes(self) -> list[Route]:
        """Return the route, for the application."""
        return [Route("/v1/events/batch", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        """Answer 200 once the good events are on disk; every answer says what may be sent."""
        try:
            content = await self._store(request)
        except Problem as problem:
            problem.headers |= _HEADERS
            raise
        return Response(content, media_type="application/json", headers=_HEADERS)

    async def _store(self, request: Request) -> bytes:
        authorization = request.headers.get("authorization")
        grant = self._keys.grant(authorization)
        project_id = grant.project_id
        redaction = redaction_of(grant.redact, request.headers.get("user-agent"))
        with self._budget.share() as share:
            stream = request.stream()
            try:
                body = await read_body(request.headers, stream, share, seconds=self._body_seconds)
            except Problem as problem:
                if problem.status == _TOO_SLOW or not await drain(stream):
                    problem.headers["Connection"] = "close"
                raise
            batch = decode_batch(body, project_id)
            if batch.rows:
                self._keys.confirm(authorization)
                await self._commit.add(batch.rows, len(body), redaction)
        if batch.losses:
            await run_in_threadpool(self._losses.add_losses, project_id, batch.losses)
            # The reasons are the sender's words, which belong into no log.
            lost = sum(batch.losses.values())
            _log.warning(
                "A sender of project %s lost %d events: see watchllm doctor --server",
                project_id,
                lost,
            )
        if self._counts:
            self._counts.batch(len(batch.rows), [error["code"] for error in batch.errors])
        answer = {
            "success": True,
            "total_processed": len(batch.rows),
            "total_errors": len(batch.errors),
            "errors": batch.errors,
        }
        return msgspec.json.encode(answer)


def decode_batch(body: bytes, project_id: str) -> Batch:
    """Take a body apart; raise the Problem that answers one that is no batch."""
    fields, events = _decode(body)
    if len(events) > MAX_EVENTS:
        message = f"A batch may have {MAX_EVENTS} events, and this has {len(events)}."
        raise Problem(413, "too_many_events", message)
    rows: list[Row] = []
    errors: list[dict[str, Any]] = []
    for index, raw in enumerate(events):
        row = read_call(raw, project_id)
        if row is not None:
            rows.append(row)
            continue
        if is_deeper_than(MAX_DEPTH, bytes(raw)):
            raise _too_deep()
        try:
            rows.append(read_event(raw, project_id))
        except FaultyEventError as fault:
            known = {} if fault.event_id is None else {"event_id": fault.event_id}
            errors.append({"index": index, **known, "code": fault.code, "message": fault.message})
    readable = {error["code"] for error in errors} - {"invalid_event"}
    if not rows and readable == {"wrong_project"}:
        message = (
            f"The key opens project {project_id!r}, and the events belong to another: check "
            "WATCHLLM_PROJECT_ID and WATCHLLM_API_KEY."
        )
        raise Problem(403, "wrong_project", message)
    return Batch(rows, errors, _losses_of(fields))


def _decode(body: bytes) -> tuple[dict[str, Raw], list[Raw]]:
    try:
        if not body.isascii():
            body.decode()
        fields = _as_mapping(body)
    except msgspec.ValidationError:
        message = "The body must be an object with a list `events`."
        raise Problem(400, "missing_events", message) from None
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: byte {error.start} cannot be read."
        raise Problem(400, "invalid_json", message) from None
    except (msgspec.DecodeError, RecursionError) as error:
        # One cut text must not cost its sender the whole batch.
        mended = mend_halves(body)
        if mended != body:
            return _decode(mended)
        raise _invalid_json(error) from None
    events = fields.get("events")
    if events is None or bytes(events) == b"null":
        raise Problem(400, "missing_events", "The body must have a list `events`.")
    try:
        found = _as_list(events)
    except msgspec.DecodeError:
        message = "`events` must be a list of 1 to 500 events."
        raise Problem(400, "invalid_events", message) from None
    if not found:
        raise Problem(400, "invalid_events", "`events` is empty: send 1 to 500 events.")
    return fields, found


def _invalid_json(error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return _too_deep()
    why = str(error)
    why = "it ends too early" if "truncated" in why else why[:1].lower() + why[1:]
    return Problem(400, "invalid_json", f"The body cannot be read as JSON: {why}.")


def _too_deep() -> Problem:
    message = f"The body cannot be read as JSON: an event may be nested in {MAX_DEPTH} levels."
    return Problem(400, "invalid_json", message)


def _losses_of(fields: Mapping[str, Raw]) -> dict[str, int]:
    """Return what the sender lost; a report that cannot be read must not cost it its events."""
    raw = fields.get("losses")
    if raw is None:
        return {}
    try:
        losses = _as_losses(raw)
    except msgspec.DecodeError:
        return {}
    return {reason[:100]: count for reason, count in losses.items() if 0 < count < 2**53}
