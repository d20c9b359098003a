"""The cache of a real server: across a kill, through its routes, and when someone is erased."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

import httpx2
import pytest
from conftest import KEY, Server
from upstream import chats

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from upstream import Upstream

# Servers and commands as processes, each of which loads the engine: minutes on a busy machine.
pytestmark = pytest.mark.timeout(240)
WORDS = "words that are planted in an answer"


class Asking:
    """Ask a server the same, and say what its cache did."""

    def __init__(self, server: Server) -> None:
        self._client = httpx2.Client(
            base_url=f"http://127.0.0.1:{server.port}",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=100,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def chat(self, **fields: Any) -> str:
        """Ask for a chat completion, and return what the cache did."""
        request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], **fields}
        answer = self._client.post("/v1/chat/completions", json=request)
        assert answer.status_code == 200
        assert WORDS in answer.text
        return answer.headers["x-watchllm-cache"]

    def stats(self) -> Any:
        """Return the stats, for which all that waits is written."""
        return self._client.get("/v1/cache/stats").json()

    def post(self, path: str, *, key: str = KEY, **body: Any) -> Any:
        """Post to a route, and return the answer; without a key, as who administers."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = self._client.base_url.join(path)
        answer = httpx2.post(url, json=body, headers=headers, timeout=100)
        assert answer.status_code == 200
        return answer.json()


def test_answers_outlive_a_kill_and_end_when_they_are_forgotten(
    tmp_path: Path, serve: Callable[..., Server], upstream: Upstream
) -> None:
    """A killed server serves again what it had kept, until a route or an erasure forgets it."""
    upstream.script = chats(WORDS)
    settings = {"WATCHLLM_PROVIDER_OPENAI_BASE_URL": upstream.url}
    server = serve(tmp_path, **settings)
    with Asking(server) as asking:
        first = [asking.chat(), asking.chat(), asking.chat(stream=True), asking.stats()["entries"]]
    server.stop(signal.SIGKILL)

    server = serve(tmp_path, **settings)
    with Asking(server) as asking:
        second = [asking.chat(stream=True), asking.stats()["hits"]]
        forgotten = asking.post("/v1/cache/invalidate", model="gpt-4o")
        third = [asking.chat(), asking.chat()]
        asking.post("/v1/admin/projects/proj-tests/erasures", key="", user_id="jane")
        fourth = [asking.stats()["entries"], asking.chat()]
    assert server.stop() == 0

    command = [sys.executable, "-m", "watchllm_server", "erase", "--project", "proj-tests"]
    erased = subprocess.run(
        [*command, "--user-id", "jane", "--data-dir", str(tmp_path)],
        env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    server = serve(tmp_path, **settings)
    with Asking(server) as asking:
        fifth = [asking.stats()["entries"], asking.chat()]

    assert first == ["MISS", "HIT", "HIT", 1]
    assert second == ["HIT", 3]
    assert forgotten == {"entries_invalidated": 1}
    assert third == ["MISS", "HIT"]
    assert fourth == [0, "MISS"]
    assert erased.returncode == 0, erased.stderr
    assert fifth == [0, "MISS"]
    assert len(upstream.asked) == 4
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    assert kept
    assert WORDS.encode() not in kept
