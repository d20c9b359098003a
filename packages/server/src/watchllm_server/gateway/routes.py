"""The gateway's addresses: raw ASGI, since they are the ones that must be fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from watchllm_server.errors import Problem
from watchllm_server.gateway import headers, rewrite
from watchllm_server.gateway.caller import Caller, ClientGoneError
from watchllm_server.gateway.exchange import Exchange
from watchllm_server.gateway.record import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from starlette.types import Receive, Scope, Send

    from watchllm_server.auth import Authenticator
    from watchllm_server.budget import Budget
    from watchllm_server.clock import Clock
    from watchllm_server.gateway.flow import Flow
    from watchllm_server.gateway.forward import Forward
    from watchllm_server.gateway.headers import RawPairs, Wishes
    from watchllm_server.gateway.providers.registry import Registry
    from watchllm_server.gateway.shapes.base import Shape
    from watchllm_server.metadata import Grant

_JSON: Final = (b"content-type", b"application/json")
_ELSE: Final = "/v1/{path}"
_PROVIDER: Final = b"x-watchllm-provider"
_OUR_MISTAKE: Final = "The gateway made a mistake. Its log says where."


def _count_nothing(code: str) -> None:
    """Count no problems."""


class Gateway:
    """Serve what has a known shape, and pass on what has none.

    `keys` finds the project that a key opens for the gateway; `own` has the first names under /v1
    that are not the gateway's. `budget` bounds the bodies of all requests until they are answered,
    `body_bytes` and `body_seconds` each of them.
    """

    def __init__(
        self,
        shapes: Iterable[Shape],
        keys: Authenticator,
        flow: Flow,
        forward: Forward,
        *,
        registry: Registry,
        clock: Clock,
        budget: Budget,
        body_bytes: int,
        body_seconds: float,
        own: frozenset[str] = frozenset(),
        count_problem: Callable[[str], None] = _count_nothing,
    ) -> None:
        self._shapes: Mapping[str, Shape] = {shape.path: shape for shape in shapes}
        self._keys = keys
        self._flow = flow
        self._forward = forward
        self._registry = registry
        self._own = own
        self._clock = clock
        self._budget = budget
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds
        self._count_problem = count_problem

    @property
    def paths(self) -> list[str]:
        """Return what requests are counted by: the known paths, and one for all else."""
        return [*sorted(self._shapes), _ELSE]

    def handles(self, scope: Scope) -> bool:
        """Return whether a request is the gateway's to answer.

        Whatever is under /v1 and not the server's own is, if a provider is there to pass it on to.
        """
        path: str = scope["path"]
        if path in self._shapes and scope["method"] == "POST":
            return True
        if not path.startswith("/v1/") or path[4:].split("/", 1)[0] in self._own:
            return False
        return self._registry.has_default() or any(
            name == _PROVIDER for name, _ in scope["headers"]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that `handles` has claimed."""
        caller = Caller(scope, receive, send)
        shape = self._shapes.get(scope["path"]) if scope["method"] == "POST" else None
        # What the requests are counted by, as Starlette would set it.
        scope["endpoint"] = shape.path if shape else _ELSE
        try:
            await self._answer(shape, caller)
        except ClientGoneError:
            return
        except Problem as problem:
            self._count_problem(problem.code)
            if not await caller.drain(2 * self._body_bytes):
                problem.headers["Connection"] = "close"
            await _refuse(shape, problem, caller)
        except Exception:
            if not caller.answered:
                await _refuse(shape, Problem(500, "internal_error", _OUR_MISTAKE), caller)
            raise

    async def _answer(self, shape: Shape | None, caller: Caller) -> None:
        wishes, passed = headers.read_headers(caller.scope["headers"])
        grant = self._keys.grant(wishes.authorization)
        with self._budget.share() as share:
            body = await caller.body(self._body_bytes, self._body_seconds, share.grow)
            if shape is None:
                call = self._call(grant, wishes, "")
                self._flow.admit(call.who)
                await self._forward.run(call, wishes, passed, body, caller)
            else:
                await self._known(shape, grant, caller, wishes=wishes, passed=passed, body=body)

    async def _known(
        self,
        shape: Shape,
        grant: Grant,
        caller: Caller,
        *,
        wishes: Wishes,
        passed: headers.Pairs,
        body: bytes,
    ) -> None:
        call = self._call(grant, wishes, shape.name)
        request = rewrite.decode(body)
        asked = call.asked = shape.read_request(request)
        passed.append(("accept-encoding", "identity"))
        query = caller.scope["query_string"]
        exchange = Exchange(
            shape=shape,
            project=grant.project_id,
            wishes=wishes,
            passed=passed,
            body=body,
            request=request,
            asked=asked,
            query=f"?{query.decode('latin-1')}" if query else "",
            call=call,
        )
        await self._flow.run(exchange, caller)

    def _call(self, grant: Grant, wishes: Wishes, shape: str) -> Call:
        return Call(
            project=grant.project_id,
            key_id=grant.key_id,
            shape=shape,
            started=self._clock.monotonic(),
            at=self._clock.now(),
            run_id=wishes.run_id,
            user_id=wishes.user_id,
            tags=wishes.tags,
            release=wishes.release,
            env=wishes.env,
        )


async def _refuse(shape: Shape | None, problem: Problem, caller: Caller) -> None:
    """Answer an error of our own, as the clients of the API read it."""
    told: RawPairs = [_JSON]
    told += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    if shape is None:
        body = msgspec.json.encode(problem.body)
    else:
        body = shape.error(problem.status, problem.message, problem.code)
    await caller.whole(problem.status, told, body)
