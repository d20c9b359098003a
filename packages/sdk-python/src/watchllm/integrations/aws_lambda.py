"""AWS Lambda: each invocation is a run, and what it logs is sent before the function is frozen.

@watched
def handler(event, context): ...
"""

from __future__ import annotations

from functools import wraps
from typing import overload

from watchllm.integrations._flush import FLUSH_SECONDS, flush
from watchllm.integrations._requests import Requests, problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from watchllm._client import WatchLLMClient
    from watchllm.integrations._requests import Header, User

    Handler = Callable[[Any, Any], Any]

__all__ = ["watched"]


@overload
def watched(handler: Handler) -> Handler: ...


@overload
def watched(
    *,
    user: User | None = None,
    tags: Sequence[str] | None = None,
    release: str | None = None,
    read_headers: bool = True,
    client: WatchLLMClient | None = None,
    flush_seconds: float = FLUSH_SECONDS,
) -> Callable[[Handler], Handler]: ...


def watched(
    handler: Handler | None = None,
    *,
    user: User | None = None,
    tags: Sequence[str] | None = None,
    release: str | None = None,
    read_headers: bool = True,
    client: WatchLLMClient | None = None,
    flush_seconds: float = FLUSH_SECONDS,
) -> Any:
    """Put all that an invocation of the handler logs into one run, and send it before the end.

    The run is the one that the event's header `x-run-id` names, else the trace of `traceparent`,
    else one named by the request's id of AWS. `user` is a function that takes the event and returns
    a user id or None; `tags` and `release` are those of `watchllm.trace()`. What `client`, else the
    client of `get_client()`, holds is sent for `flush_seconds` at most, and no longer than until
    half a second before the function's own time is over. The handler's result and exceptions stay
    what they are. Raises ConfigurationError if `user` is no function.
    """
    requests = Requests(user, tags, release, read_headers=read_headers)

    def decorator(handler: Handler) -> Handler:
        @wraps(handler)
        def inside_a_run(event: Any, context: Any) -> Any:
            request_id = getattr(context, "aws_request_id", None)
            try:
                with requests.inside(_header(event), event, request_id):
                    return handler(event, context)
            finally:
                flush(client, flush_seconds, _seconds_left(context))

        return inside_a_run

    return decorator if handler is None else decorator(handler)


def _header(event: Any) -> Header:
    """Look into an event of an API gateway, a load balancer or a function's own address."""

    def header(name: str) -> str | None:
        headers = event.get("headers") if isinstance(event, dict) else None
        for key, value in headers.items() if isinstance(headers, dict) else ():
            if isinstance(key, str) and key.lower() == name and isinstance(value, str):
                return value
        return None

    return header


def _seconds_left(context: Any) -> float | None:
    try:
        return float(context.get_remaining_time_in_millis()) / 1_000
    except Exception as failure:
        problems.report(
            f"time left {type(failure).__name__}",
            "How much time the function has left is not known:"
            f" {type(failure).__name__}: {failure}",
        )
        return None
