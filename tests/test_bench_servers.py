"""The comparison of servers measures what it says."""

from __future__ import annotations

import os
import re
import signal
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PEERS = Path(__file__).parent.parent / "benchmarks" / "peers"
sys.path.append(str(PEERS))

from servers import measure  # noqa: E402 - scripts of a directory
from servers.process import Running  # noqa: E402
from servers.run import servers  # noqa: E402
from servers.server import Server, ask  # noqa: E402
from servers.watchllm import WatchLLM  # noqa: E402


class Installed(WatchLLM):
    """What is installed beside the tests."""

    @property
    def python(self) -> Path:
        """Use the interpreter that runs the tests."""
        return Path(sys.executable)


class Forgetful(Server):
    """A server that answers 200, counts in memory, and has a child in a session of its own."""

    name = environment = distribution = "forgetful"
    ready = "/"

    PROGRAM = textwrap.dedent("""
        import http.server, json, subprocess, sys
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            spans = 0
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                Handler.spans += 50
                self.answer(b"")
            def do_GET(self):
                self.answer(json.dumps({"spans": Handler.spans, "child": child.pid}).encode())
            def answer(self, content):
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
    """)

    def command(self, directory: Path, port: int) -> list[str]:
        """Start the program."""
        return [sys.executable, "-c", self.PROGRAM, str(port)]

    def count(self, port: int) -> int:
        """Ask it."""
        return int(ask(port, "/")["spans"])

    def newest(self, port: int) -> int:
        """Have no list."""
        return 0

    def searches(self) -> dict[str, Callable[[int, str], int]]:
        """Find nothing."""
        return {}


def test_a_load_is_stored_and_asked_for() -> None:
    """All spans that our server answers are counted, listed and found, and have a cost."""
    found = measure.load(Installed(), 100)

    assert found.spans == found.answered == found.queryable == 100
    assert found.cpu > 0
    assert found.disk > 0
    assert found.peak_mb >= found.idle_mb > 0
    assert found.first_seconds > found.ready_seconds > 0
    assert set(found.searches) == {"words", "substring"}


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_our_server_loses_nothing(sent: signal.Signals) -> None:
    """What was answered right before a signal is there after the next start."""
    found = measure.loss(Installed(), sent, 100)

    assert found.found == found.answered == 100
    assert found.end_seconds is not None


def test_a_loss_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that keeps spans in memory has none of them after SIGKILL."""
    monkeypatch.setattr(measure, "STEADY_SECONDS", 0.5)

    found = measure.loss(Forgetful(), signal.SIGKILL, 100)

    assert (found.answered, found.found) == (100, 0)


def test_no_process_outlives_its_server(tmp_path: Path) -> None:
    """A server's children are ended with it, in whichever session they are."""
    with Running(Forgetful(), tmp_path) as running:
        child = ask(running.port, "/")["child"]
        os.kill(child, 0)

    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """What a server wrote before it ended is part of the error."""

    class Broken(Forgetful):
        PROGRAM = "raise SystemExit('there is no room')"

    with pytest.raises(RuntimeError, match="there is no room"):
        Running(Broken(), tmp_path)


@pytest.mark.parametrize("server", servers(), ids=lambda server: server.name)
def test_each_server_is_pinned(server: Server) -> None:
    """Every line of a server's requirements is an exact version."""
    lines = (PEERS / f"requirements-{server.environment}.txt").read_text().splitlines()

    assert lines
    assert all(re.fullmatch(r"[a-z0-9_.-]+==[^ ]+", line) for line in lines)
