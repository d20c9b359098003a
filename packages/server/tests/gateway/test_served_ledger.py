"""The ledger of a real server: where provider keys do not go, and a store that goes away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
from conftest import KEY, Server
from engines import ClickHouseProcess
from upstream import answers, chats

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from upstream import Asked, Upstream

_SERVERS = "sk-planted-of-the-server-0123456789"
_PROJECTS = "sk-planted-of-the-project-0123456789"
_REQUESTS = "sk-planted-of-the-request-0123456789"
_PLANTED = (_SERVERS, _PROJECTS, _REQUESTS)
_PATIENCE_SECONDS = 100


def client_of(server: Server) -> httpx2.Client:
    """Return a client with the key of the server's project."""
    return httpx2.Client(
        base_url=f"http://127.0.0.1:{server.port}",
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=_PATIENCE_SECONDS,
    )


def ask(client: httpx2.Client, words: str, **fields: Any) -> httpx2.Response:
    """Ask for a chat completion."""
    headers = fields.pop("headers", {})
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": words}], **fields}
    return client.post("/v1/chat/completions", json=request, headers=headers)


def events_of(client: httpx2.Client, count: int) -> list[dict[str, Any]]:
    """Return the events of the project, once there are so many or the patience is at its end."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        answer = client.post("/v1/events/query", json={"limit": 1_000})
        found: list[dict[str, Any]] = answer.json().get("events", [])
        if len(found) >= count or time.monotonic() > deadline:
            return found


def test_provider_keys_are_in_no_event_page_log_or_file(
    tmp_path: Path, serve: Callable[..., Server], upstream: Upstream
) -> None:
    """Three keys are used, of the server, the project and a request, and the provider quotes each.

    Afterwards they are in nothing that the server says or keeps, though each was sent.
    """
    server = serve(
        tmp_path,
        WATCHLLM_PROVIDER_OPENAI_BASE_URL=upstream.url,
        WATCHLLM_PROVIDER_OPENAI_API_KEY=_SERVERS,
        WATCHLLM_LOG_LEVEL="debug",
        WATCHLLM_LOG_FORMAT="json",
    )
    said: list[str] = []
    with client_of(server) as client:

        def refused(words: str, key: str, **headers: str) -> None:
            fault = {"message": f"Incorrect API key provided: {key}", "code": "invalid_api_key"}
            upstream.script = answers({"error": fault}, 401)
            assert ask(client, words, headers=headers).status_code == 401
            assert upstream.asked[-1].headers["authorization"] == f"Bearer {key}"
            upstream.script = chats(f"Your key is {key}.")
            assert ask(client, f"{words}?", headers=headers, stream=True).status_code == 200

        refused("One", _SERVERS)
        refused("Two", _REQUESTS, **{"X-WatchLLM-Provider-Key": _REQUESTS})
        stored = httpx2.put(
            f"http://127.0.0.1:{server.port}/v1/admin/projects/proj-tests/providers/openai",
            json={"api_key": _PROJECTS},
            timeout=_PATIENCE_SECONDS,
        )
        assert stored.status_code == 200
        said.append(stored.text)
        refused("Three", _PROJECTS)

        events = events_of(client, 6)
        said.append(json.dumps(events))
        said.append(client.get("/v1/export", params={"format": "jsonl"}).text)
        said += [
            httpx2.get(f"http://127.0.0.1:{server.port}{path}", timeout=100).text
            for path in ("/", "/metrics", f"/runs/{events[0]['run_id']}")
        ]
    server.process.send_signal(signal.SIGTERM)
    said += server.process.communicate(timeout=_PATIENCE_SECONDS)
    assert server.process.returncode == 0

    assert "/v1/chat/completions" in said[-1]
    texts = [event["response"] for event in events]
    assert texts.count("Your key is [provider key].") == 3
    errors = [event["error"]["message"] for event in events if "error" in event]
    assert errors == ["Incorrect API key provided: [provider key]"] * 3
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) > 3
    for key in _PLANTED:
        assert [text for text in said if key in text] == []
        assert [str(path) for path, content in files.items() if key.encode() in content] == []


def test_a_store_that_is_away_costs_no_call_and_no_event(
    tmp_path: Path, serve: Callable[..., Server], upstream: Upstream
) -> None:
    """Calls go on while ClickHouse is away, also past a SIGKILL of the server: each event is once.

    The events of the outage arrive when the store is back; meanwhile nothing of them is on the disk
    in clear.
    """
    (tmp_path / "clickhouse").mkdir()
    clickhouse = ClickHouseProcess(tmp_path / "clickhouse")
    settings = {
        "WATCHLLM_STORE": clickhouse.url("ledger"),
        "WATCHLLM_PROVIDER_MINE_BASE_URL": upstream.url,
        "WATCHLLM_PROVIDER_MINE_MODELS": "gpt-*",
    }
    try:
        server = serve(tmp_path / "data", **settings)
        with client_of(server) as client:
            assert ask(client, "Before").status_code == 200
            assert len(events_of(client, 1)) == 1
            clickhouse.kill()
            during = [ask(client, f"During {number}").status_code for number in range(5)]
            assert client.post("/v1/events/query", json={}).status_code == 503
        server.stop(signal.SIGKILL)
        waiting = [path.read_bytes() for path in (tmp_path / "data" / "journal").iterdir()]

        clickhouse.start()
        again = serve(tmp_path / "data", **settings)
        with client_of(again) as client:
            assert ask(client, "After").status_code == 200
            events = events_of(client, 7)
        assert again.stop() == 0
    finally:
        clickhouse.kill()

    assert during == [200] * 5
    # That of the first call may not have been removed yet.
    assert sum(text.count(b"\n") for text in waiting) in (5, 6)
    assert not any(b"During" in text or b64encode(b"prompt") in text for text in waiting)
    prompts = sorted(event["prompt"] for event in events)
    assert [prompt.split("\n")[-1] for prompt in prompts] == sorted(
        ["Before", *(f"During {number}" for number in range(5)), "After"]
    )
    assert len({event["event_id"] for event in events}) == 7
    assert list((tmp_path / "data" / "journal").iterdir()) == []


def test_an_erasure_reaches_calls_that_wait_and_calls_under_way(
    tmp_path: Path, serve: Callable[..., Server], upstream: Upstream
) -> None:
    """Of an erased user nothing is stored that was asked before, nor is an answer to it kept.

    That holds for what waits on the disk of a stopped server, and for a call that ends afterwards.
    """
    (tmp_path / "clickhouse").mkdir()
    clickhouse = ClickHouseProcess(tmp_path / "clickhouse")
    settings = {
        "WATCHLLM_STORE": clickhouse.url("ledger"),
        "WATCHLLM_PROVIDER_OPENAI_BASE_URL": upstream.url,
        "WATCHLLM_PROVIDER_OPENAI_API_KEY": _SERVERS,
    }
    jane, joe = ({"X-WatchLLM-User-Id": name} for name in ("jane", "joe"))
    data = tmp_path / "data"
    try:
        server = serve(data, **settings)
        clickhouse.kill()
        with client_of(server) as client:
            for headers in (jane, joe, jane):
                assert ask(client, "Waiting", headers=headers).status_code == 200
        server.stop(signal.SIGKILL)
        assert any((data / "journal").iterdir())

        clickhouse.start()
        command = [sys.executable, "-m", "watchllm_server", "erase", "--project", "proj-tests"]
        done = subprocess.run(
            [*command, "--user-id", "jane", "--data-dir", str(data)],
            env={**os.environ, **settings}, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

        again = serve(data, **settings)
        url = f"http://127.0.0.1:{again.port}/v1/admin/projects/proj-tests/erasures"
        arrived, released = threading.Event(), threading.Event()

        async def held(asked: Asked, writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await asyncio.to_thread(released.wait, _PATIENCE_SECONDS)
            await chats("Held.")(asked, writer)

        with client_of(again) as client, ThreadPoolExecutor(1) as pool:
            upstream.script = held
            asking = pool.submit(ask, client, "Under way", headers=jane)
            assert arrived.wait(_PATIENCE_SECONDS)
            body = {"user_id": "jane"}
            assert httpx2.post(url, json=body, timeout=_PATIENCE_SECONDS).status_code == 200
            released.set()
            assert asking.result().status_code == 200
            upstream.script = chats("Free.")
            later = ask(client, "Under way", headers=jane)
            found = events_of(client, 2)
        # What it had not stored by then, it stores before it ends.
        assert again.stop() == 0
        last = serve(data, **settings)
        with client_of(last) as client:
            assert len(events_of(client, 2)) == len(found) == 2
    finally:
        clickhouse.kill()

    assert later.headers["x-watchllm-cache"] == "MISS"
    told = {(event["user_id"], event["prompt"].split("\n")[-1]) for event in found}
    assert told == {("joe", "Waiting"), ("jane", "Under way")}
    assert list((data / "journal").iterdir()) == []


def test_a_budget_holds_past_a_restart(
    tmp_path: Path, serve: Callable[..., Server], upstream: Upstream
) -> None:
    """A call beyond the budget is refused in the API's own form, and no provider is asked.

    What was used before counts after a restart, and the alert of the limit that warns is recorded.
    """
    settings = {
        "WATCHLLM_PROVIDER_OPENAI_BASE_URL": upstream.url,
        "WATCHLLM_PROVIDER_OPENAI_API_KEY": _SERVERS,
    }
    admin = "/v1/admin/projects/proj-tests/limits"

    def refused(client: httpx2.Client) -> httpx2.Response:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = ask(client, "Again", headers={"X-WatchLLM-Cache": "off"})
            if answer.status_code != 200:
                break
        return answer

    first = serve(tmp_path, **settings)
    # The one that warns comes first: the other ends the calls that would reach it.
    for action, amount in (("warn", "0.00005"), ("refuse", "0.0001")):
        body = {"unit": "usd", "per": "month", "amount": amount, "action": action}
        url = f"http://127.0.0.1:{first.port}{admin}"
        assert httpx2.put(url, json=body, timeout=_PATIENCE_SECONDS).status_code == 200
    with client_of(first) as client:
        answer = refused(client)
        asked = len(upstream.asked)
        assert ask(client, "And again").status_code == 429
        alerts = client.post("/v1/events/query", json={"event_types": ["performance_alert"]})
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not alerts.json()["events"] and time.monotonic() < deadline:
            alerts = client.post("/v1/events/query", json={"event_types": ["performance_alert"]})
    assert first.stop() == 0
    again = serve(tmp_path, **settings)
    with client_of(again) as client:
        after = ask(client, "After the restart")
    assert again.stop() == 0

    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "budget_exceeded"
    assert "0.0001 US dollars of this month" in answer.json()["error"]["message"]
    assert int(answer.headers["Retry-After"]) > 0
    assert after.status_code == 429
    assert len(upstream.asked) == asked
    (alert,) = alerts.json()["events"]
    assert (alert["alert_type"], alert["threshold"]) == ("cost_spike", 0.00005)
    assert alert["actual_value"] >= 0.00005
