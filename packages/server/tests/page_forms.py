"""What a browser sends with the form of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    import httpx2
    from starlette.testclient import TestClient


def submit(client: TestClient, path: str, **fields: str) -> httpx2.Response:
    """Post a form as a browser does that has loaded the page from this server."""
    headers = {
        "Origin": "http://127.0.0.1:8787",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return client.post(path, content=urlencode(fields), headers=headers)
