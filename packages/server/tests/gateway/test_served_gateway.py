"""The gateway of a real server: what it answers and keeps across its end and its next start."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from test_served_ledger import ask, client_of, events_of
from upstream import STREAM_HEAD, chat_events, chats, chunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Server
    from upstream import Asked, Upstream


def test_a_call_is_priced_recorded_counted_and_served_again_after_a_restart(
    tmp_path: Path, serve: Callable[..., Server], upstream: Upstream
) -> None:
    """One call costs, its repeats do not, also of a server that was started anew."""
    upstream.script = chats("Hello", " there!")
    settings = {
        "WATCHLLM_PROVIDER_OPENAI_BASE_URL": upstream.url,
        "WATCHLLM_PROVIDER_OPENAI_API_KEY": "sk-of-the-server",
    }
    first = serve(tmp_path, **settings)
    with client_of(first) as client:
        answers = [ask(client, "Say hello.")]
        # Its cost is in its event, so that the price lists are loaded from here on.
        events_of(client, 1)
        answers.append(ask(client, "Say hello.", stream=True))
        events = {event["event_id"]: event for event in events_of(client, 2)}
        metrics = client.get("/metrics").text
        stats = client.get("/v1/cache/stats").json()
        unknown = client.get("/v1/events/batch")
    assert first.stop() == 0
    with client_of(serve(tmp_path, **settings)) as client:
        answers.append(ask(client, "Say hello."))
        forgotten = client.post("/v1/cache/invalidate", json={"all": True}).json()
        answers.append(ask(client, "Say hello.", headers={"X-WatchLLM-Run-Id": "last"}))
        drawing = {"X-WatchLLM-Run-Id": "drawn"}
        client.post("/v1/images/generations", json={"prompt": "A cat."}, headers=drawing)
        by_run = {event["run_id"]: event for event in events_of(client, 5)}
        last, drawn = by_run["last"], by_run["drawn"]

    outcomes = [answer.headers["x-watchllm-cache"] for answer in answers]
    assert outcomes == ["MISS", "HIT", "HIT", "MISS"]
    assert len(upstream.asked) == 3
    miss, hit = (events[answer.headers["x-watchllm-event-id"]] for answer in answers[:2])
    assert (miss["prompt"], miss["response"]) == ("Say hello.", "Hello there!")
    assert miss["cost_usd"] > 0 == hit["cost_usd"]
    assert hit["response_metadata"]["saved_usd"] == pytest.approx(float(miss["cost_usd"]))
    assert (stats["entries"], stats["hits"], forgotten) == (1, 1, {"entries_invalidated": 1})
    assert last["response"] == "Hello there!"
    assert (drawn["event_type"], drawn["step_name"]) == ("agent_step", "POST /images/generations")
    for outcome in ("HIT", "MISS"):
        told = f'provider="openai",cache="{outcome}",status="success"'.split(",")
        assert any(all(part in line for part in told) for line in metrics.splitlines())
    # What is the server's own never reaches a provider.
    assert unknown.json()["error"]["code"] == "not_found"


def test_a_stream_that_the_servers_end_cuts_off_is_recorded(
    tmp_path: Path, serve: Callable[..., Server], upstream: Upstream
) -> None:
    """SIGTERM waits a little, then ends the stream; the next start has what had come of it."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(map(chunk, chat_events("Hello")[:2])))
        await asyncio.Event().wait()

    upstream.script = script
    settings = {"WATCHLLM_PROVIDER_OPENAI_BASE_URL": upstream.url}
    server = serve(tmp_path, **settings)
    with client_of(server) as client:
        request: dict[str, Any] = {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "Say hello."}],
            "stream": True,
        }
        with client.stream("POST", "/v1/chat/completions", json=request) as answer:
            assert b"Hello" in next(part for part in answer.iter_bytes() if b"Hello" in part)
            assert server.stop() == 0

    with client_of(serve(tmp_path, **settings)) as client:
        (event,) = events_of(client, 1)

    assert event["response"] == "Hello"
    assert event["response_metadata"]["incomplete"] is True


def test_a_key_without_the_scope_reaches_no_provider(
    tmp_path: Path, serve: Callable[..., Server], upstream: Upstream
) -> None:
    """A key that may only send events is refused, in the form that OpenAI's clients read."""
    server = serve(tmp_path, WATCHLLM_PROVIDER_OPENAI_BASE_URL=upstream.url)
    made = httpx2.post(
        f"http://127.0.0.1:{server.port}/v1/admin/projects/proj-tests/keys",
        content=json.dumps({"name": "sender", "scopes": ["ingest"]}),
        headers={"content-type": "application/json"},
        timeout=100,
    ).json()
    secret = max((str(value) for value in made.values()), key=len)
    assert secret.startswith("wllm_")

    with client_of(server) as client:
        answer = ask(client, "Hi", headers={"Authorization": f"Bearer {secret}"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope")
    assert upstream.asked == []
