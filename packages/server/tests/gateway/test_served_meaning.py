"""Hits by meaning of a real server: served, explained, across a kill, reported, erased."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from conftest import KEY, Server
from gateways import LONGEST
from meanings import ASKED, OTHERWISE, ToldJudgements
from upstream import chats
from watchllm_server.cache import judgements, local, questions
from watchllm_server.commands import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from upstream import Upstream

# Servers as processes, each of which loads the engine and a model: a minute on a busy machine.
pytestmark = pytest.mark.timeout(240)
PROJECT = "proj-tests"


class Asking:
    """Ask a server questions, with the key of its project."""

    def __init__(self, server: Server) -> None:
        self.url = f"http://127.0.0.1:{server.port}"
        self._headers = {"Authorization": f"Bearer {KEY}"}

    def ask(self, text: str) -> httpx2.Response:
        """Ask a question, which must be answered."""
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        answer = self.post("/v1/chat/completions", body, {"X-WatchLLM-User-Id": "jane"})
        assert answer.status_code == 200
        return answer

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx2.Response:
        """Post a body."""
        told = {**self._headers, **(headers or {})}
        return httpx2.post(f"{self.url}{path}", json=body, headers=told, timeout=100)

    def hit(self) -> httpx2.Response:
        """Return a hit by meaning: on a busy machine the first lookups may be given up."""
        for place, letter in enumerate(OTHERWISE):
            answer = self.ask(f"{OTHERWISE[:place]}{letter.swapcase()}{OTHERWISE[place + 1 :]}")
            if answer.headers["x-watchllm-cache"] == "HIT-SEMANTIC":
                return answer
        raise AssertionError("no wording was a hit")

    def stats(self) -> Any:
        """Return what is known of hits by meaning."""
        answer = httpx2.get(f"{self.url}/v1/cache/stats", headers=self._headers, timeout=100)
        return answer.json()["semantic"]

    def wait_until_on(self) -> None:
        """Return when the model has been loaded."""
        until(lambda: self.stats()["status"] == "on")


def until(is_true: Callable[[], bool]) -> None:
    """Return when something is true that another process brings about."""
    deadline = time.monotonic() + LONGEST
    while not is_true():
        assert time.monotonic() < deadline


def rows(directory: Path, name: str, table: str) -> int:
    """Return how many rows a table of the cache has."""
    with closing(sqlite3.connect(directory / "cache" / name)) as disk:
        found: int = disk.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found


def test_a_hit_is_served_explained_reported_and_erased(
    tmp_path: Path,
    serve: Callable[..., Server],
    upstream: Upstream,
    model_folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A killed server finds what it had kept; a wrong hit is not served again, an erasure ends all.

    What is on disk afterwards holds no question of who was erased.
    """
    upstream.script = chats("It takes 4 days.")
    (tmp_path / local.FOLDER).parent.mkdir(parents=True)
    (tmp_path / local.FOLDER).symlink_to(model_folder)
    with closing(ToldJudgements(tmp_path / "cache")) as earlier:
        earlier.measure(PROJECT)
    settings = {
        "WATCHLLM_PROVIDER_OPENAI_BASE_URL": upstream.url,
        "WATCHLLM_CACHE_SEMANTIC": "serve",
    }
    server = serve(tmp_path, **settings)
    asking = Asking(server)
    asking.wait_until_on()
    asking.ask(ASKED)
    until(lambda: rows(tmp_path, questions.FILE_NAME, "questions") == 1)
    server.stop(signal.SIGKILL)

    server = serve(tmp_path, **settings)
    asking = Asking(server)
    asking.wait_until_on()
    hit = asking.hit()
    event = hit.headers["x-watchllm-event-id"]
    until(lambda: asking.stats()["hits"] == 1)
    before = asking.stats()
    capfd.readouterr()
    explained = run(["cache", "explain", event, "--data-dir", str(tmp_path)])
    told = capfd.readouterr().out
    unknown = run(["cache", "explain", "no-such-event", "--data-dir", str(tmp_path)])
    wrong = asking.post("/v1/cache/feedback", {"event_id": event, "correct": False})
    never = asking.post("/v1/cache/feedback", {"event_id": "no such event", "correct": False})
    again = asking.ask(OTHERWISE.upper())
    after = asking.stats()
    until(lambda: rows(tmp_path, questions.FILE_NAME, "questions") >= 1)
    erased = httpx2.post(
        f"{asking.url}/v1/admin/projects/{PROJECT}/erasures", json={"user_id": "jane"}, timeout=100
    )

    assert (before["mode"], before["max_error_rate"]) == ("serve", 0.01)
    assert before["saved_usd"] > 0
    assert before["groups"][0]["name"] == f"project:{PROJECT}"
    assert before["groups"][0]["error"]["comparisons"] >= 1_200
    assert explained == 0
    assert f"stored:     {ASKED}" in told.lower()
    assert f"project:{PROJECT}" in told
    assert unknown == 2
    assert (wrong.status_code, wrong.json()) == (200, {"entries_invalidated": 1})
    assert never.status_code == 404
    assert again.headers["x-watchllm-cache"] == "MISS"
    assert after["reported_wrong"] == 1
    assert erased.status_code == 200
    assert rows(tmp_path, questions.FILE_NAME, "questions") == 0
    assert rows(tmp_path, judgements.FILE_NAME, "decisions") == 0
    assert server.stop() == 0


def test_without_a_model_the_server_says_so_once_and_serves(
    tmp_path: Path, serve: Callable[..., Server], upstream: Upstream, model_folder: Path
) -> None:
    """A model that was cut is named in one line, and equal requests are served from the cache."""
    upstream.script = chats("It takes 4 days.")
    folder = tmp_path / local.FOLDER
    folder.mkdir(parents=True)
    for file in model_folder.iterdir():
        (folder / file.name).write_bytes(
            file.read_bytes()[: -1 if file.suffix == ".onnx" else None]
        )
    server = serve(
        tmp_path,
        WATCHLLM_PROVIDER_OPENAI_BASE_URL=upstream.url,
        WATCHLLM_CACHE_SEMANTIC="serve",
    )
    asking = Asking(server)
    until(lambda: asking.stats()["status"] == "failed")

    caches = [asking.ask(text).headers["x-watchllm-cache"] for text in (ASKED, ASKED, OTHERWISE)]
    server.process.send_signal(signal.SIGTERM)
    _, said = server.process.communicate(timeout=LONGEST)

    assert caches == ["MISS", "HIT", "MISS"]
    assert said.count("Questions are not compared by their meaning now") == 1
    assert "is damaged: run watchllm models fetch" in said


@pytest.mark.parametrize(("mode", "lines"), [("shadow", 0), ("serve", 1)])
def test_a_model_that_nobody_fetched_is_a_warning_where_answers_need_it(
    tmp_path: Path, serve: Callable[..., Server], mode: str, lines: int
) -> None:
    """A fresh server only measures, and is silent; one that is to serve says it once."""
    server = serve(tmp_path, WATCHLLM_CACHE_SEMANTIC=mode)
    asking = Asking(server)

    until(lambda: asking.stats()["status"] == "missing")
    server.process.send_signal(signal.SIGTERM)
    _, said = server.process.communicate(timeout=LONGEST)

    assert said.count("holds no model: run watchllm models fetch") == said.count("\n") == lines
