"""Many large requests at once: what the gateway has in hand is bounded."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from gateways import LONGEST, chat, openai_at
from upstream import chats
from watchllm_server.budget import Budget, too_many_calls
from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateways import Running
    from upstream import Asked, Upstream

_LARGE = 900_000


def large(number: int) -> dict[str, Any]:
    """Return a request of nearly a MB, unlike any other."""
    content = f"{number} ".ljust(_LARGE, "x")
    return chat(messages=[{"role": "user", "content": content}])


class Gate:
    """A provider that answers once it may, and tells of each request that has come."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.opened = threading.Event()

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.arrived.release()
        await asyncio.to_thread(self.opened.wait, LONGEST)
        await chats("Hello")(asked, writer)


def test_many_large_bodies_at_once_are_held_up_to_the_bound(
    start: Callable[..., Running], upstream: Upstream
) -> None:
    """What is beyond the bound is 503 with Retry-After in the API's form, and asks no provider.

    Small requests still fit, those that were admitted are answered, and the room comes back.
    """
    gate = upstream.script = Gate()
    gateway = start(openai_at(upstream), memory_bytes=3_000_000)
    with ThreadPoolExecutor(20) as pool:
        admitted = [pool.submit(gateway.post, **large(number)) for number in range(3)]
        for _ in admitted:
            assert gate.arrived.acquire(timeout=LONGEST)
        refused = list(pool.map(lambda number: gateway.post(**large(number)), range(3, 15)))
        small = pool.submit(gateway.post, **chat())
        assert gate.arrived.acquire(timeout=LONGEST)
        gate.opened.set()
        served = [each.result().status_code for each in (*admitted, small)]
    again = gateway.post(**large(3))
    gateway.see_all()

    assert served == [200] * 4
    assert {(each.status_code, each.headers["retry-after"]) for each in refused} == {(503, "1")}
    error = refused[0].json()["error"]
    assert error["code"] == "busy"
    assert "Try again later" in error["message"]
    assert again.status_code == 200
    assert len(upstream.asked) == 5
    assert gateway.budget.used == 0


def test_bodies_that_arrive_together_never_take_more_than_the_bound(
    start: Callable[..., Running], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a crowd each is served or told to come back; none is lost, and nothing stays taken."""
    upstream.script = chats("Hello")
    gateway = start(openai_at(upstream), memory_bytes=2_000_000)
    peaks: list[int] = []
    take = gateway.budget.take

    def noted(size: int) -> None:
        take(size)
        peaks.append(gateway.budget.used)

    monkeypatch.setattr(gateway.budget, "take", noted)
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda number: gateway.post(**large(number)), range(24)))
    gateway.see_all()

    statuses = [each.status_code for each in answers]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) == len(upstream.asked) > 0
    assert max(peaks) <= 2_000_000
    assert gateway.budget.used == 0


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/files"])
def test_a_client_that_leaves_halfway_gives_its_room_back(
    start: Callable[..., Running], upstream: Upstream, path: str
) -> None:
    """A body that never comes to its end holds room only as long as its connection lives."""
    upstream.script = chats("Hello")
    gateway = start(openai_at(upstream), memory_bytes=1_000_000)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {gateway.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {_LARGE}\r\n\r\n"
    )
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", gateway.port), LONGEST) as leaving:
            leaving.sendall(head.encode() + b" " * (_LARGE // 2))
    gateway.see_all()

    served = httpx2.post(
        f"http://127.0.0.1:{gateway.port}{path}",
        content=json.dumps(large(1)),
        headers={"Authorization": f"Bearer {gateway.key}", "Content-Type": "application/json"},
        timeout=LONGEST,
    )
    gateway.see_all()

    assert served.status_code == 200
    assert gateway.budget.used == 0


def test_what_was_refused_takes_nothing() -> None:
    """A share that may not grow keeps what it had, and gives that back at its end."""
    budget = Budget(10, too_many_calls)

    with budget.share() as share, budget.share() as other:
        share.grow(6)
        other.grow(4)
        with pytest.raises(Problem) as refused:
            share.grow(1)
        full = budget.used

    assert (refused.value.status, refused.value.code) == (503, "busy")
    assert refused.value.headers == {"Retry-After": "1"}
    assert (full, budget.used) == (10, 0)
