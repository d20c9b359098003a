"""A collector on a real port, which keeps what a client sends."""

from __future__ import annotations

import http.server
import json
import socket
import struct
import threading
import zlib
from contextlib import suppress
from typing import Any


class Request:
    """What the collector got."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body

    def content(self) -> dict[str, Any]:
        """Return the JSON of the body, unpacked."""
        packed = self.headers.get("Content-Encoding") == "gzip"
        data = zlib.decompress(self.body, 31) if packed else self.body
        content: dict[str, Any] = json.loads(data)
        return content

    def events(self) -> list[dict[str, Any]]:
        """Return the events of the body."""
        events: list[dict[str, Any]] = self.content()["events"]
        return events


class Reply:
    """What the collector answers."""

    def __init__(
        self,
        status: int = 200,
        content: Any = None,
        headers: dict[str, str] | None = None,
        *,
        hang_up: bool = False,
        reset: bool = False,
        wait_for: threading.Event | None = None,
    ) -> None:
        self.status = status
        self.headers = headers or {}
        self.hang_up = hang_up
        self.reset = reset  # in the middle of the body
        self.wait_for = wait_for
        self.body = content if isinstance(content, bytes) else json.dumps(content or {}).encode()


class Collector:
    """A collector on a loopback port that answers as told, then with 200."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self.connections: list[socket.socket] = []
        self._arrived = threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections.append(self.connection)

            def do_POST(self) -> None:
                reply = outer.reply()
                if reply.reset:
                    self.rfile.read(10)
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.take(Request(self.path, dict(self.headers.items()), body))
                if reply.wait_for is not None:
                    reply.wait_for.wait(30)
                if reply.hang_up:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def take(self, request: Request) -> None:
        """Keep a request and tell those who wait for its events."""
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    def wait_for_events(self, number: int) -> None:
        """Wait until so many different events came; raises TimeoutError after 30 seconds."""

        def have_come() -> bool:
            return len({event["event_id"] for event in self.events()}) >= number

        with self._arrived:
            if not self._arrived.wait_for(have_come, 30):
                raise TimeoutError(f"not all of {number} events came")

    def reply(self) -> Reply:
        """Return the next answer."""
        return self.replies.pop(0) if self.replies else Reply(content={"success": True})

    def events(self) -> list[dict[str, Any]]:
        """Return the events of all requests."""
        return [event for request in self.requests for event in request.events()]

    def stop(self) -> None:
        """End the server and its connections."""
        self._server.shutdown()
        for connection in self.connections:
            with suppress(OSError):  # most have ended by themselves
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()
