"""A lookup by meaning whose work in the background a test can wait for."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateways import LONGEST
from watchllm_server.cache import local
from watchllm_server.cache.calibrate import Comparison
from watchllm_server.cache.index import MemoryIndex
from watchllm_server.cache.judgements import Judged, Judgements
from watchllm_server.cache.questions import Questions
from watchllm_server.cache.semantic import Models, Semantic
from watchllm_server.clock import SystemClock
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from watchllm_server.cache.embed import Vector

ASKED = "how do i reset my password"
OTHERWISE = "How do I reset my password?"
"""The same for any model that does not tell capitals apart."""
ENOUGH = 1_200


class ToldIndex(MemoryIndex):
    """An index that tells of each question that comes into it."""

    def __init__(self) -> None:
        super().__init__()
        self.added = threading.Semaphore(0)

    def add(self, scope: bytes, key: bytes, vector: Vector) -> list[bytes]:
        gone = super().add(scope, key, vector)
        self.added.release()
        return gone


class ToldJudgements(Judgements):
    """Judgements that tell of each thing that is counted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.news = threading.Condition()

    def count(self, project: str, name: str, usd: float = 0.0) -> None:
        super().count(project, name, usd)
        with self.news:
            self.news.notify_all()

    def wait_for(self, project: str, name: str, times: int = 1) -> float:
        """Return the dollars of what happened so often, once it has."""
        with self.news:
            assert self.news.wait_for(
                lambda: name in self.totals(project) and self.totals(project)[name].times >= times,
                LONGEST,
            )
        return self.totals(project)[name].usd

    def measure(self, project: str, times: int = ENOUGH, *, wrong: int = 0) -> None:
        """Write down that hits of a project were compared, as an earlier process would have."""
        for number in range(times):
            comparison = Comparison(1.0, wrong=number < wrong)
            self.note(project, Judged((f"project:{project}",), comparison, reported=False))


@dataclass
class Meaning:
    """A lookup by the model of a folder, and what can be waited for."""

    semantic: Semantic
    index: ToldIndex
    judgements: ToldJudgements
    questions: Questions

    def wait_for_questions(self, number: int = 1) -> None:
        """Return when so many more questions are kept."""
        for _ in range(number):
            assert self.index.added.acquire(timeout=LONGEST)


def meaning_in(folder: Path, model: Path) -> Meaning:
    """Return a lookup that keeps in one folder, with the model of another."""
    index, judgements = ToldIndex(), ToldJudgements(folder)
    questions = Questions(folder, Secret(b"of the tests"))
    found = local.load(model)
    models = Models(found.embedder, found.judge, index, found.comparer)
    return Meaning(
        Semantic(lambda: models, questions, judgements, SystemClock()), index, judgements, questions
    )
