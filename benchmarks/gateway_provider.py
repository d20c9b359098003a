"""A provider that answers at once: what a gateway costs beside it is the gateway's own.

It reads no JSON: a request that has `"stream":true` gets 22 chunks in one piece, all others 1 kB.
Run as `python gateway_provider.py PORT`.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

USAGE = {"prompt_tokens": 512, "completion_tokens": 160, "total_tokens": 672}
TEXT = (
    "The model answers with a short summary of each document and names its source, so that "
    "people can check what was said and when, because an answer without evidence is worth little "
)
COMMON = {"id": "chatcmpl-bench", "created": 1_780_000_000, "model": "gpt-4o-2024-08-06"}
WORDS = (TEXT * 4).split(" ")[:110]


def whole() -> bytes:
    """Return an answer of about 1 kB."""
    message = {"role": "assistant", "content": " ".join(WORDS)}
    choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    body = {**COMMON, "object": "chat.completion", "choices": choices, "usage": USAGE}
    return json.dumps(body).encode()


def stream() -> bytes:
    """Return the 22 chunks of the same answer, the last of which tells the usage."""
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"content": " ".join(WORDS[at : at + 6]) + " "} for at in range(0, 108, 6)]
    chunk = {**COMMON, "object": "chat.completion.chunk"}
    chunks = [
        {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    chunks.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**chunk, "choices": [], "usage": USAGE})
    events = [f"data: {json.dumps(each)}\n\n" for each in chunks]
    return "".join([*events, "data: [DONE]\n\n"]).encode()


def _answers() -> tuple[bytes, bytes]:
    body, events = whole(), stream()
    plain = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\n"
    plain += b"content-length: %d\r\n\r\n%s" % (len(body), body)
    streamed = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_bench\r\n"
    streamed += b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(events), events)
    return plain, streamed


class Provider(asyncio.Protocol):
    """Answer one request after another on a connection."""

    PLAIN, STREAMED = _answers()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = transport
        self._read = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole by now."""
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            length = 0
            if not head.startswith(b"get "):
                at = head.index(b"content-length:") + 15
                length = int(head[at:].split(b"\r\n", 1)[0])
            whole = end + 4 + length
            if len(self._read) < whole:
                return
            streamed = b'"stream":true' in self._read[end:whole]
            self._transport.write(self.STREAMED if streamed else self.PLAIN)
            self._read = self._read[whole:]


async def main(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
