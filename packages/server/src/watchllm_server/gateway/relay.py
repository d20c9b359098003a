"""Ask a provider and pass its answer on: to the client, to those who follow, to the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchllm_server.cache.entry import Entry
from watchllm_server.gateway import headers, rewrite
from watchllm_server.gateway.exchange import fault, without_key
from watchllm_server.gateway.providers.ask import Question
from watchllm_server.gateway.providers.client import UpstreamError
from watchllm_server.gateway.record import Fault, worth
from watchllm_server.gateway.stream import UsageFilter, error_event, error_told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from decimal import Decimal

    from watchllm_server import rows
    from watchllm_server.cache.store import CacheStore
    from watchllm_server.clock import Clock
    from watchllm_server.gateway.caller import Caller
    from watchllm_server.gateway.exchange import Exchange
    from watchllm_server.gateway.providers.ask import Asker
    from watchllm_server.gateway.providers.base import Target
    from watchllm_server.gateway.providers.client import Reply

_OK: Final = 200
# Streams of these two tell the usage only to those who ask.
_USAGE_ON_REQUEST: Final = frozenset({"openai.chat", "openai.completions"})
KEPT_BYTES: Final = 32_000_000
"""The largest answer that is looked into and kept; of a larger one the bytes pass, unread."""


class Relay:
    """Bring answers from providers. Used on one event loop.

    `cost` returns the price of a project's call at once, or None; `lifetime` for how many seconds
    an answer of a project's route is kept, where its request does not say so.
    """

    def __init__(
        self,
        asker: Asker,
        cache: CacheStore,
        cost: Callable[[rows.Call, str], Decimal | None],
        clock: Clock,
        *,
        lifetime: Callable[[str, str], float],
    ) -> None:
        self._asker = asker
        self._cache = cache
        self._cost = cost
        self._clock = clock
        self._lifetime = lifetime

    async def run(self, exchange: Exchange, caller: Caller, targets: list[Target]) -> None:
        """Answer from the first target that answers; raise the Problem that says why none did."""
        asked, call = exchange.asked, exchange.call
        hide_usage = hides_usage(exchange)

        def body_for(target: Target) -> bytes:
            return rewrite.for_provider(
                exchange.body,
                exchange.request,
                model=None if target.model == asked.model else target.model,
                ask_usage=hide_usage and target.provider.stream_usage,
            )

        path = exchange.shape.path.removeprefix("/v1") + exchange.query
        question = Question("POST", path, exchange.passed, body_for)
        begun = self._clock.monotonic()
        try:
            target, reply = await self._asker.ask(targets, question, exchange.trail)
        finally:
            exchange.waited += self._clock.monotonic() - begun
        try:
            exchange.aim(target)
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
        if exchange.leader:
            exchange.leader.begin(False)
        begun = call.first_byte = self._clock.monotonic()
        try:
            body, is_all = await reply.read(KEPT_BYTES)
        except UpstreamError as error:
            call.complete = False
            raise error.problem from None
        finally:
            exchange.waited += self._clock.monotonic() - begun
        if not is_all:
            await self._pass_on(exchange, caller, reply, body)
            return
        cost = None
        plain = reply.header("content-encoding").strip().lower() in ("", "identity")
        if plain and shape.successful(reply.status, body):
            call.answer = shape.answer(body)
            cost = self.price(exchange)
            body = self._finish(exchange, body, cost)
        else:
            body = without_key(body, target)
            if reply.status != _OK or plain:
                call.status, call.error = "error", fault(reply.status, body)
        told = exchange.told(self._clock.monotonic(), cost=cost)
        await caller.whole(reply.status, headers.returned(reply.headers) + told, body)

    async def _pass_on(
        self, exchange: Exchange, caller: Caller, reply: Reply, begun: bytes
    ) -> None:
        """Pass on an answer that is larger than what is looked into."""
        told = headers.returned(reply.headers) + exchange.told(self._clock.monotonic())
        if length := reply.header("content-length"):
            told.append((b"content-length", length.encode()))
        if exchange.leader:
            exchange.leader.fail()
        await caller.begin(reply.status, told)
        await caller.piece(begun)
        try:
            while chunk := await reply.chunk():
                await caller.piece(chunk)
        except UpstreamError as error:
            # Only a connection that breaks off tells the client, whose answer has begun.
            exchange.call.complete = False
            _note(exchange, error)
            raise
        await caller.end()

    async def _stream(
        self, exchange: Exchange, caller: Caller, reply: Reply, *, hide_usage: bool
    ) -> None:
        """Pass a stream on as it comes, and put it together on the side."""
        call, leader = exchange.call, exchange.leader
        assembly = exchange.shape.assembly()
        usage = UsageFilter() if hide_usage else None
        suspect = b""
        if leader:
            leader.begin(True)
        try:
            told = exchange.told(self._clock.monotonic())
            await caller.begin(_OK, headers.returned(reply.headers) + told)
            async for chunk in self._timed(exchange, reply):
                assembly.feed(chunk)
                if b'"error"' in chunk:
                    suspect = chunk
                if leader:
                    leader.feed(chunk)
                piece = chunk if usage is None else usage.feed(chunk)
                if piece:
                    await caller.piece(piece)
            if usage is not None and (rest := usage.end()):
                await caller.piece(rest)
        finally:
            call.answer = assembly.answer()
            call.complete = assembly.complete
            # Here, for many a client leaves with the last event, before the connection has ended.
            if call.complete and call.error is None:
                self._keep(exchange, assembly.body(), self.price(exchange))
        if call.error is not None:
            await send_error(exchange, caller, call.error)
        elif not call.complete and (said := error_told(suspect)):
            call.status, call.error = "error", fault(_OK, said)
        await caller.end()

    async def _timed(self, exchange: Exchange, reply: Reply) -> AsyncIterator[bytes]:
        """Yield what comes, noting when, until the end; where it breaks off, note that and end."""
        call, monotonic = exchange.call, self._clock.monotonic
        while True:
            begun = monotonic()
            try:
                chunk = await reply.chunk()
            except UpstreamError as error:
                _note(exchange, error)
                return
            finally:
                now = monotonic()
                exchange.waited += now - begun
            if not chunk:
                return
            if call.first_byte is None:
                call.first_byte = now
            yield chunk

    def _finish(self, exchange: Exchange, body: bytes, cost: float | None) -> bytes:
        """Keep a successful answer and return the body that the client gets."""
        if exchange.finish is not None:
            return exchange.finish(body, cost)
        self._keep(exchange, body, cost)
        return body

    def _keep(self, exchange: Exchange, body: bytes, cost: float | None) -> None:
        """Keep a complete and successful answer, and let those have it who wait for it."""
        if exchange.key is None:
            return
        entry = self.keep(exchange, exchange.key, body, cost)
        if exchange.leader:
            exchange.leader.land(entry)

    def keep(self, exchange: Exchange, key: bytes, body: bytes, cost: float | None) -> Entry:
        """Keep an answer under a key as long as the request wishes, and return the entry."""
        entry = self.entry(exchange, body, cost)
        # What another provider answered in its place is no answer of the one that was meant.
        if entry.expires_at > entry.created_at and not exchange.trail.left:
            self._cache.put(
                key,
                exchange.project,
                exchange.wishes.namespace,
                entry,
                generation=exchange.generation,
            )
            if exchange.when_kept is not None:
                exchange.when_kept(entry)
        return entry

    def entry(self, exchange: Exchange, body: bytes, cost: float | None) -> Entry:
        """Return an answer as it is kept."""
        call, wishes = exchange.call, exchange.wishes
        now = self._clock.now().timestamp()
        seconds = wishes.ttl
        if seconds is None:
            seconds = self._lifetime(exchange.project, exchange.shape.path)
        return Entry(
            body=body,
            shape=exchange.shape.name,
            provider=call.provider,
            model=call.model,
            created_at=now,
            expires_at=now + seconds,
            cost=cost,
            event_id=call.event_id,
        )

    def price(self, exchange: Exchange) -> float | None:
        """Return what the answer costs, or is worth, in US dollars; None while that is unknown."""
        cost = self._cost(worth(exchange.call), exchange.project)
        return None if cost is None else float(cost)


def hides_usage(exchange: Exchange) -> bool:
    """Return whether a stream is asked for the usage that its client did not ask for."""
    asked = exchange.asked
    return asked.stream and not asked.usage_in_stream and exchange.shape.name in _USAGE_ON_REQUEST


async def send_error(exchange: Exchange, caller: Caller, error: Fault) -> None:
    """End a stream that has begun with an event that its client raises as an error."""
    body = exchange.shape.error(502, error.message, error.code)
    await caller.piece(error_event(exchange.shape.name, body))


def _note(exchange: Exchange, error: UpstreamError) -> None:
    call = exchange.call
    call.status = "timeout" if error.kind == "timeout" else "error"
    call.error = Fault(str(error), "gateway_error", error.code)
