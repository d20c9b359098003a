"""A collector in a process of its own that answers every batch as stored.

It prints its port first. With `--ids` it also reads what arrives, and prints the number of events
and of different ids among them when its standard input ends.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = b'{"success":true,"total_processed":1,"total_errors":0,"errors":[]}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-WatchLLM-Max-Batch: 500\r\n"
EVENT_ID = re.compile(rb'"event_id":\s*"([^"]+)"')


class Sink(NamedTuple):
    """A collector that runs."""

    base_url: str
    process: subprocess.Popen[str]

    def counts(self) -> tuple[int, int]:
        """End it; return how many events came, and how many different ones."""
        output, _ = self.process.communicate("")
        events, different = output.split()
        return int(events), int(different)


@contextmanager
def sink(*options: str) -> Iterator[Sink]:
    """Run one, and end it with the block."""
    command = [sys.executable, str(Path(__file__).resolve()), *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield Sink(f"http://127.0.0.1:{process.stdout.readline().strip()}/v1", process)
        finally:
            process.terminate()


async def _serve(looks: bool, standard_input: IO[str]) -> None:
    ids: dict[bytes, int] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
                body = await reader.readexactly(int(length))
                if looks:
                    for event_id in EVENT_ID.findall(body):
                        ids[event_id] = ids.get(event_id, 0) + 1
                writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 24)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(standard_input.read)
    print(sum(ids.values()), len(ids), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve("--ids" in sys.argv, sys.stdin))
