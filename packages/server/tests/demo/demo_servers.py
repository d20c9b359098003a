"""The real processes that the demo's tests talk to."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchllm_server.demo.children import HOST, child, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = "proj-demo-tests"
KEY = "wllm_key-of-the-demo-tests-0123456789abcdef"


@dataclass(frozen=True)
class Running:
    """A server on a port of the loopback interface."""

    port: int

    @property
    def url(self) -> str:
        """The base URL that a client is given."""
        return f"http://{HOST}:{self.port}/v1"


@contextlib.contextmanager
def scripted_endpoint(folder: Path) -> Iterator[Running]:
    """Run the scripted endpoint in a process of its own."""
    module, log = ["watchllm_server.demo.scripted"], folder / "scripted.log"
    with child(
        "scripted endpoint", module, port=free_port(), environment=os.environ, log=log
    ) as process:
        process.wait_until_ready("/v1/models", seconds=50)
        yield Running(process.port)


@contextlib.contextmanager
def watchllm_server(folder: Path) -> Iterator[Running]:
    """Run `watchllm serve` with one project and its key."""
    init = {"WATCHLLM_INIT_PROJECT_ID": PROJECT, "WATCHLLM_INIT_API_KEY": KEY}
    with child(
        "server",
        ["watchllm_server", "serve", "--data-dir", str(folder / "data")],
        port=free_port(),
        environment={**os.environ, **init},
        log=folder / "server.log",
    ) as process:
        process.wait_until_ready("/readyz", seconds=50)
        yield Running(process.port)


def post_events(server: Running, events: list[dict[str, Any]]) -> dict[str, Any]:
    """Send a batch with the key of the tests, and return the answer."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{server.url}/events/batch",
        json.dumps({"events": events}).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=100) as answer:  # noqa: S310 - loopback
        answered: dict[str, Any] = json.load(answer)
        return answered
