"""Which provider a request goes to, and what happens when that one does not answer."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from gateways import LONGEST, chat, openai_at
from upstream import answers, chats

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateways import Running
    from upstream import Asked, Script, Upstream


def in_turn(*scripts: Script) -> Script:
    """Return what answers each request by the next script, and by the last from then on."""
    left = list(scripts)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(asked, writer)

    return script


def refusal(status: int, **headers: str) -> Script:
    """Return what refuses with a status."""
    return answers({"error": {"message": f"It said {status}."}}, status, **headers)


@pytest.mark.parametrize(
    ("model", "headers", "place", "name"),
    [
        ("gpt-4o", {}, "first", "gpt-4o"),
        ("groq/llama-3.3-70b", {}, "second", "llama-3.3-70b"),
        ("groq/openai/gpt-oss-20b", {}, "second", "openai/gpt-oss-20b"),
        ("llama-3.3-70b", {"X-WatchLLM-Provider": "groq"}, "second", "llama-3.3-70b"),
        ("groq/llama-3.3-70b", {"X-WatchLLM-Provider": "Groq"}, "second", "llama-3.3-70b"),
        ("openai/gpt-4o", {"X-WatchLLM-Provider": "groq"}, "second", "openai/gpt-4o"),
        ("unheard-of", {}, "first", "unheard-of"),
    ],
)
def test_a_model_leads_to_its_provider(
    start: Callable[..., Running],
    upstream: Upstream,
    other_upstream: Upstream,
    *,
    model: str,
    headers: dict[str, str],
    place: str,
    name: str,
) -> None:
    """By header, by prefix, by pattern, else to OpenAI; the prefix of a provider is ours alone."""
    gateway = start(
        openai_at(upstream), openai_at(other_upstream, name="groq", key="gsk", models=())
    )

    answer = gateway.post(**chat(model=model), headers=headers)

    (asked,) = (upstream if place == "first" else other_upstream).asked
    assert asked.json["model"] == name
    assert asked.headers["authorization"] == (
        "Bearer sk-of-the-server" if place == "first" else "Bearer gsk"
    )
    assert answer.headers["x-watchllm-provider"] == ("openai" if place == "first" else "groq")


def test_a_prefix_without_a_key_is_part_of_the_name(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """OpenRouter's own names begin with a provider, which nobody here has a key for."""
    gateway = start(
        openai_at(None, base_url="https://api.openai.com/v1", key=""),
        openai_at(upstream, name="openrouter", models=(), configured=True),
    )

    gateway.post(**chat(model="openai/gpt-4o"))

    assert upstream.asked[0].json["model"] == "openai/gpt-4o"


def test_a_request_may_bring_its_own_key(gateway: Running, upstream: Upstream) -> None:
    """The key of the header is the one that the provider sees, and the header is not."""
    gateway.post(**chat(), headers={"X-WatchLLM-Provider-Key": "sk-of-the-request"})

    assert upstream.asked[0].headers["authorization"] == "Bearer sk-of-the-request"
    assert "sk-of-the-request" not in repr(gateway.notes.next())


def test_an_unknown_provider_is_refused(gateway: Running, upstream: Upstream) -> None:
    """The error says which providers there are."""
    answer = gateway.post(**chat(), headers={"X-WatchLLM-Provider": "nobody"})

    assert answer.status_code == 400
    assert "There are: openai." in answer.json()["error"]["message"]
    assert upstream.asked == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_a_passing_failure_is_tried_again(
    gateway: Running, upstream: Upstream, status: int
) -> None:
    """A second attempt is made before the client has seen a byte, and the record counts it."""
    upstream.script = in_turn(refusal(status), chats("Hello"))

    assert gateway.post(**chat()).status_code == 200
    assert gateway.notes.next().attempts == 2


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (400, {}),
        (401, {}),
        (404, {}),
        (429, {"retry_after": "60"}),
        (429, {"retry_after": "Wed, 25 Nov 2026 15:00:00 GMT"}),
        (503, {"x_should_retry": "false"}),
    ],
)
def test_a_lasting_failure_comes_as_it_is(
    gateway: Running, upstream: Upstream, status: int, headers: dict[str, str]
) -> None:
    """What will not be better in a moment is left to the client, with the provider's headers."""
    upstream.script = refusal(status, **headers)

    answer = gateway.post(**chat())

    assert (answer.status_code, answer.json()) == (
        status,
        {"error": {"message": f"It said {status}."}},
    )
    assert len(upstream.asked) == 1
    for name, value in headers.items():
        assert answer.headers[name.replace("_", "-")] == value


def test_a_failure_leads_to_the_next_provider(
    start: Callable[..., Running], upstream: Upstream, other_upstream: Upstream
) -> None:
    """The fallback is asked under its own name and key; headers and record tell where from."""
    upstream.script = refusal(503)
    other_upstream.script = chats("Hello")
    gateway = start(
        openai_at(upstream, retries=0),
        openai_at(other_upstream, name="groq", key="gsk", models=()),
        fallbacks={"gpt-4o": ("groq/llama-3.3-70b", "nobody/x")},
    )

    answer = gateway.post(**chat(), headers={"X-WatchLLM-Provider-Key": "sk-of-the-request"})

    assert answer.status_code == 200
    assert answer.headers["x-watchllm-provider"] == "groq"
    assert answer.headers["x-watchllm-fallback-from"] == "openai/gpt-4o"
    (asked,) = other_upstream.asked
    assert (asked.json["model"], asked.headers["authorization"]) == ("llama-3.3-70b", "Bearer gsk")
    call = gateway.notes.next()
    assert (call.fallback_from, call.provider, call.model) == (
        "openai/gpt-4o", "groq", "llama-3.3-70b",
    )  # fmt: skip
    upstream.script = chats("Hello")
    assert gateway.post(**chat()).headers["x-watchllm-cache"] == "MISS"


def test_the_last_of_a_chain_answers_for_all(
    start: Callable[..., Running], upstream: Upstream, other_upstream: Upstream
) -> None:
    """When every provider refuses, the client reads what the last one said."""
    upstream.script, other_upstream.script = refusal(500), refusal(429)
    gateway = start(
        openai_at(upstream, retries=0),
        openai_at(other_upstream, name="groq", retries=0, models=()),
        fallbacks={"openai/": ("groq/llama-3.3-70b",)},
    )

    assert gateway.post(**chat()).status_code == 429


def test_a_refusal_is_no_reason_to_ask_another(
    start: Callable[..., Running], upstream: Upstream, other_upstream: Upstream
) -> None:
    """A request that is wrong stays wrong elsewhere."""
    upstream.script = refusal(400)
    gateway = start(
        openai_at(upstream),
        openai_at(other_upstream, name="groq", models=()),
        fallbacks={"gpt-4o": ("groq/llama-3.3-70b",)},
    )

    assert gateway.post(**chat()).status_code == 400
    assert other_upstream.asked == []


def test_a_provider_that_is_down_is_left_alone(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """After five failures in a row requests are refused at once, with a time to come back."""
    upstream.script = refusal(503)
    gateway = start(openai_at(upstream, retries=0))
    statuses = [gateway.post(**chat(seed=n)).status_code for n in range(5)]

    answer = gateway.post(**chat())

    assert statuses == [503] * 5
    assert len(upstream.asked) == 5
    assert answer.json()["error"]["code"] == "provider_unavailable"
    assert int(answer.headers["retry-after"]) > 0


def test_no_more_requests_are_under_way_than_a_provider_may_have(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """With room for two, four requests are answered, and never a third is there at once."""
    under_way, most = 0, 0
    two = asyncio.Event()
    lock = threading.Lock()

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        if under_way == 2:
            two.set()
        await two.wait()
        under_way -= 1
        await chats("Hello")(asked, writer)

    upstream.script = script
    gateway = start(openai_at(upstream, max_concurrency=2))

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(gateway.post, **chat(seed=number)) for number in range(4)]
        statuses = [future.result(LONGEST).status_code for future in futures]

    assert statuses == [200] * 4
    assert most == 2
