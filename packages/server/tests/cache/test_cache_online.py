"""From shadow to serve on a stream of which the truth is known: the promise is held."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from keeping import NOW, TurnedClock, entry, key
from watchllm_server.cache import guards
from watchllm_server.cache.entry import Kept
from watchllm_server.cache.index import MemoryIndex
from watchllm_server.cache.judgements import Decision, Judgements
from watchllm_server.cache.questions import Questions
from watchllm_server.cache.scope import Question
from watchllm_server.cache.semantic import Models, Semantic, groups_of
from watchllm_server.cache.verify import Text, Verdict
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from watchllm_server.cache.semantic import Found

    Vector = np.ndarray[tuple[int], np.dtype[np.float32]]

RATE = 0.01
SHARE = 0.1
SCOPE = b"scope"
GROUPS = groups_of("p", "gpt-4o", SCOPE)
REQUESTS = 4_000


class Stream:
    """A stream of questions, and the model that reads them.

    Each question is near the one that is kept; its text says how sure the judge will be of it. The
    surer the judge, the less often the stored answer is a wrong one.
    """

    name = "stream"

    def __init__(self, often_wrong: float) -> None:
        self._random = random.Random(5)  # noqa: S311 - the same chance each time
        self._often_wrong = often_wrong

    def next(self) -> tuple[str, bool]:
        """Return a question, and whether the stored answer is wrong for it."""
        sure = 0.84 + 0.16 * self._random.random()
        wrong = self._random.random() < self._often_wrong * (1 - sure) / 0.16
        return f"{sure:.4f}", wrong

    async def embed(self, text: str) -> Vector | None:
        return np.array([1, 0], np.float32)

    def close(self) -> None:
        pass

    def read(self, text: str) -> Text:
        return Text([int(10_000 * float(text))], guards.read(text))

    def judge(self, one: Text, other: Text, cosine: float) -> Verdict:
        return Verdict(one.tokens[0] / 10_000, (), cosine, 0.0, None)


class Outcome:
    """What came of a stream."""

    def __init__(self) -> None:
        self.hits = self.wrong = self.compared = 0


def decided(found: Found, *, served: bool) -> Decision:
    """Return a decision as the gateway takes it down."""
    return Decision(
        found.key, "event", GROUPS, "serve", RATE, served, found.verdict.confidence, 1.0,
        found.threshold, found.group, (), 0.0, None, 0.01, NOW.timestamp(),
    )  # fmt: skip


async def pass_through(
    folder: Path, stream: Stream, requests: int = REQUESTS
) -> tuple[Outcome, tuple[float, float]]:
    """Ask all of a stream: what is not served is compared, and a share of what is.

    Return what came of it, and the bounds of the error that the cache has measured.
    """
    models = Models(stream, stream, MemoryIndex(), stream)
    questions = Questions(folder, Secret(b"s" * 32))
    semantic = Semantic(lambda: models, questions, Judgements(folder), TurnedClock())
    semantic.begin()
    await semantic.drop(key("nothing"))
    kept = Kept("p", "", entry(expires_at=NOW.timestamp() + 60))
    await semantic.keep(Question(SCOPE, "0.9"), None, key("one"), kept, lambda: True)
    outcome, chance = Outcome(), random.Random(3)  # noqa: S311 - likewise
    for number in range(requests):
        text, wrong = stream.next()
        _, found = await semantic.look_up(Question(SCOPE, text), GROUPS, RATE)
        assert found is not None
        outcome.hits += found.serves
        outcome.wrong += found.serves and wrong
        if found.serves and chance.random() >= SHARE:
            continue
        weight = 1.0 if found.serves or found.threshold > 1 else SHARE
        answers = (f"{number}", f"{number + wrong}")
        decision = decided(found, served=found.serves)
        await semantic.compare("p", "event", decision, answers, weight)
        outcome.compared += 1
    (group,) = (await semantic.stats("p", RATE, 1)).groups
    await semantic.close()
    return outcome, (group.error.low, group.error.high)


@pytest.mark.parametrize("often_wrong", [0.0, 0.004])
def test_what_is_served_is_wrong_no_more_often_than_allowed(
    tmp_path: Path, often_wrong: float
) -> None:
    """Once enough is known, hits are served; fewer than one in a hundred is wrong, as measured."""
    outcome, (low, high) = asyncio.run(pass_through(tmp_path, Stream(often_wrong)))

    assert outcome.hits > 0
    true = outcome.wrong / outcome.hits
    assert true <= RATE
    assert low <= true <= high
    assert outcome.compared < REQUESTS


def test_where_answers_are_often_wrong_nothing_is_served(tmp_path: Path) -> None:
    """However sure the judge says to be: what was compared does not bear it out."""
    outcome, (low, _) = asyncio.run(pass_through(tmp_path, Stream(0.6)))

    assert outcome.hits == 0
    assert outcome.compared == REQUESTS
    assert low > RATE
