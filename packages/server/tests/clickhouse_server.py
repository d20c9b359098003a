"""A ClickHouse server for tests: the real engine behind the HTTP interface that drivers speak.

Run it with a directory and a port. It answers one process's requests on loopback, without
authentication, and buffers whole results: what the store needs, and no more.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import chdb
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

# What drivers send for the transport, which the engine does not know as settings.
_TRANSPORT = re.compile(
    "query|query_id|user|password|session_.*|role|compress|decompress|wait_end_of_query|"
    "client_protocol_version|default_format|buffer_size|quota_key|enable_http_compression|"
    "send_progress_in_http_headers|http_headers_progress_interval_ms|database"
)
_INSERT = re.compile(rb"\s*(INSERT\s.*?)\sFORMAT\s+(\w+)\s*\n", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(r"\sFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_CODE = re.compile(r"Code: (\d+)")
_UNKNOWN_TABLE = "60"


def connect(directory: str) -> Any:
    """Return a connection to the engine over a directory, with as many threads as a server has."""
    return chdb.connect(f"{directory}?background_pool_size=16")  # type: ignore[no-untyped-call]  # the engine has no types


class Engine:
    """The engine over one directory. Each request has a connection with settings of its own."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._root = connect(directory)  # keeps the engine alive between requests

    def run(self, options: Mapping[str, str], body: bytes, wanted: str) -> tuple[bytes, int, str]:
        """Run a statement; return its result, the rows that it wrote, and the result's format."""
        statement = options.get("query", "").encode()
        data = body if statement else b""
        if not statement:
            statement = body
        elif data:
            statement += b"\n"
        with closing(connect(self._directory)) as connection:
            if database := options.get("database"):
                connection.query(f"USE `{database}`")
            for name, value in options.items():
                if not _TRANSPORT.fullmatch(name) and not name.startswith("param_"):
                    connection.query(f"SET {name} = '{value}'")
            if insert := _INSERT.match(statement):
                rows = data or statement[insert.end() :]
                with connection.send_insert(insert[1].decode(), insert[2].decode()) as sink:
                    sink.append(rows)
                    sink.finish()
                return b"", rows.count(b"\n"), ""
            sql = statement.decode()
            if found := _FORMAT.search(sql):
                sql, wanted = sql[: found.start()], found[1]
            parameters = {
                name.removeprefix("param_"): value
                for name, value in options.items()
                if name.startswith("param_")
            }
            return bytes(connection.query(sql, wanted, params=parameters).bytes()), 0, wanted


def form(body: bytes, boundary: bytes) -> dict[str, str]:
    """Return the fields of a form, which drivers send what is too long for an address in."""
    found = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        if name := re.search(rb'name="([^"]*)"', head):
            found[name[1].decode()] = value.removesuffix(b"\r\n").decode()
    return found


def application(engine: Engine) -> Starlette:
    """Return the HTTP interface of an engine."""

    async def ping(request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def statement(request: Request) -> Response:
        body = await request.body()
        wanted = request.headers.get("x-clickhouse-format", "TabSeparated")
        options = dict(request.query_params)
        kind, _, boundary = request.headers.get("content-type", "").partition("boundary=")
        if kind.startswith("multipart/form-data"):
            options |= form(body, boundary.encode())
            body = b""
        try:
            content, written, shown = await run_in_threadpool(engine.run, options, body, wanted)
        except RuntimeError as error:
            code = _CODE.search(str(error))
            number = code[1] if code else "0"
            status = 404 if number == _UNKNOWN_TABLE else 400 if code else 500
            headers = {"X-ClickHouse-Exception-Code": number}
            return PlainTextResponse(str(error), status, headers)
        summary: dict[str, Any] = {"written_rows": str(written), "read_rows": "0"}
        headers = {
            "X-ClickHouse-Summary": json.dumps(summary),
            "X-ClickHouse-Format": shown,
            "X-ClickHouse-Timezone": "UTC",
        }
        return Response(content, 200, headers, "application/octet-stream")

    return Starlette(routes=[Route("/ping", ping), Route("/", statement, methods=["GET", "POST"])])


if __name__ == "__main__":
    uvicorn.run(
        application(Engine(sys.argv[1])),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        log_level="warning",
    )
