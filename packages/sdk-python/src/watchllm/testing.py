"""A kit for your tests, and ours: a transport that keeps what is sent, and a clock set by hand.

transport = MemoryTransport()
client = WatchLLMClient(api_key="k", project_id="p", transport=transport)
...
client.flush()
assert transport.events[0]["prompt"] == "..."

With pytest, what any client of the app logs is in the fixture `watchllm_events`:

def test_my_app(watchllm_events):
    my_app.answer("...")
    assert watchllm_events[0]["model"] == "gpt-4o"
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import contextmanager

from watchllm._default import default as _default
from watchllm._outcome import (
    Delivered,
    Outcome,
    Refusal,
    Refused,
    Retry,
    TooLarge,
    Unauthorised,
)
from watchllm._runtime import Clock
from watchllm._transport import Transport
from watchllm._transport import stand_in as _stand_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

__all__ = [
    "CapturedEvents",
    "Clock",
    "Delivered",
    "ManualClock",
    "MemoryTransport",
    "Outcome",
    "Refusal",
    "Refused",
    "Retry",
    "TooLarge",
    "Transport",
    "Unauthorised",
    "capture",
]

PATIENCE_SECONDS = 30.0  # after which a test that waits has failed


class MemoryTransport(Transport):
    """Keep the batches that a client sends, and answer as told. Safe to use from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._script: list[Outcome | Callable[[], Outcome]] = []
        self.bodies: list[bytes] = []
        """Every body that was sent, also those that were not answered with Delivered."""
        self.events: list[dict[str, Any]] = []
        """The events of the bodies that were answered with Delivered, decoded."""

    def answer(self, *outcomes: Outcome | Callable[[], Outcome]) -> None:
        """Answer the next bodies with these, one each, and later ones with Delivered again.

        A callable is called on the client's thread to get the outcome; it may block.
        """
        with self._changed:
            self._script.extend(outcomes)

    def send(self, body: bytes, timeout: float) -> Outcome:  # noqa: ARG002 - nothing takes time
        """Keep a body and give the next answer."""
        with self._changed:
            self.bodies.append(body)
            outcome = self._script.pop(0) if self._script else Delivered()
            self._changed.notify_all()
        if not isinstance(outcome, Outcome):
            outcome = outcome()
        if isinstance(outcome, Delivered):
            with self._changed:
                self.events.extend(json.loads(body)["events"])
                self._changed.notify_all()
        return outcome

    def wait_for_bodies(self, number: int) -> None:
        """Wait until so many bodies were sent; raises TimeoutError after 30 seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.bodies) >= number, PATIENCE_SECONDS):
                raise TimeoutError(f"{len(self.bodies)} bodies were sent, not {number}")

    def wait_for_events(self, number: int) -> None:
        """Wait until so many events were delivered; raises TimeoutError after 30 seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.events) >= number, PATIENCE_SECONDS):
                raise TimeoutError(f"{len(self.events)} events were delivered, not {number}")


class ManualClock(Clock):
    """A clock that stands still until it is moved, and wakes those who wait on it then."""

    def __init__(self, time_ns: int = 1_764_000_000_000_000_000) -> None:
        self._time_ns = time_ns
        self._seconds = 0.0
        self._waiting: dict[threading.Condition, float | None] = {}
        self._changed = threading.Condition()

    def time_ns(self) -> int:
        """Return nanoseconds since 1970, UTC."""
        return self._time_ns

    def monotonic(self) -> float:
        """Return the seconds that the clock was moved by."""
        return self._seconds

    def wait(self, condition: threading.Condition, until: float | None) -> None:
        """Wait until the condition is notified or the clock is moved to `until`."""
        with self._changed:
            self._waiting[condition] = until
            self._changed.notify_all()
        # Whoever moves the clock after this notifies the condition, which needs its lock, which is
        # released by the waiting: no movement is missed.
        if until is None or self._seconds < until:
            condition.wait()
        with self._changed:
            self._waiting.pop(condition, None)

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        with self._changed:
            self._seconds += seconds
            self._time_ns += int(seconds * 1_000_000_000)
            waiting = list(self._waiting)
        for condition in waiting:
            with condition:
                condition.notify_all()

    def advance_to_deadline(self) -> float:
        """Wait until somebody waits for a moment, move the clock to it; return the seconds moved.

        Raises TimeoutError if nobody does within 30 seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._deadlines()), PATIENCE_SECONDS):
                raise TimeoutError("nobody waits for a moment")
            seconds = max(0.0, min(self._deadlines()) - self._seconds)
        self.advance(seconds)
        return seconds

    def _deadlines(self) -> list[float]:
        return [until for until in self._waiting.values() if until is not None]


class CapturedEvents(Sequence):  # type: ignore[type-arg] # 3.8 cannot subscript it at run time
    """The events that an app has logged, as they would be sent: redacted, in their order.

    A sequence of dicts; every look at it has the app's clients send what they hold.
    """

    def __init__(self, transport: MemoryTransport) -> None:
        self.transport = transport

    def all(self) -> list[dict[str, Any]]:
        """Return all events so far."""
        for client in _stand_in.clients:
            client.flush(PATIENCE_SECONDS)
        return list(self.transport.events)

    def of_type(self, event_type: str) -> list[dict[str, Any]]:
        """Return the events of one type, such as "prompt_call"."""
        return [event for event in self.all() if event["event_type"] == event_type]

    def __len__(self) -> int:
        return len(self.all())

    def __getitem__(self, index: Any) -> Any:
        return self.all()[index]

    def __repr__(self) -> str:
        return f"CapturedEvents({self.all()!r})"


@contextmanager
def capture() -> Iterator[CapturedEvents]:
    """Have every client that is made meanwhile keep its events here instead of sending them.

    `with capture() as events:`; pytest has the same as the fixture `watchllm_events`. Clients need
    no key and no project then, and `get_client()` makes a new one. Not for use in two threads at
    once.
    """
    before = _stand_in.transport, _stand_in.clients, _default.swap(None)
    _stand_in.transport, _stand_in.clients = MemoryTransport(), []
    try:
        yield CapturedEvents(_stand_in.transport)
    finally:
        for client in _stand_in.clients:
            client.close()
        _stand_in.transport, _stand_in.clients = before[:2]
        _default.swap(before[2])
