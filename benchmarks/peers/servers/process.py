"""A server under measurement, as a tree of processes: start it, look at it, end it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

START_SECONDS, END_SECONDS = 90.0, 40.0  # that a server may take
POLL_SECONDS = 0.02
LOOK_SECONDS = 0.5  # between two looks at the memory
# It rests once it has used less CPU than that in so many seconds; the longest wait for that.
IDLE_CPU, QUIET_SECONDS, IDLE_SECONDS = 0.1, 1.0, 30.0
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Startable(Protocol):
    """What can be started on a port, and answers 200 at the path `ready` once it can be used."""

    ready: str

    def command(self, directory: Path, port: int) -> list[str]:
        """Return what starts it, its data in a directory."""

    def variables(self, directory: Path, port: int) -> dict[str, str]:
        """Return environment variables that it is started with."""


class Running:
    """Start a server below a directory; its processes are gone after the block.

    `ready_seconds` is how long it took until it answered. Raises RuntimeError, with the end of what
    it wrote, if it does not within START_SECONDS.
    """

    def __init__(self, server: Startable, directory: Path) -> None:
        self.port = free_port()
        self.data = directory / "data"
        self._log = directory / "output"
        home = directory / "home"
        for folder in (self.data, home):
            folder.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TMPDIR": str(home),
            **server.variables(self.data, self.port),
        }
        started = time.perf_counter()
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                server.command(self.data, self.port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=home,
                env=environment,
                start_new_session=True,  # to find all of its processes by
            )
        try:
            self._wait(server.ready, started + START_SECONDS)
        except BaseException:
            self.kill()
            raise
        self.ready_seconds = time.perf_counter() - started

    def _wait(self, path: str, until: float) -> None:
        while time.perf_counter() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5):
                    return
            except OSError:
                time.sleep(POLL_SECONDS)
        tail = self._log.read_text(errors="replace")[-2_000:]
        raise RuntimeError(f"the server did not become ready: {tail}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End all its processes with SIGKILL at once, and wait until they are gone."""
        while pids := _tree(self._process.pid):  # again if one was started meanwhile
            handles = []
            for pid in pids:
                with suppress(ProcessLookupError):
                    handles.append(os.pidfd_open(pid))
            for handle in handles:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            for handle in handles:
                select.select([handle], [], [], END_SECONDS)
                os.close(handle)
        self._process.wait()

    def terminate(self) -> float | None:
        """Ask it to end, as an operator does; return the seconds it took, None if too many."""
        started = time.perf_counter()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        seconds = time.perf_counter() - started
        self.kill()  # what it may have left behind
        return seconds

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all its processes, those that have ended among them."""
        ticks = 0
        for pid in _tree(self._process.pid):
            with suppress(OSError):
                ticks += sum(map(int, _stat(pid)[11:15]))  # its own and its ended children's
        return ticks / TICKS

    def rest(self) -> None:
        """Wait until it does nothing for a second, or it takes too long."""
        until = time.perf_counter() + IDLE_SECONDS
        before = self.cpu_seconds()
        while time.perf_counter() < until:
            time.sleep(QUIET_SECONDS)
            now = self.cpu_seconds()
            if now - before < IDLE_CPU:
                return
            before = now

    def memory_mb(self) -> float:
        """Return the resident memory of its largest process, and what the others have alone."""
        resident, alone = [0], [0]
        for pid in _tree(self._process.pid):
            with suppress(OSError, ValueError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
                kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines}
                resident.append(kilobytes["Rss:"])
                alone.append(kilobytes["Private_Clean:"] + kilobytes["Private_Dirty:"])
        largest = max(range(len(resident)), key=resident.__getitem__)
        return (resident[largest] + sum(alone) - alone[largest]) * 1_024 / 1e6


class Peak:
    """Look at a server's memory twice a second during the block; `megabytes` is the most seen."""

    def __init__(self, running: Running) -> None:
        self.megabytes = 0.0
        self._running = running
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.megabytes = max(self.megabytes, self._running.memory_mb())


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def _tree(leader: int) -> set[int]:
    """Return the living processes of a session, and those that descend from them."""
    found: set[int] = set()
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = _stat(int(path.name))
            parents[int(path.name)] = int(fields[1])
            if int(fields[3]) == leader and fields[0] != "Z":
                found.add(int(path.name))
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found
