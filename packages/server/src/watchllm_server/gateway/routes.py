"""The gateway's addresses: raw ASGI, since they are the ones that must be fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchllm_server.errors import Problem
from watchllm_server.gateway import headers, rewrite
from watchllm_server.gateway.caller import Caller, ClientGoneError
from watchllm_server.gateway.flow import Exchange
from watchllm_server.gateway.record import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from starlette.types import Receive, Scope, Send

    from watchllm_server.auth import Authenticator
    from watchllm_server.clock import Clock
    from watchllm_server.gateway.flow import Flow
    from watchllm_server.gateway.headers import RawPairs, Wishes
    from watchllm_server.gateway.shapes.base import Shape

_JSON: Final = (b"content-type", b"application/json")


_OUR_MISTAKE: Final = "The gateway made a mistake. Its log says where."


def _count_nothing(code: str) -> None:
    """Count no problems."""


class Gateway:
    """Serve what has a known shape. `keys` finds the project that a key opens for the gateway."""

    def __init__(
        self,
        shapes: Iterable[Shape],
        keys: Authenticator,
        flow: Flow,
        clock: Clock,
        *,
        body_bytes: int,
        body_seconds: float,
        count_problem: Callable[[str], None] = _count_nothing,
    ) -> None:
        self._shapes: Mapping[str, Shape] = {shape.path: shape for shape in shapes}
        self._keys = keys
        self._flow = flow
        self._clock = clock
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds
        self._count_problem = count_problem

    @property
    def paths(self) -> list[str]:
        """Return the paths that are served, which are also what requests are counted by."""
        return sorted(self._shapes)

    def handles(self, scope: Scope) -> bool:
        """Return whether a request is the gateway's to answer."""
        return scope["path"] in self._shapes and scope["method"] == "POST"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that `handles` has claimed."""
        caller = Caller(scope, receive, send)
        shape = self._shapes[scope["path"]]
        # What the requests are counted by, as Starlette would set it.
        scope["endpoint"] = shape.path
        wishes, passed = headers.read_headers(scope["headers"])
        try:
            project = self._keys.project(wishes.authorization)
            body = await caller.body(self._body_bytes, self._body_seconds)
            await self._known(shape, project, wishes, passed, body, caller)
        except ClientGoneError:
            return
        except Problem as problem:
            self._count_problem(problem.code)
            if not await caller.drain(2 * self._body_bytes):
                problem.headers["Connection"] = "close"
            await _refuse(shape, problem, caller)
        except Exception:
            if not caller.answered:
                problem = Problem(500, "internal_error", _OUR_MISTAKE)
                await _refuse(shape, problem, caller)
            raise

    async def _known(
        self,
        shape: Shape,
        project: str,
        wishes: Wishes,
        passed: headers.Pairs,
        body: bytes,
        caller: Caller,
    ) -> None:
        started = self._clock.monotonic()
        request = rewrite.decode(body)
        asked = shape.read_request(request)
        call = Call(
            project=project,
            shape=shape.name,
            started=started,
            at=self._clock.now(),
            asked=asked,
            run_id=wishes.run_id,
            user_id=wishes.user_id,
            tags=wishes.tags,
            release=wishes.release,
            env=wishes.env,
        )
        passed.append(("accept-encoding", "identity"))
        query = caller.scope["query_string"]
        exchange = Exchange(
            shape=shape,
            project=project,
            wishes=wishes,
            passed=passed,
            body=body,
            request=request,
            asked=asked,
            query=f"?{query.decode('latin-1')}" if query else "",
            call=call,
        )
        await self._flow.run(exchange, caller)


async def _refuse(shape: Shape, problem: Problem, caller: Caller) -> None:
    """Answer an error of our own, as the clients of the API read it."""
    told: RawPairs = [_JSON]
    told += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await caller.whole(problem.status, told, shape.error(problem.status, problem.message, problem.code))
