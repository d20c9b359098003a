"""The demo as a person starts it, in a process of its own."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from demo_servers import scripted_endpoint
from rich.console import Console
from watchllm_server.demo.children import HOST, free_port
from watchllm_server.demo.programs import Program, examples_folder
from watchllm_server.demo.run import Demo, run_demo
from watchllm_server.demo.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "watchllm_server", "demo"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment without an endpoint of the user's, whose temporary files we can see."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    return {**ours, "TMPDIR": str(folder), "COLUMNS": "80", **more}


def run_once(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the demo with --once on a free port."""
    return subprocess.run(
        [*COMMAND, "--once", "--port", str(free_port()), *arguments],
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def port_in(line: str) -> int:
    """Return the port of the address in a line."""
    found = re.search(rf"http://{HOST}:(\d+)", line)
    assert found, line
    return int(found[1])


def refuses(port: int) -> bool:
    """Tell whether nobody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def test_once_shows_the_table_and_exits_0(tmp_path: Path) -> None:
    """All that the programs logged and asked is found; nothing runs or lies around afterwards."""
    done = run_once(tmp_path, WATCHLLM_SAMPLE_RATE="0", WATCHLLM_BASE_URL="http://127.0.0.1:9")

    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.search(r"(\d+) events logged, (\d+) found in the store", done.stdout)
    assert counts is not None
    assert counts[1] == counts[2]
    assert int(counts[1]) >= 14
    assert re.search(r"10 calls through the gateway, 10 found; 3 cache hits saved", done.stdout)
    for name in ("openai_chat", "research_agent", "error_handling", "Total"):
        assert re.search(rf"^\s*{name} .* ms *$", done.stdout, re.MULTILINE), done.stdout
    assert "no model was asked" in done.stdout
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert refuses(port_in(done.stdout))
    assert list(tmp_path.iterdir()) == []


def read(address: str) -> str:
    """Return the text at an address."""
    with urllib.request.urlopen(address, timeout=100) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode())


def test_it_serves_the_page_until_ctrl_c(tmp_path: Path) -> None:
    """After the table an overview with a story is there; Ctrl-C ends the server and exits 0."""
    with subprocess.Popen(
        [*COMMAND, "--port", str(free_port())],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        try:
            assert demo.stdout is not None
            address = next(line.strip() for line in demo.stdout if "/overview" in line)
            pages = [read(address), read(address.replace("/overview", "/overview/top"))]
            demo.send_signal(signal.SIGINT)
            rest = demo.stdout.read()
            exit_code = demo.wait(30)
        finally:
            demo.kill()

    assert exit_code == 0
    assert "Saved by cache" in pages[0]
    assert "gpt-4o-mini" in pages[1]
    assert "/projects/demo/runs" in rest
    assert "/projects/demo-gateway/runs" in rest
    assert "Ctrl-C" in rest
    assert refuses(port_in(address))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ended_early_it_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    """A signal while the programs run ends every process and removes the data."""
    with subprocess.Popen(
        [*COMMAND, "--once", "--port", str(free_port())],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
        # As from a terminal, also where the tests themselves run in the background.
        preexec_fn=lambda: signal.signal(number, signal.default_int_handler),  # noqa: PLW1509
    ) as demo:
        try:
            assert demo.stdout is not None
            server = next(line for line in demo.stdout if "http://" in line)
            demo.send_signal(number)
            rest = demo.stdout.read()
            exit_code = demo.wait(30)
        finally:
            demo.kill()

    assert exit_code == 130
    assert "Ended before the table" in rest
    assert refuses(port_in(server))
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_named_and_another_taken(tmp_path: Path) -> None:
    """The demo runs although somebody else listens on its port."""
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--once", "--port", str(taken)],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Port {taken} is in use" in done.stdout
    assert port_in(done.stdout) != taken


def test_what_is_charged_and_what_is_saved_add_up(tmp_path: Path) -> None:
    """The programs log each answer; the gateway charges those that it asked for, and no others."""
    demo_folder = tmp_path / "demo"
    demo_folder.mkdir()
    said = io.StringIO()

    demo = Demo(
        Screen(Console(file=said, width=80)),
        [Program(examples_folder() / "openai_chat.py", "a chat app")] * 2,
        demo_folder,
        data_dir=None,
    )
    exit_code = demo.run(once=True, llm="scripted", port=0)

    first, again = re.findall(r"^  openai_chat .*\$(\S+)", said.getvalue(), re.MULTILINE)
    charged, saved = re.findall(r"^  Total  +6 .*\$(\S+) +\$(\S+)", said.getvalue(), re.MULTILINE)[
        0
    ]
    assert exit_code == 0, said.getvalue()
    assert Decimal(first) > 0
    assert first == again == charged == saved
    assert "6 calls through the gateway, 6 found; 3 cache hits saved" in said.getvalue()


def test_a_failing_program_shows_its_last_lines_and_exits_1(tmp_path: Path) -> None:
    """When the endpoint does not serve the model, the demo says which program failed and why."""
    endpoint_folder, demo_folder = tmp_path / "endpoint", tmp_path / "demo"
    endpoint_folder.mkdir()
    demo_folder.mkdir()
    with scripted_endpoint(endpoint_folder) as endpoint:
        done = run_once(demo_folder, OPENAI_BASE_URL=endpoint.url, OPENAI_MODEL="none-such")

    assert done.returncode == 1
    assert "Your own: 127.0.0.1" in done.stdout
    assert "ended with exit code 1" in done.stdout
    assert "`none-such` does not exist" in re.sub(r"\s+", " ", done.stdout)


def test_an_event_that_was_never_stored_is_named_and_exits_1(tmp_path: Path) -> None:
    """A program that logs an event which never arrives makes the demo fail, and name the event."""
    program = tmp_path / "forgetful.py"
    program.write_text(
        "import sys\nprint('logged prompt_call event-lost run=run-lost', file=sys.stderr)\n"
    )
    said = io.StringIO()
    screen = Screen(Console(file=said, width=80))

    demo = Demo(screen, [Program(program, "a program")], tmp_path, data_dir=None)
    exit_code = demo.run(once=True, llm="scripted", port=0)

    assert exit_code == 1
    assert "1 event logged, 0 found" in said.getvalue()
    assert "Missing: prompt_call event-lost of forgetful.py, run run-lost" in said.getvalue()


def test_a_program_that_logs_nothing_exits_1(tmp_path: Path) -> None:
    """Nothing logged and nothing missing is a failure all the same."""
    program = tmp_path / "silent.py"
    program.write_text("print('nothing to do')\n")
    said = io.StringIO()
    screen = Screen(Console(file=said, width=80))

    demo = Demo(screen, [Program(program, "a program")], tmp_path, data_dir=None)
    exit_code = demo.run(once=True, llm="scripted", port=0)

    assert exit_code == 1
    assert "It logged no event. Its last lines:" in said.getvalue()
    assert "nothing to do" in said.getvalue()


def test_a_data_directory_of_ones_own_is_kept(tmp_path: Path) -> None:
    """With --data-dir the data outlives the demo, and a second demo adds to it."""
    kept, folder = tmp_path / "kept", tmp_path / "tmp"
    folder.mkdir()

    first = run_once(folder, "--data-dir", str(kept))
    second = run_once(folder, "--data-dir", str(kept))

    assert first.returncode == 0, first.stdout + first.stderr
    assert second.returncode == 0, second.stdout + second.stderr
    # Kept answers, too: all that is answered at all is a hit, and no call of the first is counted.
    assert "10 calls through the gateway, 10 found; 9 cache hits" in second.stdout
    assert any(kept.iterdir())


def test_a_server_that_cannot_start_is_explained(tmp_path: Path) -> None:
    """When the data directory is a file, the server's own sentence is shown."""
    file = tmp_path / "file"
    file.write_text("")

    done = run_once(tmp_path, "--data-dir", str(file))

    assert done.returncode == 2
    assert "The server could not start" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("package", ["openai", "watchllm"])
def test_a_missing_package_is_named(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without what its programs import the demo says what to install, and exits 2."""
    monkeypatch.setitem(sys.modules, package, None)

    exit_code = run_demo(once=True, llm="scripted", port=0, data_dir=None)

    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert exit_code == 2
    assert f"the package {package}" in said
    assert 'pip install "watchllm-server[demo]"' in said
