"""A collector that takes the events of every product, counts them, and fails as it is told.

It runs in a process of its own: commands are lines of JSON on its standard input, each is answered
by a line of JSON on its standard output. Run it by `collector.Collector`.

An event counts once for each request that holds its planted id and is taken. A mode is what the
collector does: `up` takes everything; `refuse` has no listening port; `hang` reads and never
answers; `busy` answers 503; `limit` answers 429 with `Retry-After: 3`; `reset` breaks the
connection off in the middle of a body; `forget_answer` takes a body and then breaks the connection
off. A connection that hangs stays dead when the mode changes, as one behind a lost host does.
"""

from __future__ import annotations

import asyncio
import collections
import json
import re
import socket
import struct
import sys
import time
import zlib

PLANTED = re.compile(rb"evt_([a-z]+)_(\d{6})_")
RETRY_AFTER = 3  # seconds
OF_LANGSMITH = {  # what its hosted service says of itself, so that the client batches and packs
    "version": "0.13.0",
    "instance_flags": {"zstd_compression_enabled": True},
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 16,
        "scale_down_nempty_trigger": 4,
        "size_limit": 100,
        "size_limit_bytes": 20_971_520,
    },
}


def unpacked(body: bytes, encoding: str) -> bytes:
    """Return a body as it was before its Content-Encoding."""
    if encoding == "gzip":
        return zlib.decompress(body, 31)
    if encoding == "deflate":
        return zlib.decompress(body)
    if encoding == "zstd":
        import zstandard  # noqa: PLC0415 - only one product sends it

        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    if encoding not in {"", "identity"}:
        raise ValueError(f"no product was seen to send {encoding}")
    return body


def answer(path: str, content_type: str, planted: int) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers that the product behind a path expects."""
    if path.endswith("/events/batch"):
        taken = {"success": True, "total_processed": planted, "total_errors": 0, "errors": []}
        headers = {"Accept-Encoding": "gzip", "X-WatchLLM-Max-Batch": "500"}
        return 200, json.dumps(taken).encode(), headers
    if path.endswith("/info"):
        return 200, json.dumps(OF_LANGSMITH).encode(), {}
    if "protobuf" in content_type:
        return 200, b"", {"Content-Type": "application/x-protobuf"}
    if path.startswith("/v1/private/"):
        return 204, b"", {}
    if path.startswith("/runs"):
        return 202, b"{}", {}
    return 200, b'{"status": "Ok"}', {}


class Sink:
    """The state of the collector: its mode, and what it counted."""

    def __init__(self) -> None:
        self._mode = "up"
        self._until: float | None = None  # when the mode ends by itself
        self._seconds: float | None = None  # it lasts from its first request that holds events
        self._port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.taken: dict[bytes, collections.Counter[bytes]] = {}
        self.unreadable: list[str] = []
        self.bytes = 0

    async def listen(self) -> int:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, limit=2**20, reuse_address=True
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self._port

    async def change(self, mode: str, seconds: float | None) -> None:
        """Go into a mode, for so many seconds from the first request, or until the next change."""
        self._mode, self._seconds, self._until = mode, seconds, None
        if mode == "refuse" and self._server is not None:
            self._server.close()
            self._server = None
            for writer in tuple(self._open):
                writer.transport.abort()
        elif mode != "refuse" and self._server is None:
            await self.listen()

    def count(self, series: str) -> dict[str, object]:
        """Return how many events of a series came, and how many of them more than once."""
        taken = self.taken.get(series.encode(), collections.Counter())
        return {
            "arrived": len(taken),
            "repeated": sum(number > 1 for number in taken.values()),
            "bytes": self.bytes,
            "unreadable": self.unreadable[:3],
        }

    def _mode_now(self, *, holds_events: bool) -> str:
        now = time.monotonic()
        if self._seconds is not None and self._until is None and holds_events:
            self._until = now + self._seconds
        if self._until is not None and now >= self._until:
            self._mode, self._seconds, self._until = "up", None, None
        return self._mode

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a request and answer it; False to break the connection off."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        lines = (line.partition(":") for line in head[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in lines}
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        is_post = head[0].startswith("POST")
        mode = self._mode_now(holds_events=is_post)
        if mode == "reset" and is_post:
            await reader.readexactly(min(500, int(headers.get("content-length", 500)) // 2))
            _reset(writer)
            return False
        body = await _body(reader, headers)
        if mode == "hang":
            await asyncio.Event().wait()
        if mode == "busy":
            _write(writer, 503, b'{"error": {"message": "busy"}}', {})
        elif mode == "limit":
            _write(
                writer,
                429,
                b'{"error": {"message": "too many"}}',
                {"Retry-After": str(RETRY_AFTER)},
            )
        else:
            planted = self._take(body, headers.get("content-encoding", ""))
            if mode == "forget_answer" and planted:
                _reset(writer)
                return False
            _write(writer, *answer(path, headers.get("content-type", ""), planted))
        await writer.drain()
        return True

    def _take(self, body: bytes, encoding: str) -> int:
        try:
            planted = set(PLANTED.findall(unpacked(body, encoding)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the figures would be wrong
            self.unreadable.append(f"{type(error).__name__}: {error}")
            return 0
        for series, number in planted:
            self.taken.setdefault(series, collections.Counter())[number] += 1
        self.bytes += len(body)
        return len(planted)


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", 0)))
    chunks = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(chunks)


def _write(writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str]) -> None:
    headers = {"Content-Type": "application/json", **headers}
    if status != 204:
        headers["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} -\r\n{lines}\r\n".encode() + body)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection off so that the other side sees a reset, not an end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def main() -> None:
    """Serve until the standard input ends."""
    sink = Sink()
    print(json.dumps({"port": await sink.listen()}), flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    while line := await commands.readline():
        command = json.loads(line)
        reply: dict[str, object] = {}
        if "mode" in command:
            await sink.change(command["mode"], command.get("seconds"))
        else:
            reply = sink.count(command["series"])
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
