"""What pages ask and act through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchllm_server.access import Access
    from watchllm_server.auth import Keyring
    from watchllm_server.cache.rules import Rules
    from watchllm_server.cache.semantic import Semantic
    from watchllm_server.cache.store import CacheStore
    from watchllm_server.clock import Clock
    from watchllm_server.credentials import ProjectKeys
    from watchllm_server.keeping.erasure import Eraser
    from watchllm_server.metadata import Metadata
    from watchllm_server.own_prices import OwnPrices
    from watchllm_server.settings import Settings
    from watchllm_server.store.base import EventStore


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the server that pages use, as the application has wired them.

    What belongs to the gateway is None on a server without one; so are the keys of providers on a
    server that cannot keep secrets.
    """

    settings: Settings
    store: EventStore
    metadata: Metadata
    access: Access
    clock: Clock
    keyring: Keyring
    pricing: OwnPrices
    eraser: Eraser
    provider_keys: ProjectKeys | None = None
    cache: CacheStore | None = None
    rules: Rules | None = None
    semantic: Semantic | None = None
