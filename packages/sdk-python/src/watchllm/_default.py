"""The client of the process, for code that does not want to pass one around."""

from __future__ import annotations

import threading

from watchllm._client import WatchLLMClient
from watchllm._runtime import call_after_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Default:
    """Hold one client, made when it is first asked for."""

    def __init__(self) -> None:
        self._client: WatchLLMClient | None = None
        self.after_fork()
        call_after_fork(self)

    def after_fork(self) -> None:
        """Forget a lock that another thread of the parent may have held."""
        self._lock = threading.RLock()

    def put(self, client: WatchLLMClient) -> None:
        """Hold this client from now on, and close the one before."""
        with self._lock:
            before, self._client = self._client, client
        if before is not None:
            before.close()

    def swap(self, client: WatchLLMClient | None) -> WatchLLMClient | None:
        """Hold another client, or none, and return the one before, which stays open."""
        with self._lock:
            before, self._client = self._client, client
        return before

    def get(self) -> WatchLLMClient:
        """Return the client; make it from the environment if there is none."""
        with self._lock:
            if self._client is None:
                self._client = WatchLLMClient()
            return self._client

    def made(self) -> WatchLLMClient | None:
        """Return the client if there is one."""
        return self._client


default = Default()


def init(**options: Any) -> WatchLLMClient:
    """Make the client that `get_client()` returns, from the arguments of `WatchLLMClient`.

    Closes the one before, if there was one. Raises ConfigurationError as the client does.
    """
    client = WatchLLMClient(**options)
    default.put(client)
    return client


def get_client() -> WatchLLMClient:
    """Return the client that `init()` made; without one, make it from the environment.

    Raises ConfigurationError if the environment does not hold what is required.
    """
    return default.get()
