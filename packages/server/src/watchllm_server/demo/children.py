"""The processes that the demo starts, and always ends."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchllm_server.demo.errors import DemoError
from watchllm_server.demo.signals import signals_held

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

HOST = "127.0.0.1"
SECONDS_TO_END = 10
LAST_LINES = 8


def last_lines(text: str) -> str:
    """Return the end of a program's output, where its error stands."""
    return "\n".join(text.strip().splitlines()[-LAST_LINES:])


def free_port(wanted: int = 0) -> int:
    """Return the wanted port of 127.0.0.1 if nobody listens there, else one that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As a server does it: a port whose last user has just ended counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                found: int = probe.getsockname()[1]
                return found
    raise DemoError(f"No port of {HOST} is free.", exit_code=2)


@dataclass(frozen=True)
class Child:
    """A server in a process of its own, which writes what it says to a log."""

    what: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def wait_until_ready(self, path: str, seconds: float) -> None:
        """Return once GET path answers 200.

        Raises DemoError when the process ends before that, or when the seconds are over.
        """
        deadline = time.monotonic() + seconds
        while not self._answers(path):
            if time.monotonic() > deadline:
                message = f"The {self.what} was not ready within {seconds:.0f} seconds."
                raise self.error(message, exit_code=2)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
                raise self.error(f"The {self.what} could not start:", exit_code=2)

    def error(self, message: str, *, exit_code: int = 1) -> DemoError:
        """Return an error that carries the last lines of the log."""
        details = last_lines(self.log.read_text("utf-8", "replace"))
        return DemoError(message, exit_code=exit_code, details=details)

    def _answers(self, path: str) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@contextlib.contextmanager
def child(
    what: str, module: Sequence[str], *, port: int, environment: Mapping[str, str], log: Path
) -> Iterator[Child]:
    """Start `python -m module ... --port PORT` and end it when the block is left, in any way."""
    with contextlib.ExitStack() as ending:
        with log.open("wb") as output, signals_held():
            process = subprocess.Popen(  # noqa: S603 - our own modules, by this interpreter
                [sys.executable, "-m", *module, "--port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C reaches us alone, and we end our children
            )
            ending.callback(end, process)
        yield Child(what, process, port, log)


def end(process: subprocess.Popen[bytes], seconds: float = SECONDS_TO_END) -> None:
    """End a process by its id: SIGTERM, and SIGKILL if it has not followed after the seconds."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    except BaseException:  # a second Ctrl-C while we wait
        process.kill()
        process.wait()
        raise
