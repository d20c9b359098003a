"""The client of the process."""

from __future__ import annotations

import pytest
from conftest import log_call

import watchllm
from watchllm.testing import MemoryTransport


def test_get_client_returns_what_init_made_and_init_closes_the_one_before() -> None:
    """There is one default client at a time; the one before delivers what it has."""
    first = MemoryTransport()
    made = watchllm.init(api_key="k", project_id="p", transport=first)
    log_call(watchllm.get_client())

    assert watchllm.get_client() is made
    again = watchllm.init(api_key="k", project_id="p", transport=MemoryTransport())
    assert watchllm.get_client() is again
    assert len(first.events) == 1
    again.close()


def test_without_init_the_client_is_made_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new process gets a default client from WATCHLLM_*, or is told what is missing."""
    from watchllm._default import Default

    fresh = Default()
    with pytest.raises(watchllm.ConfigurationError, match="WATCHLLM_API_KEY"):
        fresh.get()
    monkeypatch.setenv("WATCHLLM_ENABLED", "false")
    client = fresh.get()

    assert fresh.get() is client
    fresh.after_fork()
    assert fresh.get() is client
    client.close()
