"""What the demo says of the calls through the gateway."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console
from watchllm_server.demo.recorded import Gatewayed
from watchllm_server.demo.screen import Screen


def call(cache: str, **metadata: float) -> dict[str, Any]:
    """Return a call as the gateway records it."""
    return {
        "event_type": "prompt_call",
        "cost_usd": 0,
        "latency_ms": 1,
        "status": "success",
        "response_metadata": {"cache": cache, **metadata},
    }


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            Gatewayed(2, (call("MISS"), call("HIT", saved_usd=0.25))),
            "2 calls through the gateway, 2 found; 1 cache hit saved $0.25000.",
        ),
        (
            Gatewayed(1, (call("HIT-COALESCED"),)),
            "1 call through the gateway, 1 found; 1 cache hit saved an unknown amount.",
        ),
        (
            Gatewayed(3, (call("MISS"),)),
            "3 calls through the gateway, 1 found; 0 cache hits saved $0.00000.",
        ),
    ],
)
def test_the_last_sentence_counts_what_was_made_found_and_saved(
    found: Gatewayed, sentence: str
) -> None:
    """It tells calls that are not in the store from those that are, and never invents a saving."""
    said = io.StringIO()

    Screen(Console(file=said, width=80)).gatewayed(found, "demo-gateway")

    assert sentence in said.getvalue()
    assert "demo-gateway, so that none counts twice" in re.sub(r"\s+", " ", said.getvalue())
