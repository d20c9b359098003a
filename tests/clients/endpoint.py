"""A provider that speaks the APIs of OpenAI and Anthropic and says one thing.

Chats are answered at once, with a tool call where tools are offered; messages are, too. Without the
provider's key it answers 401. Run it as `python endpoint.py KEY`; its first line is its port.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROVIDER_KEY = "sk-planted-0123456789-of-the-provider"
ANSWER = "Rome is sunny."
WEATHER = {"city": "Rome", "degrees": 21}
CHAT_USAGE = {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}
MESSAGE_USAGE = {"input_tokens": 40, "output_tokens": 12}


class Endpoint(BaseHTTPRequestHandler):
    """Answer each request from what is written above."""

    protocol_version = "HTTP/1.1"
    key = ""

    def do_POST(self) -> None:
        """Answer a chat or a message."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        messages = self.path == "/v1/messages"
        sent = self.headers.get("x-api-key" if messages else "Authorization", "")
        if sent.removeprefix("Bearer ") != self.key:
            error = {"message": f"Wrong key: {sent}", "type": "authentication_error"}
            self.reply(401, {"type": "error", "error": error})
        elif messages:
            self.reply(200, message(asked))
        else:
            self.reply(200, chat(asked))

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


def chat(asked: dict[str, Any]) -> dict[str, Any]:
    """Return a chat completion."""
    said: dict[str, Any] = {"role": "assistant", "content": ANSWER}
    reason = "stop"
    if tools := asked.get("tools"):
        called = {"name": tools[0]["function"]["name"], "arguments": json.dumps(WEATHER)}
        said["tool_calls"] = [{"id": "call_1", "type": "function", "function": called}]
        said["content"] = None
        reason = "tool_calls"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_795_600_000,
        "model": asked["model"],
        "choices": [{"index": 0, "message": said, "finish_reason": reason}],
        "usage": CHAT_USAGE,
    }


def message(asked: dict[str, Any]) -> dict[str, Any]:
    """Return a message of Anthropic's API."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [{"type": "text", "text": ANSWER}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": MESSAGE_USAGE,
    }


if __name__ == "__main__":
    Endpoint.key = sys.argv[1]
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()
