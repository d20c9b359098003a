"""A provider of models for tests: a real server on a real port that does as each test scripts."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_780_000_000,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello there!", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}


@dataclass
class Asked:
    """A request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body."""
        return json.loads(self.body)


Script: TypeAlias = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def head(status: int, headers: dict[str, str]) -> bytes:
    """Return the first lines of an answer."""
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answers(body: Any, status: int = 200, **headers: str) -> Script:
    """Answer with a body: bytes as they are, all else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"content-type": "application/json", "content-length": str(len(content)), **named}
        writer.write(head(status, sent) + content)
        await writer.drain()

    return script


def chat_events(*texts: str, usage: bool = False, model: str = "gpt-4o-2024-08-06") -> list[bytes]:
    """Return the events of a chat stream with a delta for each text."""
    common = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_780_000_000,
        "model": model,
    }  # fmt: skip
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text} for text in texts]
    chunks: list[dict[str, Any]] = [
        {**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    chunks.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        counts = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        chunks.append({**common, "choices": [], "usage": counts})
    events = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
    return [*events, b"data: [DONE]\n\n"]


def chunk(piece: bytes) -> bytes:
    """Return bytes in the form of HTTP's chunked encoding."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)


STREAM_HEAD = head(
    200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"}
)


def streams(*events: bytes, ends: bool = True) -> Script:
    """Answer with a stream; without an end, the connection breaks off after the last event."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for event in events:
            writer.write(chunk(event))
            await writer.drain()
        if ends:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        else:
            raise ConnectionAbortedError

    return script


def chats(*texts: str) -> Script:
    """Answer a chat request as it was asked: at once or as a stream, with usage on request."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        request = asked.json
        if request.get("stream"):
            usage = bool((request.get("stream_options") or {}).get("include_usage"))
            await streams(*chat_events(*texts, usage=usage))(asked, writer)
        else:
            message = {"role": "assistant", "content": "".join(texts), "refusal": None}
            choice = {**CHAT["choices"][0], "message": message}
            await answers({**CHAT, "choices": [choice]}, x_request_id="req_1")(asked, writer)

    return script


@dataclass
class Upstream:
    """A server on a port of its own, which notes what it is asked. `script` answers."""

    script: Script = field(default_factory=lambda: answers(CHAT))
    asked: list[Asked] = field(default_factory=list)
    broken_off: threading.Event = field(default_factory=threading.Event)
    """Set when a client has closed a connection while it was being answered."""

    def __post_init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self.loop
        ).result()
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while asked := await _read(reader):
                self.asked.append(asked)
                await self._answer(asked, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    async def _answer(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        answer = asyncio.ensure_future(self.script(asked, writer))
        # Nobody sends a second request before the first is answered: what comes is the end.
        gone = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not answer.done():
            self.broken_off.set()
            answer.cancel()
            raise ConnectionAbortedError
        gone.cancel()
        await asyncio.wait({gone})
        answer.result()

    def close(self) -> None:
        """End the server and its thread."""

        async def end() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = lines[0].split(" ")
    pairs = (line.split(":", 1) for line in lines[1:] if line)
    headers = {name.lower(): value.strip() for name, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body)
