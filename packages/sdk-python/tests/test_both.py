"""Batches that go two ways: the first decides, and the second harms nothing."""

from __future__ import annotations

import logging

from watchllm import WatchLLMClient
from watchllm.testing import MemoryTransport, Refused, Retry, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pytest


def client_of(first: Transport, second: Transport) -> WatchLLMClient:
    """Return a client that sends through both."""
    return WatchLLMClient(api_key="k", project_id="p", transport=first, also_to=second)


def test_what_is_delivered_goes_the_second_way_once() -> None:
    """A batch that is sent again reaches the second one when the first has taken it."""
    first, second = MemoryTransport(), MemoryTransport()
    first.answer(Retry("busy", after=0.01))
    with client_of(first, second) as client:
        client.log_error("run-1", "broken")
        assert client.flush(30)

    assert len(first.bodies) == 2
    assert second.bodies == first.bodies[1:]


def test_what_the_second_refuses_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The event is delivered, and counted as sent."""
    first, second = MemoryTransport(), MemoryTransport()
    second.answer(Refused("no"))
    with caplog.at_level(logging.WARNING), client_of(first, second) as client:
        client.log_error("run-1", "broken")
        assert client.flush(30)
        assert client.stats()["sent"] == 1

    assert "could not be carried to `also_to` as well: Refused." in caplog.text


class Broken(Transport):
    """A transport that fails in all that it does."""

    def send(self, body: bytes, timeout: float) -> Retry:
        raise OSError("made to fail")

    def close(self) -> None:
        raise OSError("made to fail")


def test_a_second_that_raises_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Sending and closing go on."""
    first = MemoryTransport()
    with caplog.at_level(logging.WARNING):
        client = client_of(first, Broken())
        client.log_error("run-1", "broken")
        assert client.flush(30)
        assert client.close(30)

    assert len(first.events) == 1
    assert "as well: OSError." in caplog.text


def test_both_forget_their_connections_after_a_fork() -> None:
    """Each is told that it is in a child."""
    from watchllm._both import Both
    from watchllm._log import Problems

    told = []

    class Forked(MemoryTransport):
        def after_fork(self) -> None:
            told.append(self)

    first, second = Forked(), Forked()
    Both(first, second, Problems()).after_fork()

    assert told == [first, second]
