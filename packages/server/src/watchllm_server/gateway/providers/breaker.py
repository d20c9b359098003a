"""Leave a provider alone for a while that has stopped answering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from watchllm_server.clock import Clock

FAILURES: Final = 5
OPEN_SECONDS: Final = 10.0


class Breaker:
    """Open after five failures in a row; let one request try after ten seconds, then all or none.

    Used by the event loop alone.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    def wait(self) -> float:
        """Return 0 when a request may be sent, or the seconds until one may.

        While the provider is left alone, the first to ask after the wait is the one that tries.
        """
        if self._failures < FAILURES:
            return 0.0
        now = self._clock.monotonic()
        if now < self._open_until:
            return self._open_until - now
        self._open_until = now + OPEN_SECONDS
        return 0.0

    @property
    def is_open(self) -> bool:
        """Return whether the provider is being left alone."""
        return self._failures >= FAILURES

    def succeeded(self) -> None:
        """Note that the provider answered."""
        self._failures = 0

    def failed(self) -> None:
        """Note that it did not, or said that it cannot."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._open_until = self._clock.monotonic() + OPEN_SECONDS
