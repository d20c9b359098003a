"""ClickHouse servers for tests, which can be stopped and started again."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

REAL = os.environ.get("WATCHLLM_TEST_CLICKHOUSE_URL", "")
"""Address of a real server, to which the tests of stores are put as well."""


class ClickHouseProcess:
    """The engine behind HTTP, in a process of its own, with its data in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def url(self, database: str = "") -> str:
        """Return the address of a database, by default one that nobody else uses."""
        name = database or f"test_{uuid.uuid4().hex}"
        return f"clickhouse://watchllm:secret@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start the process and return once it answers."""
        program = Path(__file__).with_name("clickhouse_server.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), str(self._directory), str(self.port)]
        )
        deadline = time.monotonic() + 100
        while not self._answers():
            assert self._process.poll() is None, "the ClickHouse server for tests has ended"
            assert time.monotonic() < deadline, "the ClickHouse server for tests does not answer"

    def kill(self) -> None:
        """End the process with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
