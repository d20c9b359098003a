"""Upstreams that others wrote: llmock, from PyPI, and aimock, from npm."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from endpoint import PROVIDER_KEY
from watchllm_server.demo.children import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

# What aimock does is in its own file.
AIMOCK = Path(__file__).parent / "upstreams" / "aimock.json"
FAULTS = [
    {"type": "fail", "status": 429, "retry_after": 7, "match": {"model": "limited"}},
    {
        "type": "fail",
        "status": 400,
        "code": "context_length_exceeded",
        "match": {"model": "refusing"},
    },
    {"type": "fail", "status": 503, "match": {"model": "failing"}},
    {
        "type": "stream_fault",
        "kind": "disconnect",
        "after_chunks": 3,
        "match": {"model": "dropped"},
    },
]


@contextmanager
def running_upstreams(installed: Path) -> Iterator[dict[str, str]]:
    """Run the upstreams that are in a folder, and return their addresses by name."""
    with ExitStack() as running:
        command = [installed / "llmock" / "bin" / "llmock", "serve", "--log-level", "warning"]
        found = {"llmock": running.enter_context(upstream(command))}
        post(
            f"{found['llmock']}/_llmock/scenario",
            {"behaviors": [{**fault, "times": None} for fault in FAULTS]},
        )
        aimock = installed / "aimock" / "node_modules" / "@copilotkit" / "aimock" / "dist"
        if aimock.is_dir():
            command = ["node", aimock / "cli.js", "--fixtures", AIMOCK]
            found["aimock"] = running.enter_context(upstream(command))
        yield found


@contextmanager
def upstream(command: list[Any]) -> Iterator[str]:
    """Run an upstream, which lets in nobody without the provider's key if it can tell."""
    port = free_port()
    environment = {**os.environ, "AIMOCK_API_KEYS": PROVIDER_KEY}
    with subprocess.Popen(
        [*map(str, command), "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until_served(url, process)
            yield url
        finally:
            process.terminate()


def wait_until_served(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once an upstream lists its models; fail if it ends before."""
    headers = {"Authorization": f"Bearer {PROVIDER_KEY}"}
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        try:
            asked = urllib.request.Request(f"{url}/v1/models", headers=headers)  # noqa: S310 - loopback
            with urllib.request.urlopen(asked, timeout=5):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} served nothing within a minute")


def post(url: str, body: dict[str, Any]) -> None:
    """Send JSON to an address of loopback."""
    with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=100):  # noqa: S310 - loopback
        pass


def messages_of(name: str, url: str) -> str:
    """Return what Anthropic's client is given as an upstream's address."""
    return f"{url}/anthropic" if name == "llmock" else url
