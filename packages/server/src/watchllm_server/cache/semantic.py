"""The way of a lookup by meaning: question → vector → neighbours → verdict → threshold."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from watchllm_server.cache import verify
from watchllm_server.cache.calibrate import Calibration, Comparison, Estimate, estimate, pooled
from watchllm_server.cache.questions import Judged, Row
from watchllm_server.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from watchllm_server.cache.embed import Embedder, Vector
    from watchllm_server.cache.index import Index
    from watchllm_server.cache.questions import Questions
    from watchllm_server.cache.scope import Question
    from watchllm_server.cache.verify import Text, Verdict
    from watchllm_server.clock import Clock

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_CANDIDATES: Final = 3
_READ: Final = 4_096


class Judge(Protocol):
    """Read texts, and say whether one answer serves two of them. Thread-safe."""

    def read(self, text: str) -> Text:
        """Return what is to be known of a text."""
        ...

    def judge(self, one: Text, other: Text, cosine: float) -> Verdict:
        """Return the verdict on two texts."""
        ...


class Found(NamedTuple):
    """The best candidate of a lookup, and what decides whether it is served.

    `key` is that of its answer; `threshold` is the confidence that its group asks for, and `group`
    the name of the group that decided.
    """

    key: bytes
    verdict: Verdict
    threshold: float
    group: str

    @property
    def serves(self) -> bool:
        """Say whether the answer may be given out within the error that is allowed."""
        return self.verdict.confidence >= self.threshold


class Known(NamedTuple):
    """A question with its vector, so that a miss can be kept without embedding it again."""

    question: Question
    vector: Vector


class Group(NamedTuple):
    """What is known of a group of requests, for those who ask why something was served or not.

    `error` is that of what would be served at the threshold; while nothing would be, of all that
    was compared. `reported` is the highest confidence of a hit that was reported as wrong.
    """

    name: str
    threshold: float
    error: Estimate
    reported: float
    restarts: int


class Semantic:
    """Look questions up by meaning. Used on one event loop, which it never blocks.

    A request has `groups`, the narrowest first, that pool what is known of the error: as its scope,
    its project and model, its project. What was compared before is read from `questions` at `open`.
    No fault of a model or a disk fails a request: nothing is found, and the first one is logged.
    """

    def __init__(
        self,
        embedder: Embedder,
        judge: Judge,
        index: Index,
        questions: Questions,
        clock: Clock,
        *,
        max_error_rate: float = 0.01,
    ) -> None:
        self._embedder = embedder
        self._judge = judge
        self._index = index
        self._questions = questions
        self._clock = clock
        self._max_error_rate = max_error_rate
        self._groups: dict[str, Calibration] = {}
        self._read: dict[bytes, Text] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="semantic")
        self._complained = False

    async def open(self) -> int:
        """Read what is on disk, and return how many questions are known."""
        return await self._run(self._load, 0)

    async def look_up(
        self, question: Question, groups: Sequence[str]
    ) -> tuple[Known | None, Found | None]:
        """Return what there is to keep of a question, and the best candidate of its scope."""
        try:
            vector = await self._embedder.embed(question.text)
        except ModelError as error:
            self._complain(error)
            return None, None
        if vector is None:
            return None, None
        known = Known(question, vector)
        best = await self._run(lambda: self._best(known), None)
        if best is None:
            return known, None
        key, verdict = best
        threshold, place = pooled([self._group(name) for name in groups])
        return known, Found(key, verdict, threshold, groups[place] if groups else "")

    async def keep(self, known: Known, key: bytes, expires: float) -> None:
        """Keep a question whose answer is kept under a key."""
        await self._run(lambda: self._keep(known, key, expires), None)

    async def forget(self, key: bytes) -> None:
        """Forget a question: its answer is gone, or was wrong."""
        await self._run(lambda: self._forget([key]), None)

    async def compared(self, groups: Sequence[str], comparison: Comparison) -> None:
        """Take into account what a would-be hit turned out to be."""
        judged = Judged(tuple(groups), comparison, reported=False)
        self._take(judged)
        await self._run(lambda: self._questions.note(judged), None)

    async def reported(self, groups: Sequence[str], key: bytes, confidence: float) -> None:
        """Take a user's word that a served answer was wrong: it goes, and its groups tighten."""
        comparison = Comparison(confidence, wrong=True, served=True)
        judged = Judged(tuple(groups), comparison, reported=True)
        self._take(judged)
        await self.forget(key)
        await self._run(lambda: self._questions.note(judged), None)

    def explain(self, groups: Sequence[str]) -> list[Group]:
        """Return what is known of groups, and what follows from it."""
        return [self._explained(name) for name in groups]

    async def close(self) -> None:
        """Write what waits, and let go of models and files."""
        await self._run(self._questions.close, None)
        self._embedder.close()
        self._pool.shutdown()

    def _group(self, name: str) -> Calibration:
        return self._groups.setdefault(name, Calibration(self._max_error_rate))

    def _take(self, judged: Judged) -> None:
        # What is said of a hit tightens the narrowest group alone; evidence counts in all of them.
        for place, name in enumerate(judged.groups):
            if judged.reported and place == 0:
                self._group(name).report(judged.comparison.confidence)
            else:
                self._group(name).take(judged.comparison)

    def _explained(self, name: str) -> Group:
        group = self._group(name)
        threshold = group.threshold()
        level = next((each for each in group.levels if each.least == threshold), group.levels[-1])
        error = estimate(level.wrong, level.wrong + level.right)
        return Group(name, threshold, error, group.floor, group.restarts)

    def _load(self) -> int:
        for judged in self._questions.judged():
            self._take(judged)
        for row in self._questions.load(self._embedder.name, self._clock.now().timestamp()):
            self._questions.remove(self._index.add(row.scope, row.key, row.vector))
        return len(self._index)

    def _best(self, known: Known) -> tuple[bytes, Verdict] | None:
        """Judge the nearest in turn. What follows a sure one is not looked at."""
        asked = self._judge.read(known.question.text)
        best: tuple[bytes, Verdict] | None = None
        near = self._index.nearest(
            known.question.scope, known.vector, _CANDIDATES, verify.LEAST_COSINE
        )
        for key, cosine in near:
            other = self._text(key)
            if other is None:
                continue
            verdict = self._judge.judge(asked, other, cosine)
            if best is None or verdict.confidence > best[1].confidence:
                best = key, verdict
            if verdict.confidence >= verify.THRESHOLD:
                break
        return best

    def _text(self, key: bytes) -> Text | None:
        found = self._read.get(key)
        if found is None:
            text = self._questions.text(key)
            if text is None:
                self._index.remove([key])
                return None
            if len(self._read) >= _READ:
                self._read.pop(next(iter(self._read)))
            found = self._read[key] = self._judge.read(text)
        return found

    def _keep(self, known: Known, key: bytes, expires: float) -> None:
        (scope, text), vector = known
        self._questions.put(Row(key, scope, vector), self._embedder.name, text, expires)
        self._read.pop(key, None)
        self._questions.remove(self._index.add(scope, key, vector))

    def _forget(self, keys: list[bytes]) -> None:
        self._index.remove(keys)
        for key in keys:
            self._read.pop(key, None)
        self._questions.remove(keys)

    async def _run(self, work: Callable[[], _T], otherwise: _T) -> _T:
        """Do on the thread what may wait for the disk or the processor."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except (sqlite3.Error, ModelError) as error:
            self._complain(error)
            return otherwise

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.warning("Questions are not compared by their meaning now: %s.", error)
