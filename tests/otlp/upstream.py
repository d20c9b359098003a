"""An OpenAI-compatible endpoint that says one thing, with the usage of a cache and of reasoning.

It serves chat completions, streamed or not, with a tool call where tools are offered, and
embeddings. The model `nope` is 404. Run it as `python upstream.py`; its first line is its port.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ("Rome", " is", " sunny.")
ANSWER = "".join(WORDS)
USAGE = {
    "prompt_tokens": 40,
    "completion_tokens": 12,
    "total_tokens": 52,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
}


class Upstream(BaseHTTPRequestHandler):
    """Answer each request from what is written above."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a chat completion, a stream of one, or embeddings."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] == "nope":
            error = {"message": "There is no model nope.", "type": "invalid_request_error"}
            self.reply(404, {"error": error})
        elif self.path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]
            usage = {"prompt_tokens": 3, "total_tokens": 3}
            answer = {"object": "list", "model": asked["model"], "data": data, "usage": usage}
            self.reply(200, answer)
        elif asked.get("stream"):
            self.stream(asked)
        else:
            message: dict[str, Any] = {"role": "assistant", "content": ANSWER}
            reason = "stop"
            if asked.get("tools"):
                message |= {"content": None, "tool_calls": [TOOL_CALL]}
                reason = "tool_calls"
            choice = {"index": 0, "message": message, "finish_reason": reason}
            self.reply(200, {**self.head(asked), "choices": [choice], "usage": USAGE})

    def head(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return what each answer begins with; the model answers by its dated name."""
        kind = "chat.completion.chunk" if asked.get("stream") else "chat.completion"
        model = f"{asked['model']}-2024-08-06"
        return {"id": "chatcmpl-1", "object": kind, "created": 1_795_600_000, "model": model}

    def stream(self, asked: dict[str, Any]) -> None:
        """Answer word by word, and the usage at the end."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for text in WORDS:
            delta = {"role": "assistant", "content": text}
            self.event(asked, [{"index": 0, "delta": delta, "finish_reason": None}])
        self.event(asked, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
        self.event(asked, [], usage=USAGE)
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def event(self, asked: dict[str, Any], choices: list[Any], **more: Any) -> None:
        """Write one event of a stream."""
        chunk = {**self.head(asked), "choices": choices, **more}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def reply(self, status: int, answer: dict[str, Any]) -> None:
        """Write an answer of JSON."""
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Print nothing but the port."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as server:
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()
