"""Senders that mean harm or are broken, over real sockets: the server answers and goes on."""

from __future__ import annotations

import gzip
import json
import socket
import struct
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from conftest import KEY, prompt_call
from test_serve import ask, post

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Server

HEAD = (
    "POST /v1/events/batch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
)


def connect(server: Server) -> socket.socket:
    """Return a connection to the server."""
    return socket.create_connection(("127.0.0.1", server.port), 100)


def everything(connection: socket.socket) -> bytes:
    """Return all that the server sends until it closes the connection."""
    received = b""
    while piece := connection.recv(65_536):
        received += piece
    return received


def test_a_gigabyte_is_refused_at_once_and_the_connection_closed(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """A body announced with a gigabyte is answered 413 after a bounded part of it."""
    server = serve(tmp_path)
    sent = 0
    with closing(connect(server)) as connection:
        connection.sendall(f"{HEAD}Content-Length: {10**9}\r\n\r\n".encode())
        try:
            while sent < 10**9:
                sent += connection.send(b" " * 1_000_000)
        except OSError:
            pass

    assert sent < 200_000_000
    assert post(server, [prompt_call()]) == 200


def test_a_gigabyte_of_chunks_is_refused(serve: Callable[..., Server], tmp_path: Path) -> None:
    """A body without an end in sight is answered 413 when it has passed the limit."""
    server = serve(tmp_path)
    chunk = b"f4240\r\n" + b" " * 1_000_000 + b"\r\n"
    with closing(connect(server)) as connection:
        connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(12):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        answer = connection.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert post(server, [prompt_call()]) == 200


def test_bombs_and_deep_nesting_cost_no_memory_and_stop_nobody(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """Bodies that would grow to gigabytes, or overflow a parser's stack, are refused one by one.

    Others are served in between, and the server's memory stays as it was.
    """
    server = serve(tmp_path)
    bomb = gzip.compress(b'{"events": [' + b" " * 200_000_000, 6)
    deep = [
        b'{"events": ' + b"[" * 5_000_000,
        b'{"events": [{"a": ' + b'{"a": ' * 1_000_000 + b"1" + b"}" * 1_000_000 + b"}]}",
        json.dumps({"events": [prompt_call()]}).encode()[:-3] + b', "x": ' + b"[" * 300
        + b"]" * 300 + b"}]}",
    ]  # fmt: skip
    assert post(server, [prompt_call()]) == 200
    before = most_memory(server)

    answers = []
    for body in [bomb, *deep] * 5:
        encoding = "Content-Encoding: gzip\r\n" if body is bomb else ""
        head = f"{HEAD}{encoding}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        with closing(connect(server)) as connection:
            connection.sendall(head.encode() + body)
            answers.append(everything(connection)[9:12])
        answers.append(str(post(server, [prompt_call()])).encode())

    assert answers == [b"413", b"200", *([b"400", b"200"] * 3)] * 5
    assert most_memory(server) - before < 150


def most_memory(server: Server) -> float:
    """Return the most megabytes that a server has had in memory."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1_000


def test_half_a_request_stops_nobody(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Senders that go away within head or body, or never read their answer, cost nothing."""
    server = serve(tmp_path, WATCHLLM_BODY_SECONDS="1")
    body = json.dumps({"events": [prompt_call(event_id="unread")]}).encode()
    whole = f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with ExitStack() as stack:
        open_ = [stack.enter_context(closing(connect(server))) for _ in range(60)]
        for number, connection in enumerate(open_):
            connection.sendall(whole[: (40, len(whole) - 10, len(whole))[number % 3]])
            if number % 2:
                # The peer is gone without a word of goodbye.
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.close()
        statuses = [post(server, [prompt_call()]) for _ in range(10)]
        ready, _ = ask(server, "GET", "/readyz")

    assert statuses == [200] * 10
    assert ready == 200
    assert server.stop() == 0


def test_slow_senders_cost_only_themselves(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Senders that stop halfway are answered 408 and let go; others are served meanwhile."""
    server = serve(tmp_path, WATCHLLM_BODY_SECONDS="1")
    body = json.dumps({"events": [prompt_call()]}).encode()
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(connect(server))) for _ in range(50)]
        for connection in slow:
            head = f"{HEAD}Content-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[:100])
        meanwhile = post(server, [prompt_call()])
        answers = {everything(connection)[:13] for connection in slow}

    assert meanwhile == 200
    assert answers == {b"HTTP/1.1 408 "}


def test_what_still_arrives_when_its_project_goes_is_not_stored(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """Its key was known when it began, and is looked up again before anything of it is kept."""
    server = serve(tmp_path)
    span = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "chat", "startTimeUnixNano": "1",
            "endTimeUnixNano": "2"}  # fmt: skip
    traces = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    bodies = {"events/batch": {"events": [prompt_call()]}, "traces": traces}
    answers = []
    with ExitStack() as stack:
        owner, *slow = [stack.enter_context(closing(connect(server))) for _ in range(3)]
        for connection, (route, content) in zip(slow, bodies.items(), strict=True):
            body = json.dumps(content).encode()
            head = HEAD.replace("events/batch", route)
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:50])
        assert post(server, [prompt_call()]) == 200
        owner.sendall(b"DELETE /v1/admin/projects/proj-tests HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        removed = owner.recv(65_536)
        for connection, content in zip(slow, bodies.values(), strict=True):
            connection.sendall(json.dumps(content).encode()[50:])
            answers.append(connection.recv(65_536)[:13])

    assert removed.startswith(b"HTTP/1.1 200 ")
    assert answers == [b"HTTP/1.1 401 "] * 2


def test_connections_that_say_nothing_stop_nobody(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """Hundreds of half-open connections leave the server answering, and closing in order."""
    server = serve(tmp_path)
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(closing(connect(server)))
        status = post(server, [prompt_call()])
        ready, _ = ask(server, "GET", "/readyz")
        code = server.stop()

    assert (status, ready, code) == (200, 200, 0)
