"""The collector's process, as a context manager."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

SINK = Path(__file__).parent / "sink.py"


@dataclasses.dataclass
class Count:
    """What came of a series: different events, how many of them again, bytes of all bodies."""

    arrived: int
    repeated: int
    bytes: int


class Collector:
    """Start a collector on a free port of the loopback interface; end it with the block."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SINK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # Linux takes 0.0.0.0 for this machine. Unlike 127.0.0.1 it keeps our SDK from leaving out
        # the compression, which is of no use on one machine: over a network it would compress too.
        self.url = f"http://0.0.0.0:{self._read()['port']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    def change(self, mode: str, seconds: float | None = None) -> None:
        """Go into a mode of `sink`, for some seconds from the first request or until changed."""
        self._ask(mode=mode, seconds=seconds)

    def count(self, series: str) -> Count:
        """Return what came of a series; raises RuntimeError if a body could not be read."""
        reply = self._ask(series=series)
        if reply.pop("unreadable"):
            raise RuntimeError(f"the collector could not read a body: {reply}")
        return Count(**reply)

    def _ask(self, **command: object) -> dict[str, int]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, int]:
        assert self._process.stdout is not None
        reply: dict[str, int] = json.loads(self._process.stdout.readline())
        return reply
