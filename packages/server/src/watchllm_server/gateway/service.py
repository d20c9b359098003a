"""The gateway with all that lives and ends with it."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from watchllm_server.budget import Budget, too_many_calls
from watchllm_server.errors import StoreError
from watchllm_server.gateway.flow import Flow
from watchllm_server.gateway.forward import Forward
from watchllm_server.gateway.journal import Journal
from watchllm_server.gateway.meaning import PATIENCE, ByMeaning
from watchllm_server.gateway.providers.ask import Asker
from watchllm_server.gateway.providers.base import NoCredentials
from watchllm_server.gateway.providers.client import Client
from watchllm_server.gateway.providers.registry import Registry
from watchllm_server.gateway.record import Ledger
from watchllm_server.gateway.relay import Relay
from watchllm_server.gateway.routes import Gateway
from watchllm_server.gateway.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from watchllm_server import rows
    from watchllm_server.auth import Authenticator
    from watchllm_server.cache.rules import Rules
    from watchllm_server.cache.semantic import Semantic
    from watchllm_server.cache.store import CacheStore
    from watchllm_server.clock import Clock
    from watchllm_server.gateway.journal import Commit
    from watchllm_server.gateway.providers.base import Credentials, Providers
    from watchllm_server.gateway.record import Call
    from watchllm_server.limits import Limiter
    from watchllm_server.metadata import Erasure
    from watchllm_server.redaction import Redaction
    from watchllm_server.secrets import Seal

_SETTLING_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """What a gateway needs beside the rest: providers and their keys, a cache, room for a journal.

    `rules` says how answers are kept and looked up; `journal_bytes` may wait in `journal` for the
    event store, encrypted. The body of a request may have `body_bytes`, and those of all that are
    not answered yet `memory_bytes`. `semantic` matches questions by their meaning, and of what it
    answers, `compared_share` is asked upstream all the same; it ends with the gateway. The cache
    stays its maker's to close.
    """

    providers: Providers
    cache: CacheStore
    rules: Rules
    journal: Path
    journal_seal: Seal
    journal_bytes: int
    body_bytes: int
    memory_bytes: int
    limiter: Limiter
    semantic: Semantic
    client: Client = field(default_factory=Client)
    patience: float = PATIENCE
    compared_share: float = 0.05
    credentials: Credentials = field(default_factory=NoCredentials)


class Counts(Protocol):
    """What counts the work of the gateway."""

    def problem(self, code: str) -> None:
        """Count a request that is answered with an error of ours."""
        ...

    def gateway_call(self, provider: str, cache: str, status: str) -> None:
        """Count a call, by who answered, what the cache did and how it ended."""
        ...


class _Counted:
    """A ledger whose calls are counted."""

    def __init__(self, ledger: Ledger, counts: Counts) -> None:
        self._ledger = ledger
        self._counts = counts

    def record(self, call: Call) -> None:
        """Count a call and write it down."""
        self._counts.gateway_call(call.provider, call.cache, call.status)
        self._ledger.record(call)


class GatewayService:
    """Make a gateway of its parts. `start` and `close` it on the event loop that it serves on.

    `keys` finds the project that a key opens; `commit` stores what is recorded; `cost` returns the
    price of a project's call at once, or None, and `redactions` what is replaced in the events of
    each project, `erasures` what was erased since a moment. `counts` is told of each call and each
    request that is refused.
    """

    def __init__(
        self,
        parts: GatewayParts,
        keys: Authenticator,
        commit: Commit,
        cost: Callable[[rows.Call, str], Decimal | None],
        clock: Clock,
        *,
        redactions: Callable[[], Mapping[str, Redaction | None]],
        erasures: Callable[[datetime], Iterable[Erasure]],
        body_seconds: float,
        own: frozenset[str],
        counts: Counts,
    ) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._budget = Budget(max(parts.memory_bytes, parts.body_bytes), too_many_calls)
        self._client = parts.client
        self._journal = Journal(
            parts.journal,
            commit,
            capacity=parts.journal_bytes,
            seal=parts.journal_seal,
            redactions=redactions,
            erasures=erasures,
        )
        self._ledger = Ledger(self._journal, parts.limiter, cost)
        registry = Registry(parts.providers, parts.credentials)
        asker = Asker(self._client, clock)
        relay = Relay(asker, parts.cache, cost, clock, lifetime=parts.rules.seconds)
        self._by_meaning = ByMeaning(
            parts.semantic,
            parts.cache,
            parts.rules,
            clock,
            share=parts.compared_share,
            patience=parts.patience,
        )
        ledger = _Counted(self._ledger, counts)
        self.gateway = Gateway(
            SHAPES,
            keys,
            Flow(
                registry,
                relay,
                parts.cache,
                ledger,
                clock,
                by_meaning=self._by_meaning,
                admit=parts.limiter.admit,
            ),
            Forward(registry, asker, ledger, clock),
            registry=registry,
            clock=clock,
            budget=self._budget,
            body_bytes=parts.body_bytes,
            body_seconds=body_seconds,
            own=own,
            count_problem=counts.problem,
        )

    @property
    def waiting_bytes(self) -> int:
        """Return the bytes of recorded calls that wait for the store."""
        return self._journal.waiting_bytes

    @property
    def request_bytes(self) -> int:
        """Return the bytes of requests that are not answered yet."""
        return self._budget.used

    @property
    def lost(self) -> dict[str, int]:
        """Return how many calls were not recorded, by reason."""
        failed = {"failed": self._ledger.failures} if self._ledger.failures else {}
        return self._journal.lost | failed

    def start(self) -> None:
        """Begin to hand over what is recorded."""
        self._loop = asyncio.get_running_loop()
        self._journal.start()
        self._by_meaning.begin()

    def settle(self) -> None:
        """Wait on another thread until what is on its way to the store is there, or came back.

        Raises StoreError when it takes a minute, or the server ends meanwhile.
        """
        if self._loop is None or self._loop.is_closed():
            return
        waiting = asyncio.run_coroutine_threadsafe(self._journal.settle(), self._loop)
        try:
            waiting.result(_SETTLING_SECONDS)
        except (TimeoutError, CancelledError):
            waiting.cancel()
            raise StoreError("The event store does not answer.") from None

    async def close(self) -> None:
        """Hand over the rest, while there still is a writer, and let go of the providers."""
        await self._by_meaning.close()
        await self._journal.close()
        await self._client.close()
