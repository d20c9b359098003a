"""What is answered when a part of the server fails."""

from __future__ import annotations

import uuid
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from conftest import prompt_call
from starlette.testclient import TestClient
from watchllm_server.app import create_app
from watchllm_server.errors import StoreError
from watchllm_server.pricing import Prices
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from watchllm_server.metadata import Metadata


class BrokenStore:
    """A store that fails at everything with one error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def insert_group(self, *_: Any, **__: Any) -> None:
        """Fail."""
        raise self._error

    def query(self, *_: Any, **__: Any) -> list[Any]:
        """Fail."""
        raise self._error

    def run(self, *_: Any, **__: Any) -> None:
        """Fail."""
        raise self._error

    def ping(self) -> None:
        """Fail."""
        raise self._error

    def close(self) -> None:
        """Let go of nothing."""


PATHS = [
    ("POST", "/v1/events/batch"),
    ("POST", "/v1/events/query"),
    ("GET", "/v1/events/x"),
    ("GET", "/v1/runs"),
    ("GET", "/v1/runs/x"),
    ("GET", "/readyz"),
]


def ask(
    error: Exception, metadata: Metadata, prices: Prices, method: str, path: str
) -> tuple[int, Any, Any, int]:
    """Return status, JSON and headers of a request to a broken store, and the status of a page."""
    project = metadata.create_project(uuid.uuid4().hex)
    _, secret = metadata.create_key(project.id)
    store = BrokenStore(error)
    app = create_app(load_settings({}), store=store, metadata=metadata, prices=prices)
    headers = {"Authorization": f"Bearer {secret}"}
    body = {"events": [prompt_call(prompt="private words")]} if path.endswith("batch") else {}
    with TestClient(
        app,
        base_url="http://127.0.0.1",
        client=("127.0.0.1", 5),
        raise_server_exceptions=False,
    ) as client:
        json = body if method == "POST" else None
        answer = client.request(method, path, json=json, headers=headers)
        page = client.get(f"/projects/{project.id}/runs")
    return answer.status_code, answer.json(), answer.headers, page.status_code


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_store_that_fails_is_503_everywhere(
    metadata: Metadata, prices: Prices, method: str, path: str
) -> None:
    """When the store cannot answer, each route says so and when to come back."""
    error = StoreError("Code: 241. 'private words' (MEMORY_LIMIT_EXCEEDED)")

    status, answer, headers, page = ask(error, metadata, prices, method, path)

    assert (status, answer["error"]["code"], page) == (503, "store_unavailable", 503)
    assert int(headers["retry-after"]) > 0
    assert "private" not in answer["error"]["message"]


@pytest.mark.parametrize(("method", "path"), PATHS[1:])
def test_a_mistake_of_ours_is_500_and_logged_without_data(
    metadata: Metadata,
    prices: Prices,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
) -> None:
    """What nothing expected is answered in our error body; the log has the place, and no data."""
    error = ZeroDivisionError("private words")

    status, answer, _, page = ask(error, metadata, prices, method, path)

    assert (status, answer["error"]["type"], page) == (500, "server_error", 500)
    assert "ZeroDivisionError at " in caplog.text
    assert "test_app.py:" in caplog.text
    assert "private words" not in caplog.text + str(answer)


def test_what_waits_for_the_price_lists_is_told_of_them(metadata: Metadata) -> None:
    """Whoever starts the server can do something once what lasts is loaded: then prices are."""
    prices = Prices()
    told: Future[bool] = Future()
    app = create_app(
        load_settings({}),
        store=BrokenStore(StoreError("away")),
        metadata=metadata,
        prices=prices,
        when_loaded=lambda: told.set_result(prices.is_warm),
    )

    with TestClient(app):
        found = told.result(60)

    assert found
