"""From the key of a request to the project that it opens. No route reaches a project otherwise."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from watchllm_server.errors import (
    MetadataUnavailableError,
    Problem,
    metadata_unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime

    from watchllm_server.clock import Clock
    from watchllm_server.metadata import Grant, Scope

_SECONDS = 1.0
_MOST = 4_096
_MAX_LENGTH = 512
_MINUTE = 60.0


class Keys(Protocol):
    """What knows what a key opens."""

    def grant_of(self, secret: str) -> Grant | None:
        """Return what a key opens, or None for an unknown or revoked one."""
        ...


class RateLimiter:
    """Admit so many requests a minute by who asks: a minute's worth at once, then at that rate.

    It keeps one number for each: the moment at which all that was admitted is paid off. The counts
    are those of this process.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paid_off: OrderedDict[Hashable, float] = OrderedDict()

    def wait(self, who: Hashable, per_minute: int, *, count: bool = True) -> float:
        """Count a request and return 0, or the seconds after which it would be admitted."""
        now = self._clock.monotonic()
        cost = _MINUTE / per_minute
        debt = max(self._paid_off.get(who, now), now) - now
        if debt + cost > _MINUTE + cost / 2:
            return debt + cost - _MINUTE
        if not count:
            return 0.0
        self._paid_off[who] = now + debt + cost
        self._paid_off.move_to_end(who)
        while len(self._paid_off) > _MOST:
            self._paid_off.popitem(last=False)
        return 0.0


class Keyring:
    """Look up keys, remembering each answer for a second, and note when they are used.

    A key that is made or revoked elsewhere therefore counts after a second at the latest.
    `rate_limit` is in requests a minute for keys that have none of their own; 0 does not limit.
    Used by the event loop alone, but for `uses`.
    """

    def __init__(self, keys: Keys, clock: Clock, *, rate_limit: int = 0) -> None:
        self._keys = keys
        self._clock = clock
        self._rate_limit = rate_limit
        self._limiter = RateLimiter(clock)
        self._known: OrderedDict[str, tuple[float, Grant | None]] = OrderedDict()
        self._uses: dict[int, datetime] = {}

    def grant(self, authorization: str | None) -> Grant:
        """Return what a request's key opens; raise the Problem that answers 401 or 503."""
        secret = bearer(authorization)
        if not secret:
            message = "Send the project's key in a header: Authorization: Bearer wllm_..."
            raise Problem(401, "unknown_key", message)
        grant = self._look_up(secret) if len(secret) <= _MAX_LENGTH else None
        if grant is None:
            message = (
                "The API key is unknown or revoked: check WATCHLLM_API_KEY, or make a key with "
                "`watchllm keys create --project NAME`."
            )
            raise Problem(401, "unknown_key", message)
        return grant

    def admit(self, authorization: str | None, scope: Scope) -> Grant:
        """Return what a request's key opens if it has the scope and has not been used too often.

        Raises the Problem that answers 401, 403, 429 or 503.
        """
        grant = self.grant(authorization)
        if scope not in grant.scopes:
            message = (
                f"The API key has not the scope {scope!r}: make one that has with "
                f"`watchllm keys create --project {grant.project_id} --scope {scope}`."
            )
            raise Problem(403, "missing_scope", message)
        limit = self._rate_limit if grant.rate_limit is None else grant.rate_limit
        if limit and (wait := self._limiter.wait(grant.key_id, limit)):
            message = f"The API key admits {limit} requests a minute. Try again later."
            raise Problem(429, "rate_limited", message, retry_after=math.ceil(wait))
        self._uses[grant.key_id] = self._clock.now()
        return grant

    def forget(self) -> None:
        """Look up every key anew, where a revocation must count at once."""
        self._known = OrderedDict()

    def uses(self) -> dict[int, datetime]:
        """Return when keys were last used since this was asked before. Safe from any thread."""
        uses, self._uses = self._uses, {}
        return uses

    def _look_up(self, secret: str) -> Grant | None:
        now = self._clock.monotonic()
        known = self._known.get(secret)
        if known is not None and now - known[0] < _SECONDS:
            return known[1]
        try:
            grant = self._keys.grant_of(secret)
        except MetadataUnavailableError as error:
            raise metadata_unavailable() from error
        self._known[secret] = (now, grant)
        self._known.move_to_end(secret)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return grant


def bearer(authorization: str | None) -> str:
    """Return the secret of `Bearer SECRET`; empty where there is none."""
    scheme, _, secret = (authorization or "").strip().partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


class Authenticator:
    """Find a request's project by `Authorization: Bearer KEY`, for routes that need one scope."""

    def __init__(self, keyring: Keyring, scope: Scope) -> None:
        self._keyring = keyring
        self._scope = scope

    def project(self, authorization: str | None) -> str:
        """Return the project's id; raise the Problem that answers 401, 403, 429 or 503."""
        return self.grant(authorization).project_id

    def grant(self, authorization: str | None) -> Grant:
        """Return what the key opens; raise the Problem that answers 401, 403, 429 or 503."""
        return self._keyring.admit(authorization, self._scope)

    def confirm(self, authorization: str | None) -> None:
        """Look again once a request has been read, which may have taken a minute.

        Raises the Problem that answers 401 or 503 when its key was revoked or its project deleted
        meanwhile. The request is not counted again.
        """
        self._keyring.grant(authorization)
