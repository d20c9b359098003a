"""The least that a proxy in Python can do: pass each request on, and its answer back.

No key, no JSON, no cache, no record: the floor that the gateway is measured beside, in the same run
and with the same libraries. Run as `python gateway_bare.py PORT BASE_URL`.
"""

from __future__ import annotations

import sys
from typing import Any

import aiohttp
import uvicorn

HOP = {b"content-length", b"transfer-encoding", b"connection", b"date"}


class Bare:
    """Pass on."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
            )
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        async with self._session.post(self._base + scope["path"], data=body) as answer:
            headers = [
                (name, value) for name, value in answer.raw_headers if name.lower() not in HOP
            ]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(
        Bare(sys.argv[2]),
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        log_config=None,
        lifespan="off",
    )
