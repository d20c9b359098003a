"""What routes that change something share: small JSON bodies, work on threads, and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from watchllm_server.errors import (
    BackupError,
    MetadataError,
    Problem,
    StoreError,
    store_unavailable,
)
from watchllm_server.observability import note_store_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

_MAX_BODY = 100_000
_T = TypeVar("_T")


async def run(work: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
    """Work on a thread, and turn what can go wrong into the answer's status."""
    try:
        return await run_in_threadpool(work, *arguments, **options)
    except (MetadataError, BackupError) as error:
        raise Problem(400, "invalid_request", str(error)) from None
    except StoreError as error:
        note_store_failure(error)
        raise store_unavailable() from error


async def read_body(request: Request, kind: type[_T]) -> _T:
    """Read a small JSON body. Its type must be said: no form of another site can say it."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(415, "not_json", "Send a body with Content-Type: application/json.")
    return await read_json(request, kind)


async def read_json(request: Request, kind: type[_T]) -> _T:
    """Read a small JSON body whose sender has shown a key, which no form of another site has."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise Problem(413, "body_too_large", "The body may have 100 kB.")
    try:
        return msgspec.json.decode(bytes(body), type=kind)
    except msgspec.ValidationError as error:
        raise Problem(400, "invalid_request", f"The body is not as it must be: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Problem(400, "invalid_json", "The body cannot be read as JSON.") from None


def json_answer(content: Any, status: int = 200) -> Response:
    """Return an answer that no cache keeps."""
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(content), status, headers, "application/json")
