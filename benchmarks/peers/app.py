"""A program under measurement, as a process: start it, hear what it says, end it in time."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

    from job import Job

PROGRAM = Path(__file__).parent / "program.py"
LONGEST_SECONDS = 120.0  # that any program may take, or hang


class FailedError(RuntimeError):
    """The program ended, and did not say what was waited for."""


class App:
    """Run `program.py` with a Python for a job, its home and state in a directory of its own."""

    def __init__(self, python: Path, job: Job, home: Path, prefix: tuple[str, ...] = ()) -> None:
        self._read, write = os.pipe()
        self._buffer = b""
        self._log = home / "output"
        self._child: int | None = None
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TMPDIR": str(home),
            # It would report its own errors to its makers, which no other product here does.
            "OPIK_SENTRY_ENABLE": "false",
        }
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*prefix, str(python), str(PROGRAM), job.to_json(), str(write)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=[write],
            )
        os.close(write)
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:  # else its child is gone too: it waits for it
            for pid in filter(None, (self._child, self._process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.communicate()
        os.close(self._read)

    def hear(self, name: str) -> Any:
        """Wait until the program says a fact and return it.

        Raises TimeoutError after LONGEST_SECONDS from its start, FailedError if it ended.
        """
        while True:
            while b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                facts = json.loads(line)
                if "child" in facts:
                    self._child = facts["child"]
                if name in facts:
                    return facts[name]
            left = self._started + LONGEST_SECONDS - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise TimeoutError(f"{name} was not said within {LONGEST_SECONDS:.0f} s")
            more = os.read(self._read, 1 << 20)
            if not more:
                tail = self._log.read_text(errors="replace")[-2_000:]
                raise FailedError(f"the program ended before {name}: {tail}")
            self._buffer += more

    def go_on(self) -> None:
        """Let a program that waits go on."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()

    def ended(self, seconds: float) -> bool:
        """Wait at most so long for the end of the program; say whether it ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> float:
        """Wait for the end of the program; return its moment on the monotonic clock.

        Raises TimeoutError after LONGEST_SECONDS from its start.
        """
        left = self._started + LONGEST_SECONDS - time.monotonic()
        # Popen.wait with a time limit looks only every 50 ms.
        gone = os.pidfd_open(self._process.pid)
        try:
            if not select.select([gone], [], [], max(0.0, left))[0]:
                raise TimeoutError(f"the program did not end within {LONGEST_SECONDS:.0f} s")
            return time.monotonic()
        finally:
            os.close(gone)
