"""Two real servers that share their questions, with an embedder that is a third."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from meanings import ASKED, OTHERWISE, ToldJudgements
from test_served_meaning import PROJECT, Asking, until
from upstream import CHAT, answers
from watchllm_server.cache import local

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Server
    from upstream import Asked, Upstream

pytestmark = pytest.mark.timeout(240)
SECRET = "a secret key that both nodes are told 0123"


async def everything(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Answer as a provider of both APIs; all that asks about passwords has one vector."""
    if asked.path == "/v1/embeddings":
        data = [
            {"index": n, "embedding": [float("password" in text.lower()), 0.1]}
            for n, text in enumerate(asked.json["input"])
        ]
        await answers({"object": "list", "data": data})(asked, writer)
        return
    await answers(CHAT)(asked, writer)


def shared(url: str) -> int:
    """Return how many questions the nodes share."""
    with psycopg.connect(url) as database:
        row = database.execute("SELECT count(*) FROM watchllm_questions").fetchone()
    return row[0] if row else 0


def test_a_node_answers_what_another_was_asked(
    tmp_path: Path,
    serve: Callable[..., Server],
    upstream: Upstream,
    model_folder: Path,
    pgvector_url: str,
) -> None:
    """Question and answer come from the database, and the vectors from the provider named."""
    upstream.script = everything
    settings = {
        "WATCHLLM_PROVIDER_OPENAI_BASE_URL": upstream.url,
        "WATCHLLM_PROVIDER_OPENAI_API_KEY": "sk-of-the-server",
        "WATCHLLM_CACHE_SEMANTIC": "serve",
        "WATCHLLM_EMBEDDER": "openai/embed-1",
        "WATCHLLM_CACHE_QUESTIONS_URL": pgvector_url,
        "WATCHLLM_SECRET_KEY": SECRET,
    }
    nodes = []
    for name in ("one", "other"):
        folder = tmp_path / name
        (folder / local.FOLDER).parent.mkdir(parents=True)
        (folder / local.FOLDER).symlink_to(model_folder)
        with closing(ToldJudgements(folder / "cache")) as earlier:
            earlier.measure(PROJECT)
        nodes.append(serve(folder, **settings))
    one, other = (Asking(node) for node in nodes)
    one.wait_until_on()
    other.wait_until_on()
    with psycopg.connect(pgvector_url, autocommit=True) as database:
        database.execute("TRUNCATE watchllm_questions")

    first = one.ask(ASKED)
    until(lambda: shared(pgvector_url) == 1)
    hit = other.hit()

    assert hit.json() == first.json()
    sent = [asked.json["input"] for asked in upstream.asked if asked.path == "/v1/embeddings"]
    assert sent[0] == [ASKED]
    assert sent[-1][0].lower() == OTHERWISE.lower()
