"""What the server itself asks of a provider: vectors for the cache, and second opinions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from watchllm_server.cache.review import ChatReviewer
from watchllm_server.errors import ModelError, StartError
from watchllm_server.gateway.providers.ask import credentials
from watchllm_server.gateway.providers.base import Target
from watchllm_server.gateway.providers.breaker import Breaker
from watchllm_server.gateway.providers.client import UpstreamError

if TYPE_CHECKING:
    from watchllm_server.cache.endpoint import EndpointEmbedder, Post
    from watchllm_server.clock import Clock
    from watchllm_server.gateway.providers.base import Providers
    from watchllm_server.gateway.providers.client import Client

SECONDS: Final = 2.0
"""The longest that a lookup waits for an answer; then it goes on without one."""
MAX_BYTES: Final = 20_000_000
_OK: Final = 200


class Endpoint:
    """Post JSON to one path of a provider. Used on one event loop.

    Nothing is asked again, and a provider that fails is left alone for a while: whoever asks goes
    on without an answer.
    """

    def __init__(
        self, client: Client, target: Target, path: str, clock: Clock, *, seconds: float = SECONDS
    ) -> None:
        self._client = client
        self._provider = target.provider
        self._path = path
        self._headers = [
            ("content-type", "application/json"),
            ("accept-encoding", "identity"),
            *credentials(target, path),
        ]
        self._breaker = Breaker(clock)
        self._seconds = seconds

    async def post(self, body: bytes) -> bytes:
        """Return the body of a successful answer; raise ModelError for any other outcome.

        The error never quotes a key, a text or an answer.
        """
        if self._breaker.wait():
            raise ModelError(f"the provider {self._provider.name} is left alone: it has failed")
        try:
            found = await self._ask(body)
        except ModelError:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return found

    async def _ask(self, body: bytes) -> bytes:
        name = self._provider.name
        try:
            async with asyncio.timeout(self._seconds):
                reply = await self._client.send(
                    self._provider, "POST", self._path, self._headers, body
                )
                try:
                    found, whole = await reply.read(MAX_BYTES)
                finally:
                    reply.close()
        except TimeoutError:
            raise ModelError(
                f"the provider {name} did not answer within {self._seconds:g} seconds"
            ) from None
        except UpstreamError as error:
            said = str(error).rstrip(".")
            raise ModelError(said[:1].lower() + said[1:]) from None
        if reply.status != _OK or not whole:
            said = f"answered with status {reply.status}" if whole else "answered without end"
            raise ModelError(f"the provider {name} {said}")
        return found


class Endpoints:
    """Make what asks models of the server's own, each named PROVIDER/MODEL, with the server's key.

    Both methods raise StartError where the provider is not known, or a package is missing.
    """

    def __init__(self, providers: Providers, client: Client, clock: Clock) -> None:
        self._providers = providers
        self._client = client
        self._clock = clock

    def embedder(self, name: str) -> EndpointEmbedder:
        """Return what asks a model for vectors."""
        target = self._target(name)
        try:
            from watchllm_server.cache.endpoint import EndpointEmbedder  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise StartError(
                f"The package {error.name} is missing: install watchllm-server[semantic]."
            ) from None
        known_as = f"{target.provider.base_url} {target.model}"
        return EndpointEmbedder(known_as, target.model, self._post(target, "/embeddings"))

    def reviewer(self, name: str) -> ChatReviewer:
        """Return what asks a model for second opinions."""
        target = self._target(name)
        return ChatReviewer(target.model, self._post(target, "/chat/completions"))

    def _post(self, target: Target, path: str) -> Post:
        return Endpoint(self._client, target, path, self._clock).post

    def _target(self, name: str) -> Target:
        prefix, _, model = name.partition("/")
        provider = self._providers.by_name.get(prefix)
        if provider is None or not model:
            known = ", ".join(sorted(self._providers.by_name))
            raise StartError(
                f"The model {name!r} must be PROVIDER/MODEL, with a provider of {known}."
            )
        return Target(provider, model, provider.key)
