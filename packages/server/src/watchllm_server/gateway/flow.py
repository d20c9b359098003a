"""A request's way: cache, provider, answer, record."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from watchllm_server.errors import Problem
from watchllm_server.gateway import headers, rewrite
from watchllm_server.gateway.providers.ask import Trail
from watchllm_server.gateway.providers.client import UpstreamError
from watchllm_server.gateway.record import Call, Fault, priced
from watchllm_server.gateway.stream import UsageFilter, error_event

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from watchllm_server import rows
    from watchllm_server.clock import Clock
    from watchllm_server.gateway.caller import Caller
    from watchllm_server.gateway.headers import Pairs, RawPairs, Wishes
    from watchllm_server.gateway.providers.ask import Asker
    from watchllm_server.gateway.providers.base import Target
    from watchllm_server.gateway.providers.client import Reply
    from watchllm_server.gateway.providers.registry import Registry
    from watchllm_server.gateway.record import Ledger
    from watchllm_server.gateway.shapes.base import Asked, Shape

_OK: Final = 200
_JSON: Final = (b"content-type", b"application/json")
# Chunks of these two tell the usage only to those who ask.
_USAGE_ON_REQUEST: Final = frozenset({"openai.chat", "openai.completions"})
_MAX_MESSAGE: Final = 2_000
KEPT_BYTES: Final = 32_000_000
"""The largest answer that is looked into and kept; of a larger one the bytes pass, unread."""


@dataclass(slots=True)
class Exchange:
    """One request to a known API, from the moment at which its body has arrived."""

    shape: Shape
    project: str
    wishes: Wishes
    passed: Pairs
    body: bytes
    request: dict[str, Any]
    asked: Asked
    query: str
    call: Call
    waited: float = 0.0
    """Seconds in which the provider was waited for: what is beyond them is our own time."""
    trail: Trail = field(default_factory=Trail)


class Flow:
    """Answer requests. Used on one event loop."""

    def __init__(
        self,
        registry: Registry,
        asker: Asker,
        ledger: Ledger,
        cost: Callable[[rows.Call, str], Decimal | None],
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._asker = asker
        self._ledger = ledger
        self._cost = cost
        self._clock = clock

    async def run(self, exchange: Exchange, caller: Caller) -> None:
        """Answer a request and record it, however it ends.

        Raises the Problem that answers what no provider has answered.
        """
        call = exchange.call
        try:
            await self._serve(exchange, caller)
        except Problem as problem:
            call.status = "timeout" if problem.status == 504 else "error"  # noqa: PLR2004 - the status itself
            call.http_status = problem.status
            call.error = Fault(problem.message, "gateway_error", problem.code)
            raise
        except asyncio.CancelledError:
            call.complete = False
            if not caller.gone or (task := asyncio.current_task()) is None:
                raise
            # It was us who cancelled, to let the provider know that nobody listens any more.
            task.uncancel()
        finally:
            caller.unwatch()
            call.disconnected = caller.gone
            call.ended = self._clock.monotonic()
            call.attempts = exchange.trail.attempts
            call.fallback_from = exchange.trail.fallback_from
            call.overhead_ms = 1_000 * (call.ended - call.started - exchange.waited)
            self._ledger.record(call)

    async def _serve(self, exchange: Exchange, caller: Caller) -> None:
        wishes, call = exchange.wishes, exchange.call
        headers.check(wishes)
        targets = self._registry.targets(
            exchange.project,
            exchange.asked.model,
            provider=wishes.provider,
            key=wishes.provider_key,
            shape=exchange.shape.name,
        )
        _aim(call, targets[0])
        await self._ask(exchange, caller, targets)

    async def _ask(self, exchange: Exchange, caller: Caller, targets: list[Target]) -> None:
        asked, call = exchange.asked, exchange.call
        hide_usage = (
            asked.stream
            and not asked.usage_in_stream
            and exchange.shape.name in _USAGE_ON_REQUEST
        )

        def body_for(target: Target) -> bytes:
            return rewrite.for_provider(
                exchange.body,
                exchange.request,
                model=None if target.model == asked.model else target.model,
                ask_usage=hide_usage and target.provider.stream_usage,
            )

        task = asyncio.current_task()
        caller.watch(task.cancel if asked.stream and task else _let_be)
        begun = self._clock.monotonic()
        try:
            target, reply = await self._asker.ask(
                targets,
                "POST",
                exchange.shape.path.removeprefix("/v1") + exchange.query,
                exchange.passed,
                body_for,
                exchange.trail,
            )
        finally:
            exchange.waited += self._clock.monotonic() - begun
        try:
            _aim(call, target)
            call.http_status = reply.status
            call.request_id = reply.header("x-request-id") or reply.header("request-id")
            if reply.status == _OK and asked.stream and reply.is_stream:
                await self._stream(exchange, caller, reply, hide_usage=hide_usage)
            else:
                await self._whole(exchange, caller, reply, target)
        finally:
            reply.close()

    async def _whole(
        self, exchange: Exchange, caller: Caller, reply: Reply, target: Target
    ) -> None:
        """Read an answer to its end and pass it on."""
        call, shape = exchange.call, exchange.shape
        begun = call.first_byte = self._clock.monotonic()
        try:
            body, is_all = await reply.read(KEPT_BYTES)
        except UpstreamError as error:
            call.complete = False
            status = 504 if error.kind == "timeout" else 502
            raise Problem(status, f"provider_{error.kind}", str(error)) from None
        finally:
            exchange.waited += self._clock.monotonic() - begun
        answered = headers.returned(reply.headers)
        if not is_all:
            await self._pass_on(exchange, caller, reply, body)
            return
        plain = not reply.header("content-encoding").strip().lower().replace("identity", "")
        if plain and shape.successful(reply.status, body):
            call.answer = shape.answer(body)
        else:
            if target.key and (secret := target.key.encode()) in body:
                body = body.replace(secret, b"[provider key]")
            if plain:
                call.answer = shape.answer(body) if reply.status == _OK else None
                call.status, call.error = "error", fault(reply.status, body)
        await caller.whole(reply.status, [*answered, *self._told(exchange)], body)

    async def _pass_on(
        self, exchange: Exchange, caller: Caller, reply: Reply, begun: bytes
    ) -> None:
        """Pass on an answer that is larger than what is looked into."""
        if length := reply.header("content-length"):
            own: RawPairs = [(b"content-length", length.encode())]
        else:
            own = []
        await caller.begin(
            reply.status, [*headers.returned(reply.headers), *own, *self._told(exchange)]
        )
        await caller.piece(begun)
        while chunk := await reply.chunk():
            await caller.piece(chunk)
        await caller.end()

    async def _stream(
        self, exchange: Exchange, caller: Caller, reply: Reply, *, hide_usage: bool
    ) -> None:
        """Pass a stream on as it comes, and put it together on the side."""
        call, shape = exchange.call, exchange.shape
        assembly = shape.assembly()
        usage = UsageFilter() if hide_usage else None
        monotonic = self._clock.monotonic
        failure: UpstreamError | None = None
        try:
            await caller.begin(
                _OK, [*headers.returned(reply.headers), *self._told(exchange)]
            )
            while True:
                begun = monotonic()
                try:
                    chunk = await reply.chunk()
                except UpstreamError as error:
                    failure = error
                    break
                finally:
                    exchange.waited += monotonic() - begun
                if not chunk:
                    break
                if call.first_byte is None:
                    call.first_byte = monotonic()
                assembly.feed(chunk)
                piece = chunk if usage is None else usage.feed(chunk)
                if piece:
                    await caller.piece(piece)
            if usage is not None and (rest := usage.end()):
                await caller.piece(rest)
            if failure is not None:
                body = shape.error(502, str(failure), f"provider_{failure.kind}")
                await caller.piece(error_event(shape.name, body))
            await caller.end()
        finally:
            call.answer = assembly.answer()
            call.complete = assembly.complete
        if failure is not None:
            call.status = "timeout" if failure.kind == "timeout" else "error"
            call.error = Fault(str(failure), "gateway_error", f"provider_{failure.kind}")

    def _told(self, exchange: Exchange) -> RawPairs:
        """Return what the gateway says of an answer in headers of its own."""
        call = exchange.call
        total = self._clock.monotonic() - call.started
        own = 1_000 * (total - exchange.waited)
        told: RawPairs = [
            (b"x-watchllm-event-id", call.event_id.encode()),
            (b"x-watchllm-provider", call.provider.encode()),
            (b"x-watchllm-cache", (call.cache or "BYPASS").encode()),
            (b"x-watchllm-latency-ms", b"%.2f" % (1_000 * total)),
            (b"x-watchllm-overhead-ms", b"%.2f" % own),
        ]
        if not call.request_id:
            told.append((b"x-request-id", call.event_id.encode()))
        if left := exchange.trail.fallback_from:
            told.append((b"x-watchllm-fallback-from", headers.encoded(left)))
        if call.answer is not None and (cost := self._cost(priced(call), call.project)) is not None:
            told.append((b"x-watchllm-cost-usd", f"{cost.normalize():f}".encode()))
        return told


def _aim(call: Call, target: Target) -> None:
    call.provider = target.provider.name
    call.price_id = target.provider.price_id
    call.model = target.model


def _let_be() -> None:
    """Let a request that is paid for come to its end, although its client is gone."""


def fault(status: int, body: bytes) -> Fault:
    """Return what an error body says, in whichever API's form."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, dict):
        message, kind, code = (error.get(name) for name in ("message", "type", "code"))
    else:
        message, kind, code = error, None, None
    text = message if isinstance(message, str) and message else f"The provider answered {status}."
    return Fault(
        text[:_MAX_MESSAGE],
        kind[:100] if isinstance(kind, str) else "provider_error",
        str(code)[:100] if isinstance(code, str | int) else str(status),
    )
