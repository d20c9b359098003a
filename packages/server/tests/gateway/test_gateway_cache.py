"""Answers that are served again, and requests that share a call, through a running gateway."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from gateways import LONGEST, chat, openai_at, openai_client
from upstream import CHAT, STREAM_HEAD, answers, chat_events, chats, chunk, streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateways import Running
    from upstream import Asked, Script, Upstream

_COMPLETION = {"index": 0, "text": "Hello!", "finish_reason": "stop", "logprobs": None}


def test_the_second_request_is_answered_from_the_cache(
    gateway: Running, upstream: Upstream
) -> None:
    """The same request again reaches no provider, and says what it has saved."""
    upstream.script = answers(CHAT)

    first, second = gateway.post(**chat()), gateway.post(**chat())

    assert len(upstream.asked) == 1
    assert (first.headers["x-watchllm-cache"], second.headers["x-watchllm-cache"]) == (
        "MISS",
        "HIT",
    )
    assert second.content == first.content
    assert first.headers["x-watchllm-cost-usd"] == "0.002"
    assert second.headers["x-watchllm-saved-usd"] == "0.002"
    assert second.headers["x-watchllm-cache-age"] == "0"
    miss, hit = gateway.notes.next(), gateway.notes.next()
    assert (miss.cache, hit.cache) == ("MISS", "HIT")
    assert hit.saved_usd == 0.002
    assert hit.event_id == second.headers["x-watchllm-event-id"] != miss.event_id
    assert hit.answer == miss.answer


@pytest.mark.parametrize("streamed_first", [True, False])
def test_one_entry_serves_both_ways(
    gateway: Running, upstream: Upstream, *, streamed_first: bool
) -> None:
    """What came as a stream is served whole, and the other way round, to OpenAI's own client."""
    upstream.script = chats("Hello", " there!")
    client = openai_client(gateway)

    def ask(*, stream: bool) -> str:
        if not stream:
            return client.chat.completions.create(**chat()).choices[0].message.content or ""
        with client.chat.completions.create(**chat(), stream=True) as chunks:
            return "".join(each.choices[0].delta.content or "" for each in chunks)

    said = [ask(stream=streamed_first), ask(stream=not streamed_first)]

    assert said == ["Hello there!", "Hello there!"]
    assert len(upstream.asked) == 1


@pytest.mark.parametrize(
    ("change", "headers"),
    [
        ({"temperature": 0.5}, {}),
        ({"seed": 0}, {}),
        ({"model": "gpt-4o-mini"}, {}),
        ({}, {"X-WatchLLM-Cache-Namespace": "other"}),
        ({}, {"X-WatchLLM-Cache": "off"}),
        ({}, {"Cache-Control": "no-cache"}),
        ({}, {"Cache-Control": "no-store"}),
    ],
)
def test_another_request_or_wish_asks_the_provider(
    gateway: Running, upstream: Upstream, change: dict[str, Any], headers: dict[str, str]
) -> None:
    """A parameter, a namespace or a header that differs is not answered from the cache."""
    gateway.post(**chat())

    answer = gateway.post(**chat(**change), headers=headers)

    assert len(upstream.asked) == 2
    assert answer.headers["x-watchllm-cache"] in {"MISS", "BYPASS"}


def test_an_answer_is_kept_as_its_request_says_else_as_its_route_does(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """The header wins over the route's time, whichever of the two keeps nothing."""
    gateway = start(
        openai_at(upstream),
        lifetime=lambda _, route: 0 if route == "/v1/chat/completions" else 3_600,
    )

    def outcomes(path: str, **headers: str) -> list[str]:
        asked = {**chat(), "prompt": path + str(headers)}
        answers = [gateway.post(path, headers=headers, **asked) for _ in range(2)]
        return [answer.headers["x-watchllm-cache"] for answer in answers]

    chats_path, completions = "/v1/chat/completions", "/v1/completions"
    assert outcomes(chats_path) == ["MISS", "MISS"]
    assert outcomes(chats_path, **{"X-WatchLLM-Cache-TTL": "60"}) == ["MISS", "HIT"]
    upstream.script = answers({**CHAT, "object": "text_completion", "choices": [_COMPLETION]})
    assert outcomes(completions) == ["MISS", "HIT"]
    assert outcomes(completions, **{"X-WatchLLM-Cache-TTL": "0"}) == ["MISS", "MISS"]


def test_no_cache_asks_anew_and_refreshes_the_entry(gateway: Running, upstream: Upstream) -> None:
    """What `no-cache` brings is what the next request gets; `no-store` leaves it as it is."""
    upstream.script = chats("old")
    gateway.post(**chat())
    upstream.script = chats("new")
    gateway.post(**chat(), headers={"Cache-Control": "no-cache"})
    upstream.script = chats("newest")
    gateway.post(**chat(), headers={"Cache-Control": "no-store"})

    assert gateway.post(**chat()).json()["choices"][0]["message"]["content"] == "new"
    assert len(upstream.asked) == 3


def test_a_ttl_of_zero_keeps_nothing(gateway: Running, upstream: Upstream) -> None:
    """A request may say how long its answer is kept: here, not at all."""
    for _ in range(2):
        gateway.post(**chat(), headers={"X-WatchLLM-Cache-TTL": "0"})

    assert len(upstream.asked) == 2


def test_no_answer_crosses_projects(
    start: Callable[..., Running], upstream: Upstream, gateway: Running
) -> None:
    """The key of another project finds nothing of this one's."""
    gateway.post(**chat())
    other = gateway.with_another_project()

    assert other.post(**chat()).headers["x-watchllm-cache"] == "MISS"


BROKEN: dict[str, Script] = {
    "an error in a 200": answers({"error": {"message": "Overloaded.", "type": "server_error"}}),
    "an empty object": answers({}),
    "no JSON": answers(b"<html>busy</html>"),
    "a refusal": answers({"error": {"message": "No.", "type": "invalid_request_error"}}, 400),
    "a stream without its end": streams(*chat_events("Hello")[:-1]),
    "a stream that breaks off": streams(*chat_events("Hello")[:2], ends=False),
    "a malformed stream": streams(b"data: {nonsense\n\n", b"data: [DONE]\n\n"),
    "an error in a stream": streams(
        *chat_events("Hello")[:2], b'data: {"error": {"message": "Gone."}}\n\n', b"data: [DONE]\n\n"
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_nothing_but_a_complete_and_successful_answer_is_kept(
    gateway: Running, upstream: Upstream, name: str
) -> None:
    """After an answer that is broken in some way, the next request asks the provider again."""
    upstream.script = BROKEN[name]
    wants = {"stream": True} if "stream" in name else {}
    gateway.post(**chat(**wants))
    upstream.script = chats("Hello")

    assert gateway.post(**chat(**wants)).headers["x-watchllm-cache"] == "MISS"
    assert gateway.post(**chat()).headers["x-watchllm-cache"] == "HIT"
    assert len(upstream.asked) == 2


class Held:
    """A provider that answers when it is let."""

    def __init__(self, upstream: Upstream, then: Script) -> None:
        self._loop = upstream.loop
        self._go = asyncio.Event()
        self._then = then
        self.begun = threading.Event()

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.begun.set()
        await self._go.wait()
        await self._then(asked, writer)

    def let_go(self) -> None:
        """Answer all, now and later."""
        self._loop.call_soon_threadsafe(self._go.set)


@pytest.mark.parametrize("stream", [True, False])
def test_equal_requests_in_flight_make_one_call(
    gateway: Running, upstream: Upstream, *, stream: bool
) -> None:
    """Eight clients at once, some that stream and some that do not, cost one call."""
    held = upstream.script = Held(upstream, chats("Hello", " there!"))
    client = openai_client(gateway)

    def ask(number: int) -> str:
        if (number % 2 == 0) is not stream:
            return client.chat.completions.create(**chat()).choices[0].message.content or ""
        with client.chat.completions.create(**chat(), stream=True) as chunks:
            return "".join(each.choices[0].delta.content or "" for each in chunks)

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask, 0)
        assert held.begun.wait(LONGEST)
        others = [pool.submit(ask, number) for number in range(1, 8)]
        gateway.wait_for_followers(7)
        held.let_go()
        said = {future.result(LONGEST) for future in [first, *others]}

    assert said == {"Hello there!"}
    assert len(upstream.asked) == 1
    outcomes = sorted(gateway.notes.next().cache for _ in range(8))
    assert outcomes == ["HIT-COALESCED"] * 7 + ["MISS"]


def test_a_failed_call_strands_nobody(gateway: Running, upstream: Upstream) -> None:
    """When the provider refuses the first, each of the others asks for itself and is answered."""
    replies = iter([answers({"error": {"message": "No."}}, 400)])

    async def once(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await next(replies, chats("Hello"))(asked, writer)

    held = upstream.script = Held(upstream, once)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(gateway.post, **chat())
        assert held.begun.wait(LONGEST)
        others = [pool.submit(gateway.post, **chat()) for _ in range(3)]
        gateway.wait_for_followers(3)
        held.let_go()
        statuses = [future.result(LONGEST).status_code for future in [first, *others]]

    assert statuses == [400, 200, 200, 200]


def test_a_leader_that_goes_away_leaves_its_stream_to_the_others(
    gateway: Running, upstream: Upstream
) -> None:
    """The call goes on for whoever follows when the client that began it disconnects."""
    events = chat_events("Hello", " there!", usage=True)
    go = asyncio.Event()
    begun = threading.Event()

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(events[0]))
        begun.set()
        await go.wait()
        writer.write(b"".join(map(chunk, events[1:])) + b"0\r\n\r\n")
        await writer.drain()

    upstream.script = script

    def ask() -> str:
        with openai_client(gateway).chat.completions.create(**chat(), stream=True) as chunks:
            return "".join(each.choices[0].delta.content or "" for each in chunks)

    with ThreadPoolExecutor(1) as pool:
        leader = openai_client(gateway).chat.completions.create(**chat(), stream=True)
        assert begun.wait(LONGEST)
        follower = pool.submit(ask)
        gateway.wait_for_followers(1)
        leader.close()
        gateway.see_all()
        upstream.loop.call_soon_threadsafe(go.set)

        assert follower.result(LONGEST) == "Hello there!"
    assert len(upstream.asked) == 1


def test_a_follower_whose_leader_goes_away_in_silence_asks_for_itself(
    gateway: Running, upstream: Upstream
) -> None:
    """A leader that leaves before its stream has begun hands the call on; all is recorded whole."""
    held = upstream.script = Held(upstream, chats("Hello", " there!"))

    with ThreadPoolExecutor(2) as pool:
        leader = gateway.client()
        first = pool.submit(
            lambda: leader.post("/v1/chat/completions", json=chat(stream=True), timeout=0.3)
        )
        assert held.begun.wait(LONGEST)
        follower = pool.submit(gateway.post, **chat())
        gateway.wait_for_followers(1)
        assert isinstance(first.exception(LONGEST), httpx2.ReadTimeout)
        leader.close()
        gateway.see_all()
        held.let_go()

        assert follower.result(LONGEST).status_code == 200
    calls = [gateway.notes.next() for _ in range(2)]
    assert [call.complete for call in calls if not call.disconnected] == [True]
