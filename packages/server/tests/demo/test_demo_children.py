"""The processes that the demo starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from watchllm_server.demo.children import HOST, Child, child, end, free_port
from watchllm_server.demo.errors import DemoError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_wanted_port_is_taken_when_it_is_free() -> None:
    """The port that was asked for is used, unless somebody listens there."""
    wanted = free_port()

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free = free_port(wanted)
        other.bind((HOST, wanted))
        other.listen()
        while_taken = free_port(wanted)

    assert free == wanted
    assert while_taken != wanted


def test_a_child_is_ended_when_its_block_fails(tmp_path: Path) -> None:
    """An exception inside the block leaves no process behind."""
    seen: list[Child] = []

    def fail() -> None:
        with child(
            "endpoint",
            ["watchllm_server.demo.scripted"],
            port=free_port(),
            environment=os.environ,
            log=tmp_path / "log",
        ) as running:
            seen.append(running)
            running.wait_until_ready("/v1/models", seconds=50)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    (running,) = seen
    assert running.process.poll() is not None
    with pytest.raises(ConnectionRefusedError), socket.create_connection((HOST, running.port)):
        pass


def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Waiting for a process that has ended raises an error with its last words."""
    with (
        pytest.raises(DemoError, match="The server could not start") as failed,
        child(
            "server",
            ["no_such_module_of_the_demo"],
            port=1,
            environment=os.environ,
            log=tmp_path / "log",
        ) as running,
    ):
        running.wait_until_ready("/readyz", seconds=50)

    assert failed.value.exit_code == 2
    assert "No module named no_such_module_of_the_demo" in failed.value.details


def test_a_child_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """When the seconds are over, the error says which process was waited for."""
    with (
        pytest.raises(DemoError, match="The endpoint was not ready within 0 seconds"),
        child(
            "endpoint",
            ["watchllm_server.demo.scripted"],
            port=free_port(),
            environment=os.environ,
            log=tmp_path / "log",
        ) as running,
    ):
        running.wait_until_ready("/no-such-path", seconds=0)


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    """A process that does not follow SIGTERM is ended all the same."""
    program = (
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        end(process, seconds=0.1)

        assert process.returncode == -9
