"""POST /v1/traces: OTLP over HTTP, in protobuf and in JSON."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from watchllm_server.errors import Problem
from watchllm_server.ingest.body import ACCEPTED_ENCODING, drain, read_body
from watchllm_server.ingest.otlp.events import rows_of
from watchllm_server.ingest.otlp.jsonbody import read_json
from watchllm_server.ingest.otlp.protobuf import read_protobuf
from watchllm_server.redaction import redaction_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from watchllm_server.auth import Authenticator
    from watchllm_server.budget import Budget
    from watchllm_server.ingest.commit import GroupCommit
    from watchllm_server.ingest.otlp.span import Export
    from watchllm_server.rows import Row

_log = logging.getLogger(__name__)

_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_READERS: Final[dict[str, Callable[[bytes], Export]]] = {
    _PROTOBUF: read_protobuf,
    "application/protobuf": read_protobuf,
    _JSON: read_json,
}
_ON_THE_LOOP: Final = 400_000
"""Bytes up to which a body is decoded at once: handing it to a thread would take longer."""
_TOO_SLOW: Final = 408
_FAULTY_SPAN: Final = "invalid_span"
_SHOWN_FAULTS: Final = 5
_CODES: Final = {
    # The codes of gRPC that OTLP's clients know the statuses by.
    400: 3,
    401: 16,
    403: 7,
    408: 4,
    413: 8,
    415: 3,
    429: 8,
    503: 14,
}
_UNKNOWN: Final = 2


class Counts(Protocol):
    """What counts events and refused requests."""

    def batch(self, accepted: int, rejected: Sequence[str]) -> None:
        """Count the events of an export that was answered, and its refused spans by a code."""
        ...

    def problem(self, code: str) -> None:
        """Count a request that is answered with an error."""
        ...


class TracesIngest:
    """Answer the route with the writer, the keys and the budget that it is given."""

    def __init__(
        self,
        keys: Authenticator,
        commit: GroupCommit,
        budget: Budget,
        *,
        body_seconds: float,
        counts: Counts,
    ) -> None:
        self._keys = keys
        self._commit = commit
        self._budget = budget
        self._body_seconds = body_seconds
        self._counts = counts

    def routes(self) -> list[Route]:
        """Return the route, for the application."""
        return [Route("/v1/traces", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        """Answer 200 once the events of the good spans are on disk, in the request's encoding."""
        sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
        as_json = sent == _JSON
        try:
            faults = await self._store(request, sent)
        except Problem as problem:
            self._counts.problem(problem.code)
            headers = {**problem.headers, "Accept-Encoding": ACCEPTED_ENCODING}
            content = _status_json(problem) if as_json else _status_protobuf(problem)
            return Response(content, problem.status, headers, _JSON if as_json else _PROTOBUF)
        if faults:
            _log.warning("%d spans of an export were refused", len(faults))
        if as_json:
            return Response(_success_json(faults), media_type=_JSON)
        return Response(_success_protobuf(faults), media_type=_PROTOBUF)

    async def _store(self, request: Request, sent: str) -> list[str]:
        authorization = _authorization(request)
        grant = self._keys.grant(authorization)
        project_id = grant.project_id
        with self._budget.share() as share:
            stream = request.stream()
            try:
                read = _reader(sent)
                body = await read_body(request.headers, stream, share, seconds=self._body_seconds)
            except Problem as problem:
                if problem.status == _TOO_SLOW or not await drain(stream):
                    problem.headers["Connection"] = "close"
                raise
            if len(body) <= _ON_THE_LOOP:
                rows, faults = _decode(read, body, project_id)
            else:
                rows, faults = await run_in_threadpool(_decode, read, body, project_id)
            if rows:
                self._keys.confirm(authorization)
                await self._commit.add(rows, len(body), redaction_of(grant.redact))
        self._counts.batch(len(rows), [_FAULTY_SPAN] * len(faults))
        return faults


def _reader(content_type: str) -> Callable[[bytes], Export]:
    read = _READERS.get(content_type)
    if read is None:
        raise Problem(415, "unsupported_type", f"Content-Type must be {_PROTOBUF} or {_JSON}.")
    return read


def _authorization(request: Request) -> str | None:
    """Return the header that names the key; `x-api-key: KEY` counts as a bearer's."""
    key = request.headers.get("x-api-key")
    return request.headers.get("authorization") or (f"Bearer {key}" if key else None)


def _decode(
    read: Callable[[bytes], Export], body: bytes, project_id: str
) -> tuple[list[Row], list[str]]:
    export = read(body)
    rows = rows_of(export, project_id)
    return rows, export.faults


def _explain(faults: list[str]) -> str:
    shown = " ".join(faults[:_SHOWN_FAULTS])
    more = len(faults) - _SHOWN_FAULTS
    return f"{shown} And {more} more." if more > 0 else shown


def _success_protobuf(faults: list[str]) -> bytes:
    answer = ExportTraceServiceResponse()
    if faults:
        answer.partial_success.rejected_spans = len(faults)
        answer.partial_success.error_message = _explain(faults)
    content: bytes = answer.SerializeToString()
    return content


def _success_json(faults: list[str]) -> bytes:
    answer: dict[str, Any] = {}
    if faults:
        # A 64-bit integer is a text in protobuf's JSON.
        answer["partialSuccess"] = {
            "rejectedSpans": str(len(faults)),
            "errorMessage": _explain(faults),
        }
    return msgspec.json.encode(answer)


def _status_json(problem: Problem) -> bytes:
    """Return google.rpc.Status as OTLP has it, with our own error body beside it."""
    code = _CODES.get(problem.status, _UNKNOWN)
    return msgspec.json.encode({"code": code, "message": problem.message, **problem.body})


def _status_protobuf(problem: Problem) -> bytes:
    """Return google.rpc.Status: the code is field 1, the message field 2."""
    text = problem.message.encode()
    return bytes([0x08, _CODES.get(problem.status, _UNKNOWN), 0x12]) + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
