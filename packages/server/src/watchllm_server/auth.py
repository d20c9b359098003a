"""From the key of a request to the project that it opens."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from watchllm_server.clock import Clock

_SECONDS = 1.0
_MOST = 4_096
_MAX_LENGTH = 512


class Keys(Protocol):
    """What knows which project a key opens."""

    def project_of(self, secret: str) -> str | None:
        """Return a project's id, or None for an unknown key."""
        ...


class Authenticator:
    """Find a request's project by `Authorization: Bearer KEY`.

    An answer is remembered for a second, so that a key that is made or removed elsewhere counts
    after a second at the latest. Safe to use from any thread.
    """

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, str | None]] = OrderedDict()

    def project(self, authorization: str | None) -> str:
        """Return the project's id; raise the Problem that answers 401."""
        scheme, _, secret = (authorization or "").strip().partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            message = "Send the project's key in a header: Authorization: Bearer wllm_..."
            raise Problem(401, "unknown_key", message)
        project_id = self._look_up(secret) if len(secret) <= _MAX_LENGTH else None
        if project_id is None:
            message = (
                "The API key is unknown: check WATCHLLM_API_KEY, or make a key with "
                "`watchllm keys create --project NAME`."
            )
            raise Problem(401, "unknown_key", message)
        return project_id

    def _look_up(self, secret: str) -> str | None:
        now = self._clock.monotonic()
        known = self._known.get(secret)
        if known is not None and now - known[0] < _SECONDS:
            return known[1]
        project_id = self._keys.project_of(secret)
        self._known[secret] = (now, project_id)
        self._known.move_to_end(secret)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return project_id
