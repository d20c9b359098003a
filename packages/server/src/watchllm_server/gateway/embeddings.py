"""Embeddings through the cache: of a list, only the inputs that are not known are asked for."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from watchllm_server.cache.embeddings import apportioned, merged, parts, remaining, split
from watchllm_server.errors import Problem
from watchllm_server.gateway import rewrite

if TYPE_CHECKING:
    from watchllm_server.cache.entry import Entry
    from watchllm_server.cache.store import CacheStore
    from watchllm_server.gateway.exchange import Exchange
    from watchllm_server.gateway.providers.base import Target
    from watchllm_server.gateway.relay import Relay

EMBEDDINGS: Final = "openai.embeddings"
# Inputs that are looked up before the event loop sees to other work: under a millisecond.
_SLICE: Final = 32
_MILLIONTHS: Final = 1_000_000


class ByInput:
    """Look up and keep the vectors of a request by its inputs. Used on one event loop."""

    def __init__(self, cache: CacheStore, relay: Relay) -> None:
        self._cache = cache
        self._relay = relay

    async def prepare(self, exchange: Exchange, target: Target) -> Entry | None:
        """Return a kept answer where all inputs are known; else have the others asked for alone.

        Where no input is known, or the request wishes for no lookup, the request stays as it came.
        """
        singles = split(exchange.request)
        if not singles:
            return None
        keys: list[bytes] = []
        known: list[Entry | None] = []
        waiting = iter(singles)
        while some := list(islice(waiting, _SLICE)):
            for single in some:
                keys.append(exchange.key_for(target, single))
                known.append(None if exchange.wishes.no_cache else await self._cache.find(keys[-1]))
            await asyncio.sleep(0)
        bodies = [None if entry is None else entry.body for entry in known]
        rest = remaining(exchange.request, bodies)
        if rest is None:
            return _together(known, bodies)
        told = [entry for entry in known if entry is not None]
        if told:
            exchange.call.saved_usd = _sum(told)
        whole, exchange.request = exchange.request, rest
        if rest is not whole:
            exchange.body = rewrite.encode(rest)
        missing = [key for key, entry in zip(keys, known, strict=True) if entry is None]

        def finish(body: bytes, cost: float | None) -> bytes:
            self._keep(exchange, rest, missing, body, cost)
            answer = body if rest is whole else merged(bodies, body)
            if answer is None:
                message = "The provider's answer has not one vector for each input."
                raise Problem(502, "provider_reset", message)
            if exchange.leader:
                exchange.leader.land(self._relay.entry(exchange, answer, cost))
            return answer

        exchange.finish = finish
        return None

    def _keep(
        self,
        exchange: Exchange,
        asked: dict[str, Any],
        keys: list[bytes],
        body: bytes,
        cost: float | None,
    ) -> None:
        """Keep each vector of an answer with its share of the cost."""
        found = parts(asked, body)
        if found is None:
            return
        shares = apportioned(_MILLIONTHS, [max(len(part), 1) for part in found])
        for key, part, share in zip(keys, found, shares, strict=True):
            part_cost = None if cost is None else cost * share / _MILLIONTHS
            self._relay.keep(exchange, key, part, part_cost)


def _together(known: list[Entry | None], bodies: list[bytes | None]) -> Entry | None:
    """Return one entry for all inputs, as old as the oldest of their own."""
    told = [entry for entry in known if entry is not None]
    body = merged(bodies, None)
    if body is None or not told:
        return None
    oldest = min(told, key=lambda entry: entry.created_at)
    return msgspec.structs.replace(oldest, body=body, cost=_sum(told))


def _sum(entries: list[Entry]) -> float | None:
    costs = [entry.cost for entry in entries]
    return None if None in costs else sum(cost for cost in costs if cost is not None)
