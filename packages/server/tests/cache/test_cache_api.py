"""The routes of the cache: each key sees and forgets what is its project's, and no more."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from gateways import without_model
from keeping import NOW, entry, key, opened
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from watchllm_server.api.cache import CacheApi
from watchllm_server.auth import Authenticator, Keyring
from watchllm_server.cache.rules import Rules
from watchllm_server.clock import SystemClock
from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request
    from watchllm_server.cache.store import CacheStore
    from watchllm_server.metadata import Metadata

INVALIDATE = "/v1/cache/invalidate"


async def answer_problem(request: Request, error: Exception) -> JSONResponse:
    """Answer as the application does."""
    assert isinstance(error, Problem)
    return JSONResponse(error.body, error.status, error.headers)


@dataclass
class Served:
    """The routes over a store, and two projects with their keys."""

    client: TestClient
    store: CacheStore
    projects: tuple[str, str]
    keys: tuple[str, str]

    def post(self, body: Any, who: int = 0) -> tuple[int, Any]:
        """Ask to invalidate, and return status and answer."""
        headers = {"Authorization": f"Bearer {self.keys[who]}"}
        answer = self.client.post(INVALIDATE, json=body, headers=headers)
        return answer.status_code, answer.json()

    def stats(self, who: int = 0) -> Any:
        """Return the stats, which must be answered."""
        headers = {"Authorization": f"Bearer {self.keys[who]}"}
        answer = self.client.get("/v1/cache/stats", headers=headers)
        assert answer.status_code == 200
        return answer.json()


@pytest.fixture
def served(tmp_path: Path, metadata: Metadata) -> Iterator[Served]:
    """Serve the routes over a store in which each of two projects has two answers."""
    projects = [metadata.create_project(f"cache {name} {tmp_path.name}").id for name in "ab"]
    keys = [metadata.create_key(project)[1] for project in projects]
    keyring = Keyring(metadata, SystemClock())
    with closing(opened(tmp_path)) as store:
        for project in projects:
            for number, model in enumerate(("gpt-4o", "claude")):
                made = NOW.timestamp() + 3_600 * number
                kept = entry(model=model, created_at=made, event_id=f"event-{number}")
                store.put(key((project, number)), project, "ns", kept)
        semantic = without_model(tmp_path / "meaning")
        api = CacheApi(
            store,
            Rules(metadata, 60),
            semantic,
            Authenticator(keyring, "read"),
            Authenticator(keyring, "gateway"),
        )
        app = Starlette(routes=api.routes(), exception_handlers={Problem: answer_problem})
        client = TestClient(app)
        yield Served(client, store, (projects[0], projects[1]), (keys[0], keys[1]))
        asyncio.run(semantic.close())


def test_the_stats_are_those_of_the_project(served: Served) -> None:
    """What is kept, how old it is, and what it has saved so far."""
    served.store.get(key((served.projects[0], 0)))

    mine, other = served.stats(0), served.stats(1)

    assert mine.pop("semantic")["status"] == "off"
    assert mine | {"bytes": 0} == {
        "entries": 2, "bytes": 0, "hits": 1, "saved_usd": 0.25,
        "oldest_at": "2026-11-24T12:00:00.000Z", "newest_at": "2026-11-24T13:00:00.000Z",
    }  # fmt: skip
    assert mine["bytes"] > 0
    assert (other["entries"], other["hits"], other["saved_usd"]) == (2, 0, 0.0)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"all": True}, 2),
        ({"model": "claude"}, 1),
        ({"namespace": "ns", "model": None}, 2),
        ({"namespace": "other"}, 0),
        ({"before": "2026-11-24T13:00:00Z"}, 1),
        ({"after": "2026-11-24T14:00:00+01:00"}, 1),
        ({"event_id": "event-0"}, 1),
        ({"event_id": "event-0", "model": "claude"}, 0),
        ({"all": False, "model": "gpt-4o"}, 1),
    ],
)
def test_what_is_meant_is_forgotten_in_the_own_project(
    served: Served, body: dict[str, Any], count: int
) -> None:
    """The answer says how many those were; nothing of another project is touched."""
    assert served.post(body) == (200, {"entries_invalidated": count})
    assert served.stats(0)["entries"] == 2 - count
    assert served.stats(1)["entries"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"all": True, "model": "gpt-4o"},
        {"models": ["gpt-4o"]},
        {"model": 5},
        {"before": "yesterday"},
        {"before": NOW.replace(tzinfo=None).isoformat()},
        [],
    ],
)
def test_a_body_that_does_not_say_what_is_meant_forgets_nothing(served: Served, body: Any) -> None:
    """Nothing at all, a misspelt name, or all and yet not all: each is refused."""
    status, answer = served.post(body)

    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert served.stats(0)["entries"] == 2


def test_a_body_that_is_no_json_or_too_long_is_refused(served: Served) -> None:
    """Each with the status that says so."""
    headers = {"Authorization": f"Bearer {served.keys[0]}"}
    answers = [
        served.client.post(INVALIDATE, content=body, headers=headers).status_code
        for body in (b"{", b'"\xff"', b" " * 200_000)
    ]

    assert answers == [400, 400, 413]


def test_without_the_scope_nothing_is_told_or_forgotten(served: Served, metadata: Metadata) -> None:
    """A key that only sends events has no business with the cache; one that reads may look."""
    _, ingest = metadata.create_key(served.projects[0], scopes=["ingest"])
    _, read = metadata.create_key(served.projects[0], scopes=["read"])
    statuses = {}
    for name, secret in (("none", ""), ("ingest", ingest), ("read", read)):
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        statuses[name] = (
            served.client.get("/v1/cache/stats", headers=headers).status_code,
            served.client.post(INVALIDATE, json={"all": True}, headers=headers).status_code,
        )

    assert statuses == {"none": (401, 401), "ingest": (403, 403), "read": (200, 403)}
    assert served.stats(0)["entries"] == 2


def test_what_was_made_since_is_kept(served: Served) -> None:
    """An answer that is made after the cache was emptied is served."""
    served.post({"all": True})
    made = NOW + timedelta(hours=2)
    name = key("new")
    served.store.put(name, served.projects[0], "", entry(created_at=made.timestamp()))

    assert served.store.get(name) is not None
    assert served.stats(0)["entries"] == 1
