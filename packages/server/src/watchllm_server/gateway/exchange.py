"""One request to a known API on its way, and what the gateway says of it in headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from watchllm_server.cache.key import request_key
from watchllm_server.errors import Problem
from watchllm_server.gateway import headers
from watchllm_server.gateway.providers.ask import Trail
from watchllm_server.gateway.record import SEMANTIC, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchllm_server.cache.entry import Entry
    from watchllm_server.cache.flights import Leader
    from watchllm_server.gateway.headers import Pairs, RawPairs, Wishes
    from watchllm_server.gateway.meaning import Search
    from watchllm_server.gateway.providers.base import Target
    from watchllm_server.gateway.record import Call
    from watchllm_server.gateway.shapes.base import Asked, Shape

_MAX_MESSAGE: Final = 2_000


@dataclass(slots=True)
class Exchange:
    """A request, from the moment at which its body has arrived, and what is known of its answer."""

    shape: Shape
    project: str
    wishes: Wishes
    passed: Pairs
    body: bytes
    request: dict[str, Any]
    asked: Asked
    query: str
    call: Call
    key: bytes | None = None
    """What its answer is kept under; None where it may not be."""
    generation: int = 0
    """Of the project's answers when it came: once any were forgotten, its answer is not kept."""
    leader: Leader[bool, Entry] | None = None
    """The seat in which it asks for others too."""
    following: bool = False
    """Whether another's call is waited for."""
    when_kept: Callable[[Entry], object] | None = None
    """Is told of the entry that its answer is kept as."""
    search: Search | None = None
    """What is looked for by the meaning of its question."""
    finish: Callable[[bytes, float | None], bytes] | None = None
    """Takes a successful answer and its cost in place of the cache; returns the client's body."""
    waited: float = 0.0
    """Seconds in which the provider was waited for: what is beyond them is our own time."""
    trail: Trail = field(default_factory=Trail)

    def aim(self, target: Target) -> None:
        """Note who is asked."""
        self.call.provider = target.provider.name
        self.call.price_id = target.provider.price_id
        self.call.model = target.model

    def lead(self, leader: Leader[bool, Entry]) -> None:
        """Note that this asks itself, also after it has waited for another's call in vain."""
        self.leader, self.following = leader, False
        self.call.cache = "MISS"
        self.call.answer, self.call.complete = None, True

    def key_for(self, target: Target, request: dict[str, Any]) -> bytes:
        """Return what the answer to a request is kept under.

        Raises the Problem that answers 400 to a request that is nested too deeply.
        """
        if target.model != self.asked.model:
            # By whichever name it was asked for, it is the same model.
            request = {**request, "model": target.model}
        try:
            return request_key(
                project=self.project,
                namespace=self.wishes.namespace,
                provider=target.provider.name,
                shape=self.shape.name,
                request=request,
                headers=self.passed,
                query=self.query,
            )
        except RecursionError:
            message = "The body of the request is nested too deeply."
            raise Problem(400, "invalid_json", message) from None

    def told(self, now: float, *, cost: float | None = None, age: float | None = None) -> RawPairs:
        """Return the headers that say what became of the request by now, on the monotonic clock.

        `cost` is in US dollars; `age` is that of a kept answer, in seconds.
        """
        call = self.call
        total = now - call.started
        told: RawPairs = [
            (b"x-watchllm-event-id", call.event_id.encode()),
            (b"x-watchllm-provider", call.provider.encode()),
            (b"x-watchllm-cache", call.cache.encode()),
            (b"x-watchllm-latency-ms", b"%.2f" % (1_000 * total)),
            (b"x-watchllm-overhead-ms", b"%.2f" % (1_000 * (total - self.waited))),
        ]
        if not call.request_id:
            told.append((b"x-request-id", call.event_id.encode()))
        if age is not None:
            told.append((b"x-watchllm-cache-age", b"%d" % max(age, 0)))
        if call.near is not None and call.cache == SEMANTIC:
            told.append((b"x-watchllm-cache-similarity", b"%.4f" % call.near.similarity))
        if call.saved_usd is not None:
            told.append((b"x-watchllm-saved-usd", _dollars(call.saved_usd)))
        if cost is not None:
            told.append((b"x-watchllm-cost-usd", _dollars(cost)))
        if left := self.trail.fallback_from:
            told.append((b"x-watchllm-fallback-from", headers.encoded(left)))
        return told

    def may_be_given_up(self) -> bool:
        """Return whether nobody loses by it when this stops, now that its client is gone.

        An answer without streaming is paid for in any case: it is waited for, and kept.
        """
        if self.following:
            return True
        return self.asked.stream and not (self.leader and self.leader.followers)


def _dollars(amount: float) -> bytes:
    return f"{amount:.12f}".rstrip("0").rstrip(".").encode() or b"0"


def without_key(body: bytes, target: Target) -> bytes:
    """Return an error body without the key that was sent, should the provider have quoted it."""
    if target.key and (key := target.key.encode()) in body:
        return body.replace(key, b"[provider key]")
    return body


def fault(status: int, body: bytes) -> Fault:
    """Return what an error body says, in whichever API's form."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    message, kind, code = error, None, None
    if isinstance(error, dict):
        message, kind, code = (error.get(name) for name in ("message", "type", "code"))
    text = message if isinstance(message, str) and message else f"The provider answered {status}."
    return Fault(
        text[:_MAX_MESSAGE],
        kind[:100] if isinstance(kind, str) else "provider_error",
        str(code)[:100] if isinstance(code, str | int) else str(status),
    )
