"""A real server on a real port, for tests across the packages."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

ROOT = Path(__file__).parent.parent
KEY = "wllm_key-of-the-tests-0123456789abcdef"


@dataclass(frozen=True)
class Server:
    """A running `watchllm serve` with one project and its key."""

    url: str
    project: str
    key: str
    process: subprocess.Popen[bytes]
    spool: Path

    def environment(self) -> dict[str, str]:
        """Return the environment of an app that logs to this server."""
        ours = {
            "WATCHLLM_BASE_URL": f"{self.url}/v1",
            "WATCHLLM_PROJECT_ID": self.project,
            "WATCHLLM_API_KEY": self.key,
            "WATCHLLM_SPOOL_DIR": str(self.spool),
        }
        return {**os.environ, **ours}

    def get(self, path: str, *, key: str | None = None) -> tuple[int, str]:
        """Answer a GET with status and text."""
        return self._ask(urllib.request.Request(self.url + path), key)  # noqa: S310 - loopback

    def post(self, path: str, body: bytes, *, key: str | None = None) -> tuple[int, str]:
        """Answer a POST of JSON with status and text."""
        headers = {"Content-Type": "application/json"}
        return self._ask(urllib.request.Request(self.url + path, body, headers), key)  # noqa: S310 - loopback

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run as GET /v1/runs/{run_id} does."""
        status, text = self.get(f"/v1/runs/{run_id}")
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def _ask(self, request: urllib.request.Request, key: str | None) -> tuple[int, str]:
        request.add_header("Authorization", f"Bearer {key or self.key}")
        try:
            with urllib.request.urlopen(request, timeout=100) as answer:  # noqa: S310 - loopback
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Return once /readyz answers 200; fail with what the process said if it ends before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            output = process.stdout.read().decode() if process.stdout else ""
            pytest.fail(f"the server ended with {process.returncode}: {output}")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"{url} was not ready within {seconds} s")


@pytest.fixture(scope="session")
def server(serving: Callable[..., AbstractContextManager[Server]]) -> Iterator[Server]:
    """Run a server with nothing but its defaults."""
    with serving() as started:
        yield started


@pytest.fixture(scope="session")
def serving(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., AbstractContextManager[Server]]:
    """Return what runs a server with settings, by the names of their variables."""
    return lambda **settings: _serve(tmp_path_factory, settings)


@contextmanager
def _serve(
    tmp_path_factory: pytest.TempPathFactory, settings: Mapping[str, str]
) -> Iterator[Server]:
    """Start `watchllm serve` on a fresh data directory, and end it with SIGTERM."""
    port = free_port()
    environment = {
        **os.environ,
        "WATCHLLM_INIT_PROJECT_ID": "proj-tests",
        "WATCHLLM_INIT_API_KEY": KEY,
        **settings,
    }
    directory = tmp_path_factory.mktemp("data")
    command = ["-m", "watchllm", "serve", "--port", str(port), "--data-dir", str(directory)]
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process)
        spool = tmp_path_factory.mktemp("spool")
        yield Server(url=url, project="proj-tests", key=KEY, process=process, spool=spool)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
