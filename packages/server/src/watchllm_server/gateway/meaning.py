"""Questions through the cache by their meaning: looked up, answered or measured, and kept."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from watchllm_server.cache.calibrate import LEVELS, NEVER
from watchllm_server.cache.entry import Kept
from watchllm_server.cache.judgements import Decision
from watchllm_server.cache.scope import question_of
from watchllm_server.cache.semantic import FAILED, groups_of
from watchllm_server.errors import Problem
from watchllm_server.gateway.caller import Caller
from watchllm_server.gateway.exchange import Exchange
from watchllm_server.gateway.record import SEMANTIC, Call, Near

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from starlette.types import Message

    from watchllm_server.cache.embed import Vector
    from watchllm_server.cache.entry import Entry
    from watchllm_server.cache.rules import Rules
    from watchllm_server.cache.scope import Question
    from watchllm_server.cache.semantic import Found, Semantic
    from watchllm_server.cache.store import CacheStore
    from watchllm_server.cache_settings import Matching
    from watchllm_server.clock import Clock
    from watchllm_server.gateway.providers.base import Target
    from watchllm_server.gateway.shapes.base import Answer

    Run = Callable[[Exchange, Caller], Awaitable[None]]

_log = logging.getLogger(__name__)
# Seconds that a request which may be served waits for its lookup: one that is slower is worth less
# than it saves, and the request is asked upstream.
PATIENCE: Final = 0.25
# Comparisons in hand beyond which the next one is left out, and calls that are made for them.
_MOST_COMPARED: Final = 16
_MOST_ASKED: Final = 4
# Bytes of a request that is asked once more: it stays in memory until then.
_LARGEST: Final = 1_000_000
_CLOSING_SECONDS: Final = 2.0
_OK: Final = 200


@dataclass(slots=True)
class Search:
    """What is looked for by the meaning of one question, and what was found.

    `found` is what is sure enough to be measured, `entry` its answer.
    """

    question: Question
    matching: Matching
    groups: tuple[str, ...]
    task: asyncio.Task[None] | None = None
    vector: Vector | None = None
    found: Found | None = None
    entry: Entry | None = None

    @property
    def is_open(self) -> bool:
        """Say whether the lookup is still under way."""
        return self.task is not None and not self.task.done()


class ByMeaning:
    """Answer questions of like meaning from the cache, or measure how right that would be.

    `share` of the hits that are served are asked upstream all the same, once their clients have
    been answered; `patience` is how many seconds one that may be served waits for its lookup.
    Used on one event loop.
    """

    def __init__(
        self,
        semantic: Semantic,
        cache: CacheStore,
        rules: Rules,
        clock: Clock,
        *,
        share: float,
        patience: float = PATIENCE,
    ) -> None:
        self._semantic = semantic
        self._cache = cache
        self._rules = rules
        self._clock = clock
        self._share = share
        self._patience = patience
        self._tasks: set[asyncio.Task[None]] = set()
        self._comparing = 0
        self._asking = 0

    async def prepare(self, exchange: Exchange, target: Target) -> Entry | None:
        """Begin to look a request's question up; return the answer that it is served.

        Only what may be served is waited for. All else is looked up while the provider is asked.
        """
        search = self._search(exchange, target)
        if search is None:
            return None
        exchange.search = search
        exchange.when_kept = lambda entry: self._start(self._keep(exchange, search, entry))
        if exchange.wishes.no_cache:
            return None
        search.task = self._start(self._look_up(exchange, search))
        if search.matching.mode != "serve":
            return None
        await asyncio.wait({search.task}, timeout=self._patience)
        # While it was looked up, an equal request may have been answered.
        entry = None if exchange.key is None else await self._cache.find(exchange.key)
        if entry is not None:
            exchange.call.cache = "HIT"
        elif search.found is not None and search.found.serves:
            entry = await self._cache.find(search.found.key)
            exchange.call.cache = SEMANTIC if entry else "MISS"
        return entry

    def settle(self, exchange: Exchange, record: Callable[[Call], None], run: Run) -> None:
        """Record an answered request, and learn from it; `run` asks upstream for a comparison."""
        search = exchange.search
        if search is not None and search.is_open:
            self._start(self._settle_later(exchange, search, record, run))
            return
        record(exchange.call)
        if search is not None and search.found is not None and search.entry is not None:
            self._start(self._learn(exchange, search, search.found, search.entry, run))

    async def close(self) -> None:
        """End what goes on in the background."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING_SECONDS)
        for task in self._tasks:
            task.cancel()
        await self._semantic.close()

    def begin(self) -> None:
        """Load the model, if a project or the server would use it."""
        if self._rules.matches:
            self._semantic.begin()

    def _search(self, exchange: Exchange, target: Target) -> Search | None:
        wishes = exchange.wishes
        if wishes.cache == "exact" or self._semantic.status == FAILED:
            return None
        matching = self._rules.matching(exchange.project, exchange.shape.path)
        if wishes.cache == "semantic":
            matching = matching._replace(mode="serve")
        if matching.mode == "off":
            return None
        request = exchange.request
        if target.model != exchange.asked.model:
            request = {**request, "model": target.model}
        question = question_of(
            project=exchange.project,
            namespace=wishes.namespace,
            provider=target.provider.name,
            shape=exchange.shape.name,
            request=request,
            headers=exchange.passed,
            query=exchange.query,
        )
        if question is None:
            return None
        return Search(question, matching, groups_of(exchange.project, target.model, question.scope))

    async def _look_up(self, exchange: Exchange, search: Search) -> None:
        known, found = await self._semantic.look_up(
            search.question, search.groups, search.matching.max_error_rate
        )
        search.vector = None if known is None else known.vector
        if found is None or found.verdict.confidence < LEVELS[-1] or found.key == exchange.key:
            return
        entry = await self._cache.find(found.key, serve=False)
        if entry is None:
            # Another node may have kept it.
            kept = await self._semantic.answer(found.key)
            if kept is None or kept.project != exchange.project:
                await self._semantic.drop(found.key)
                return
            self._cache.put(found.key, *kept, generation=exchange.generation)
            entry = kept.entry
        search.entry, search.found = entry, found
        verdict = found.verdict
        exchange.call.near = Near(
            entry.event_id,
            round(verdict.confidence, 4),
            round(verdict.cosine, 4),
            found.serves,
            entry.cost,
        )

    async def _keep(self, exchange: Exchange, search: Search, entry: Entry) -> None:
        if search.task is not None:
            await asyncio.wait({search.task})
            if search.vector is None:
                # It cannot be read, or others wait: that is so for keeping it as well.
                return
        if exchange.key is None:
            return
        project, generation = exchange.project, exchange.generation
        await self._semantic.keep(
            search.question,
            search.vector,
            exchange.key,
            Kept(project, exchange.wishes.namespace, entry),
            lambda: self._cache.generation(project) == generation,
        )

    async def _settle_later(
        self, exchange: Exchange, search: Search, record: Callable[[Call], None], run: Run
    ) -> None:
        try:
            if search.task is not None:
                await asyncio.wait({search.task}, timeout=_CLOSING_SECONDS)
        finally:
            record(exchange.call)
        if search.found is not None and search.entry is not None:
            await self._learn(exchange, search, search.found, search.entry, run)

    async def _learn(
        self, exchange: Exchange, search: Search, found: Found, entry: Entry, run: Run
    ) -> None:
        """Take down what was decided, and compare the stored answer with another."""
        call, (mode, rate) = exchange.call, search.matching
        served = call.cache == SEMANTIC
        if call.is_hit and not served:
            return
        decision = Decision(
            key=found.key,
            stored_event_id=entry.event_id,
            groups=search.groups,
            mode=mode,
            max_error_rate=rate,
            served=served,
            confidence=found.verdict.confidence,
            similarity=found.verdict.cosine,
            threshold=found.threshold,
            group=found.group,
            vetoes=found.verdict.vetoes,
            trees=found.verdict.trees,
            network=found.verdict.network,
            saved_usd=entry.cost,
            at=self._clock.now().timestamp(),
        )
        await self._semantic.decide(exchange.project, call.event_id, decision)
        other = call
        weight = 1.0 if mode == "shadow" or found.threshold == NEVER else self._share
        if served:
            if random.random() >= self._share:  # noqa: S311 - a sample, no secret
                return
            other, weight = await self._ask(exchange, run), 1.0
        if not _is_comparable(other) or exchange.trail.left or self._comparing >= _MOST_COMPARED:
            return
        stored = said(exchange.shape.answer(entry.body))
        self._comparing += 1
        try:
            await self._semantic.compare(
                exchange.project, call.event_id, decision, (stored, said(other.answer)), weight,
                question=search.question.text,
            )  # fmt: skip
        finally:
            self._comparing -= 1

    async def _ask(self, exchange: Exchange, run: Run) -> Call:
        """Ask upstream what was answered from the cache, and return that call, with its answer."""
        before = exchange.call
        call = Call(
            project=before.project,
            key_id=before.key_id,
            shape=before.shape,
            started=self._clock.monotonic(),
            at=self._clock.now(),
            asked=before.asked,
            comparison_of=before.event_id,
            run_id=before.run_id,
            user_id=before.user_id,
            tags=before.tags,
            release=before.release,
            env=before.env,
        )
        again = Exchange(
            shape=exchange.shape,
            project=exchange.project,
            wishes=replace(exchange.wishes, cache="off"),
            passed=exchange.passed,
            body=exchange.body,
            request=exchange.request,
            asked=exchange.asked,
            query=exchange.query,
            call=call,
        )
        if self._asking < _MOST_ASKED and len(exchange.body) <= _LARGEST:
            self._asking += 1
            try:
                # What went wrong is in the call's record.
                with suppress(Problem):
                    await run(again, Caller({}, _never, _nowhere))
            finally:
                self._asking -= 1
        return call

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def said(answer: Answer | None) -> str:
    """Return what an answer says and which tools it asks for, to be compared with another's."""
    if answer is None:
        return ""
    asked = [[each.get("name"), each.get("arguments")] for each in answer.tool_calls]
    return f"{answer.text}\n{msgspec.json.encode(asked).decode()}" if asked else answer.text


def _is_comparable(call: Call) -> bool:
    is_whole = call.complete and call.status == "success" and call.http_status == _OK
    return is_whole and bool(said(call.answer))


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """Do what no request may fail by."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - whatever it was, the user's call goes on
        # The text of the error may hold what the user wrote.
        _log.error("A question could not be matched by its meaning: %s", type(error).__name__)


async def _never() -> Message:
    """Wait: nobody is there who could go away."""
    await asyncio.Event().wait()
    raise AssertionError  # pragma: no cover - an event that nobody sets


async def _nowhere(message: Message) -> None:
    """Send nothing: nobody listens."""
