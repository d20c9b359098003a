"""A request's way: the cache, another's call for the same, the provider; and its record."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from watchllm_server.cache.flights import FlightLostError, Flights, Leader
from watchllm_server.cache.key import is_repeatable
from watchllm_server.errors import Problem
from watchllm_server.gateway import headers
from watchllm_server.gateway.embeddings import EMBEDDINGS, ByInput
from watchllm_server.gateway.record import Fault
from watchllm_server.gateway.relay import hides_usage, send_error
from watchllm_server.gateway.stream import UsageFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchllm_server.cache.entry import Entry
    from watchllm_server.cache.flights import Follower
    from watchllm_server.cache.store import CacheStore
    from watchllm_server.clock import Clock
    from watchllm_server.gateway.caller import Caller
    from watchllm_server.gateway.exchange import Exchange
    from watchllm_server.gateway.headers import RawPairs
    from watchllm_server.gateway.meaning import ByMeaning
    from watchllm_server.gateway.providers.base import Target
    from watchllm_server.gateway.providers.registry import Registry
    from watchllm_server.gateway.record import Call
    from watchllm_server.gateway.relay import Relay
    from watchllm_server.limits import Who

_OK: Final = 200
_TIMEOUT: Final = 504
_JSON: Final = (b"content-type", b"application/json")
_EVENTS: Final = (b"content-type", b"text/event-stream; charset=utf-8")


class Recorder(Protocol):
    """What keeps a record of calls."""

    def record(self, call: Call) -> None:
        """Keep a call; never raise, never wait."""
        ...


def _admit_all(who: Who) -> None:
    """Admit everyone."""


class Flow:
    """Answer requests. Used on one event loop.

    `by_meaning` answers what was asked in other words. `admit` counts a request, or raises the
    Problem that refuses one whose limit is used up.
    """

    def __init__(
        self,
        registry: Registry,
        relay: Relay,
        cache: CacheStore,
        ledger: Recorder,
        clock: Clock,
        *,
        by_meaning: ByMeaning,
        flights: Flights[bool, Entry] | None = None,
        admit: Callable[[Who], None] = _admit_all,
    ) -> None:
        self.admit = admit
        self._registry = registry
        self._relay = relay
        self._cache = cache
        self._ledger = ledger
        self._clock = clock
        self._by_input = ByInput(cache, relay)
        self._by_meaning = by_meaning
        self._flights = Flights() if flights is None else flights

    async def run(self, exchange: Exchange, caller: Caller) -> None:
        """Answer a request and record it, however it ends.

        Raises the Problem that answers what no provider has answered.
        """
        call = exchange.call
        try:
            await self._serve(exchange, caller)
        except Problem as problem:
            call.status = "timeout" if problem.status == _TIMEOUT else "error"
            call.http_status = problem.status
            call.error = Fault(problem.message, "gateway_error", problem.code)
            raise
        except asyncio.CancelledError:
            call.complete = call.complete and call.answer is not None
            if not caller.gone or (task := asyncio.current_task()) is None:
                raise
            # It was us who cancelled: nobody listens any more, and the provider may stop.
            task.uncancel()
        finally:
            caller.unwatch()
            call.disconnected = caller.gone
            call.ended = self._clock.monotonic()
            call.attempts = exchange.trail.attempts
            call.fallback_from = exchange.trail.fallback_from
            call.overhead_ms = 1_000 * (call.ended - call.started - exchange.waited)
            self._by_meaning.settle(exchange, self._ledger.record, self.run)

    async def _serve(self, exchange: Exchange, caller: Caller) -> None:
        wishes, call = exchange.wishes, exchange.call
        headers.check(wishes)
        self.admit(call.who)
        targets = self._registry.targets(
            exchange.project,
            exchange.asked.model,
            provider=wishes.provider,
            key=wishes.provider_key,
            shape=exchange.shape.name,
        )
        call.keys = tuple(target.key for target in targets if target.key)
        exchange.aim(targets[0])
        call.cache = "BYPASS"
        if wishes.cache == "off" or wishes.no_store or not is_repeatable(exchange.request):
            self._watch(exchange, caller)
            await self._relay.run(exchange, caller, targets)
            return
        exchange.generation = self._cache.generation(exchange.project)
        key = exchange.key = exchange.key_for(targets[0], exchange.request)
        if exchange.shape.name == EMBEDDINGS:
            whole = exchange.request
            entry = await self._by_input.prepare(exchange, targets[0])
            call.cache = "HIT" if entry else "MISS"
            if exchange.request is not whole:
                # Another provider's vectors would mean something else than those that are known.
                targets = targets[:1]
        else:
            entry = None if wishes.no_cache else await self._cache.find(key)
            call.cache = "HIT" if entry else "MISS"
            if entry is None:
                entry = await self._by_meaning.prepare(exchange, targets[0])
        if wishes.no_cache:
            self._watch(exchange, caller)
            await self._relay.run(exchange, caller, targets)
            return
        if entry is not None:
            await self._serve_entry(exchange, caller, entry)
            return
        await self._ask_together(exchange, caller, targets, key)

    async def _ask_together(
        self, exchange: Exchange, caller: Caller, targets: list[Target], key: bytes
    ) -> None:
        """Ask a provider, or wait for who asks the same already."""
        self._watch(exchange, caller)
        with self._flights.join(key) as seat:
            leader = (
                seat if isinstance(seat, Leader) else await self._follow(exchange, caller, seat)
            )
            if leader is not None:
                exchange.lead(leader)
                await self._relay.run(exchange, caller, targets)
                # What did not land is no answer for others: each of them asks for itself.
                leader.fail()

    async def _follow(
        self, exchange: Exchange, caller: Caller, seat: Follower[bool, Entry]
    ) -> Leader[bool, Entry] | None:
        """Answer from another's call; return the leader's seat when this has to ask itself."""
        call = exchange.call
        call.cache, exchange.following = "HIT-COALESCED", True
        begun = self._clock.monotonic()
        try:
            streamed = await seat.head()
            if isinstance(streamed, Leader):
                return streamed
            found = None if streamed and exchange.asked.stream else await seat.result()
        finally:
            exchange.waited += self._clock.monotonic() - begun
        if isinstance(found, Leader):
            return found
        if found is None:
            return await self._follow_stream(exchange, caller, seat)
        await self._serve_entry(exchange, caller, found)
        return None

    async def _follow_stream(
        self, exchange: Exchange, caller: Caller, seat: Follower[bool, Entry]
    ) -> Leader[bool, Entry] | None:
        """Pass on the chunks of another's stream as they come."""
        call, shape = exchange.call, exchange.shape
        monotonic = self._clock.monotonic
        usage = UsageFilter() if hides_usage(exchange) else None
        assembly = shape.assembly()
        lost: Fault | None = None
        begun = monotonic()
        try:
            async for chunk in seat.chunks():
                exchange.waited += monotonic() - begun
                if call.first_byte is None:
                    call.first_byte = monotonic()
                    await caller.begin(_OK, [_EVENTS, *exchange.told(call.first_byte)])
                assembly.feed(chunk)
                if piece := chunk if usage is None else usage.feed(chunk):
                    await caller.piece(piece)
                begun = monotonic()
            exchange.waited += monotonic() - begun
            if seat.promotion is not None:
                return seat.promotion
            entry = await seat.result()
            if isinstance(entry, Leader):
                return entry
            call.saved_usd = entry.cost
            call.provider, call.model = entry.provider, entry.model
        except FlightLostError as error:
            lost = Fault(str(error), "gateway_error", "provider_reset")
            call.status, call.error = "error", lost
        finally:
            call.answer, call.complete = assembly.answer(), assembly.complete
        if usage is not None and (rest := usage.end()):
            await caller.piece(rest)
        if lost is not None:
            await send_error(exchange, caller, lost)
        await caller.end()
        return None

    async def _serve_entry(self, exchange: Exchange, caller: Caller, entry: Entry) -> None:
        """Answer with a kept answer, in the way that the client asked for."""
        call, shape, asked = exchange.call, exchange.shape, exchange.asked
        call.answer = shape.answer(entry.body)
        call.provider, call.model = entry.provider, entry.model
        # The price lists may not have been loaded when it was kept.
        call.saved_usd = self._relay.price(exchange) if entry.cost is None else entry.cost
        if asked.stream:
            # It is all there: nobody is made to wait for pieces that are not still being made.
            events = shape.chunks(entry.body, include_usage=asked.usage_in_stream)
            kind, body = _EVENTS, b"".join(events)
        else:
            kind, body = _JSON, entry.body
        call.first_byte = self._clock.monotonic()
        age = self._clock.now().timestamp() - entry.created_at
        told: RawPairs = [kind, *exchange.told(call.first_byte, age=age)]
        await caller.whole(_OK, told, body)

    def _watch(self, exchange: Exchange, caller: Caller) -> None:
        task = asyncio.current_task()

        def stop() -> None:
            if task is not None and exchange.may_be_given_up():
                task.cancel()

        caller.watch(stop)
