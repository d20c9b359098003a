"""Every body of the contract gets exactly its documented answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from conftest import CONTRACT, Account

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.testclient import TestClient
    from watchllm_server.metadata import Metadata

PROJECT = "proj-contract"


@pytest.fixture(scope="module")
def contract(client: TestClient, metadata: Metadata) -> Account:
    """Return an account of the project that the contract's bodies name."""
    metadata.create_project(PROJECT, project_id=PROJECT)
    _, secret = metadata.create_key(PROJECT)
    return Account(PROJECT, secret, client)


def cases(kind: str) -> list[Any]:
    """Return a kind's files as parameters of a test."""
    return [pytest.param(path, id=path.stem) for path in sorted((CONTRACT / kind).glob("*.json"))]


def read(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return a case and the body that it posts."""
    case = json.loads(path.read_text())
    return case, case["raw"].encode() if "raw" in case else json.dumps(case["body"]).encode()


@pytest.mark.parametrize("path", cases("accepted"))
def test_an_accepted_body_is_stored_and_comes_back(contract: Account, path: Path) -> None:
    """An accepted body is answered without errors, and each event reads back as it was sent."""
    case, body = read(path)

    status, answer = contract.post("/v1/events/batch", body)

    assert (status, answer["errors"]) == (200, [])
    assert answer["total_processed"] == len(case["body"]["events"])
    ids = {event["event_id"] for event in case["body"]["events"]}
    assert len(ids) == case["stored"]
    for event in case["body"]["events"]:
        _, stored = contract.get(f"/v1/events/{quote(event['event_id'], safe='')}")
        for name in event:
            if name == "timestamp" or name in event.get("invalid_fields", {}):
                continue
            if event[name] is None:
                assert stored.get(name) in (None, []), name
            else:
                assert stored[name] == event[name], name


@pytest.mark.parametrize("path", cases("rejected"))
def test_a_rejected_body_gets_its_answer(contract: Account, path: Path) -> None:
    """A rejected body is answered with its status and code, its neighbours being stored."""
    case, body = read(path)

    status, answer = contract.post("/v1/events/batch", body)

    assert status == case["status"]
    if status >= 400:
        assert answer["error"]["code"] == case["code"]
        assert answer["error"]["message"].endswith(".")
    else:
        errors = [{"index": e["index"], "code": e["code"]} for e in answer["errors"]]
        assert errors == case["errors"]
        assert answer["total_processed"] == case.get("processed", 0)
        assert all(error["message"].endswith(".") for error in answer["errors"])
