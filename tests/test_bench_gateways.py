"""The comparison of gateways measures what it says."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path

import pytest
from rich.console import Console

PEERS = Path(__file__).parent.parent / "benchmarks" / "peers"
sys.path.append(str(PEERS))

import compare  # noqa: E402 - scripts of a directory
from gateways import bare, measure, watchllm  # noqa: E402 - likewise
from gateways.gateway import Gateway, words  # noqa: E402 - likewise
from gateways.litellm import LiteLLM  # noqa: E402 - likewise
from gateways.measure import ROWS, Extent, added  # noqa: E402 - likewise
from gateways.portkey import PINNED, Portkey  # noqa: E402 - likewise
from gateways.report import LOADS, rows  # noqa: E402 - likewise
from gateways.run import gateways  # noqa: E402 - likewise
from servers import process  # noqa: E402 - likewise
from servers.process import Running, free_port  # noqa: E402 - likewise

SHORT = Extent(rounds=1, seconds=0.1, warm_up=0.1)


class Beside(Gateway):
    """What is installed beside the tests."""

    @property
    def python(self) -> Path:
        """Use the interpreter that runs the tests."""
        return Path(sys.executable)


class WatchLLM(Beside, watchllm.WatchLLM):
    """Our server."""


class Bare(Beside, bare.Bare):
    """The bare proxy."""


class Scripted(Beside):
    """A gateway that asks no provider: it answers each POST with one status and body."""

    name = environment = distribution = "scripted"
    ready = "/"

    PROGRAM = textwrap.dedent("""
        import http.server, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(int(sys.argv[2]), sys.argv[3].encode())
            def do_GET(self):
                self.answer(200, b"")
            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
    """)

    def __init__(self, status: int, body: str) -> None:
        super().__init__()
        self._status, self._body = status, body

    def command(self, directory: Path, port: int) -> list[str]:
        """Start the program."""
        return [sys.executable, "-c", self.PROGRAM, str(port), str(self._status), self._body]


def said(text: str) -> str:
    """Return an answer of OpenAI's with a text."""
    return json.dumps({"choices": [{"message": {"content": text}}]})


@pytest.mark.parametrize("gateway", [WatchLLM(), Bare()], ids=lambda gateway: gateway.name)
def test_each_load_is_measured(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row has calls that were answered, their times in order; CPU and memory were seen."""
    monkeypatch.setattr(process, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(measure, "WARM_UP_SECONDS", 0.1)

    found = added(gateway, SHORT)

    assert list(found.loads) == list(ROWS)
    for calls in found.loads.values():
        assert calls.calls > 0
        assert calls.rate > 0
        assert 0 < calls.p50 <= calls.p99
    assert sum(calls.cpu for calls in found.loads.values()) > 0
    assert found.first_seconds > found.ready_seconds > 0
    assert found.peak_mb >= found.idle_mb > 0


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, "no room", "scripted answered 503: no room"),
        (200, said("Something else."), "scripted says 'Something else.'"),
    ],
)
def test_a_gateway_that_answers_otherwise_is_not_measured(
    status: int, body: str, reason: str
) -> None:
    """A refusal, or words that the provider has not said, end the measurement with the reason."""
    with pytest.raises(RuntimeError, match=re.escape(reason)):
        added(Scripted(status, body), SHORT)


def streamed(*contents: str, end: str = "data: [DONE]\n\n") -> str:
    """Return a stream of OpenAI's with some contents, a chunk of usage, and an end."""
    chunks = [{"choices": [{"delta": {"content": content}}]} for content in contents]
    return "".join(f"data: {json.dumps(one)}\n\n" for one in [*chunks, {"choices": []}]) + end


def test_the_words_of_a_stream_are_those_of_its_chunks(tmp_path: Path) -> None:
    """Chunks are joined, those without words pass, and a stream that breaks off is an error."""
    whole, broken = (
        Scripted(200, streamed("Once ", "", "more")),
        Scripted(200, streamed("x", end="")),
    )

    for place in ("whole", "broken"):
        (tmp_path / place).mkdir()
    with Running(whole, tmp_path / "whole") as running:
        assert words(running.port, stream=True, headers={}) == "Once more"
    with (
        Running(broken, tmp_path / "broken") as running,
        pytest.raises(RuntimeError, match="no end"),
    ):
        words(running.port, stream=True, headers={})


def test_what_this_machine_lacks_is_left_out_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Node on the path Portkey's gateway is left out, with a line that says so."""
    monkeypatch.setenv("PATH", str(tmp_path))

    present = compare._present(list(gateways()), Console(width=100))  # noqa: SLF001 - its step

    assert [one.name for one in present] == ["(a bare proxy)", "WatchLLM", "LiteLLM"]
    assert capsys.readouterr().out == "Portkey is left out: node and npm not found.\n"


def test_a_table_has_a_row_for_each_figure() -> None:
    """Each load and each figure has a row; what was not measured of a gateway is a dash."""
    calls = {"calls": 9, "rate": 1234.5, "p50": 0.25, "p99": 12.3, "cpu": 1.5}
    measured = {
        "added": {
            "ready_seconds": 1.0,
            "first_seconds": 2.5,
            "idle_mb": 50.4,
            "peak_mb": 60.6,
            "loads": dict.fromkeys(ROWS, calls),
        },
        "packages": 7,
        "megabytes": 8.25,
    }

    table = dict(rows({"one": measured, "other": {}}))

    assert list(LOADS) == list(ROWS)
    assert table["a stream, 16 connections: CPU ms a call"] == ["1.5", "-"]
    assert table["an answer, 1 connection: calls a second"] == ["1,234", "-"]
    assert table["an answer, 16 connections: p99 ms"] == ["12", "-"]
    assert table["seconds from start to a first answer"] == ["2.5", "-"]
    assert table["memory at most, MB"] == ["61", "-"]
    assert table["packages installed"] == ["7", "-"]
    assert len(table) == len(LOADS) * 4 + 5


def test_litellm_is_told_its_provider(tmp_path: Path) -> None:
    """The configuration that LiteLLM is started with names the provider and the key of the load."""
    gateway = LiteLLM()
    gateway.provider = free_port()

    command = gateway.command(tmp_path, 1)

    written = json.loads(Path(command[command.index("--config") + 1]).read_text())
    (model,) = written["model_list"]
    assert model["litellm_params"]["api_base"] == f"http://127.0.0.1:{gateway.provider}/v1"
    assert written["general_settings"]["master_key"]


@pytest.mark.parametrize("environment", ["litellm", "watchllm-server"])
def test_each_gateway_in_python_is_pinned(environment: str) -> None:
    """Every line of its requirements is an exact version."""
    lines = (PEERS / f"requirements-{environment}.txt").read_text().splitlines()

    assert lines
    assert all(re.fullmatch(r"[a-z0-9_.\[\]-]+==[^ ]+( ; .+)?", line) for line in lines)


def test_portkey_is_pinned() -> None:
    """The lock has its version, a hash of every package, and no address of a registry."""
    wanted = json.loads((PINNED / "package.json").read_text())["dependencies"]
    locked = json.loads((PINNED / "package-lock.json").read_text())["packages"]
    del locked[""]

    assert locked["node_modules/@portkey-ai/gateway"]["version"] == wanted["@portkey-ai/gateway"]
    assert all(package["integrity"] for package in locked.values())
    assert not any("resolved" in package for package in locked.values())


def test_portkey_is_told_its_provider() -> None:
    """Its requests name the provider by headers."""
    gateway = Portkey()
    gateway.provider = 4321

    headers = gateway.headers()

    assert headers["x-portkey-custom-host"] == "http://127.0.0.1:4321/v1"
