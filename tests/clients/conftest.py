"""A gateway before a provider, for programs that run in environments of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from endpoint import PROVIDER_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from conftest import Server


@pytest.fixture(scope="session")
def gateway(serving: Callable[..., AbstractContextManager[Server]]) -> Iterator[Server]:
    """Run a server whose providers openai and anthropic are one scripted endpoint."""
    endpoint = Path(__file__).parent / "endpoint.py"
    with subprocess.Popen(
        [sys.executable, endpoint, PROVIDER_KEY], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        settings = {
            f"WATCHLLM_PROVIDER_{name}_{setting}": value
            for name in ("OPENAI", "ANTHROPIC")
            for setting, value in (("BASE_URL", url), ("API_KEY", PROVIDER_KEY))
        }
        try:
            with serving(**settings) as server:
                yield server
        finally:
            process.terminate()
