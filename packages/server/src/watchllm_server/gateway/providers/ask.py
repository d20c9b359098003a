"""Ask one provider after another until one answers: retries, fallbacks, limits, broken circuits."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from watchllm_server.errors import Problem
from watchllm_server.gateway.providers.breaker import Breaker
from watchllm_server.gateway.providers.client import Client, Reply, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from watchllm_server.clock import Clock
    from watchllm_server.gateway.headers import Pairs
    from watchllm_server.gateway.providers.base import Provider, Target

RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504, 529})
"""Statuses after which a request is sent again, or to the next provider."""
_AWAY: Final = frozenset({502, 503, 504, 529})
"""Statuses that count against a provider as a whole: others tell of one request."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_QUEUE_SECONDS: Final = 10.0


@dataclass(slots=True)
class Trail:
    """What happened on the way to an answer: attempts, and the providers that were left behind."""

    attempts: int = 0
    left: list[str] = field(default_factory=list)

    @property
    def fallback_from(self) -> str:
        """Return the first provider and model that did not answer; empty when the first did."""
        return self.left[0] if self.left else ""


class Question(NamedTuple):
    """What is asked, of whichever provider: `body_for` returns the body that a target gets."""

    method: str
    path: str
    headers: Pairs
    body_for: Callable[[Target], bytes | None]


class Asker:
    """Send a request to the first of its targets that takes it. Used on one event loop."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}

    async def ask(
        self, targets: Sequence[Target], question: Question, trail: Trail
    ) -> tuple[Target, Reply]:
        """Return who answered and the answer, when its head has come; close it in any case.

        Nothing is sent again once the head of an answer has come that is not one of `RETRIED`.
        Where nothing is left to try, such an answer is returned as it came. Raises the Problem that
        answers 429, 502, 503 or 504 when no provider answered at all.
        """
        problem: Problem | None = None
        for number, target in enumerate(targets):
            is_last = number == len(targets) - 1
            breaker = self._breaker(target.provider)
            if wait := breaker.wait():
                problem = _left_alone(target.provider, wait)
            else:
                try:
                    reply = await self._persist(target, question, trail)
                except UpstreamError as error:
                    problem = error.problem
                else:
                    if is_last or reply.status not in RETRIED:
                        return target, reply
                    reply.close()
            if not is_last:
                trail.left.append(f"{target.provider.name}/{target.model}")
        assert problem is not None  # noqa: S101 - the last target answered or made one
        raise problem

    async def _persist(self, target: Target, question: Question, trail: Trail) -> Reply:
        """Ask one provider, again where that may help; return what it said last."""
        provider = target.provider
        breaker = self._breaker(provider)
        headers = [*question.headers, *credentials(target, question.path)]
        body = question.body_for(target)
        for attempt in range(provider.retries + 1):
            trail.attempts += 1
            pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311 - spread, not secrecy
            try:
                reply = await self._once(provider, question, headers, body)
            except UpstreamError as error:
                if error.kind != "busy":
                    breaker.failed()
                if attempt == provider.retries or breaker.is_open:
                    raise
            else:
                if reply.status in _AWAY:
                    breaker.failed()
                else:
                    breaker.succeeded()
                asked = _retry_after(reply)
                final = attempt == provider.retries or asked > _LONGEST_PAUSE or breaker.is_open
                if final or reply.status not in RETRIED:
                    return reply
                pause = max(pause, asked)
                reply.close()
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    async def _once(
        self, provider: Provider, question: Question, headers: Pairs, body: bytes | None
    ) -> Reply:
        method, path = question.method, question.path
        if not provider.max_concurrency:
            return await self._client.send(provider, method, path, headers, body)
        slots = self._slots.setdefault(provider.name, asyncio.Semaphore(provider.max_concurrency))
        try:
            async with asyncio.timeout(_QUEUE_SECONDS):
                await slots.acquire()
        except TimeoutError:
            message = f"The provider {provider.name} has as many requests in hand as it may have."
            raise UpstreamError("busy", message) from None
        try:
            reply = await self._client.send(provider, method, path, headers, body)
        except BaseException:
            slots.release()
            raise
        reply.when_closed(slots.release)
        return reply

    def _breaker(self, provider: Provider) -> Breaker:
        found = self._breakers.get(provider.name)
        if found is None:
            found = self._breakers[provider.name] = Breaker(self._clock)
        return found


def credentials(target: Target, path: str) -> Pairs:
    """Return the header that carries the key of a target, for a path; none where it has no key."""
    if not target.key:
        return []
    auth = target.provider.auth
    if auth == "api-key":
        return [("api-key", target.key)]
    if auth == "x-api-key" and path.startswith(("/messages", "/models", "/complete?")):
        return [("x-api-key", target.key)]
    return [("authorization", f"Bearer {target.key}")]


def _retry_after(reply: Reply) -> float:
    """Return the seconds that a provider asks to wait; more than is waited for `never`."""
    if reply.header("x-should-retry").lower() == "false":
        return math.inf
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = reply.header(name)
        if not text:
            continue
        try:
            return max(float(text) * unit, 0.0)
        except ValueError:
            # A date; whoever names one means more than a moment.
            return math.inf
    return 0.0


def _left_alone(provider: Provider, seconds: float) -> Problem:
    message = (
        f"The provider {provider.name} has not answered for a while, and is asked again in a few "
        "seconds."
    )
    return Problem(503, "provider_unavailable", message, retry_after=math.ceil(seconds))
