"""The way of a lookup by meaning: question → vector → neighbours → verdict → threshold."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from watchllm_server.cache import answers, review
from watchllm_server.cache.calibrate import Comparison
from watchllm_server.cache.entry import Chosen
from watchllm_server.cache.evidence import Evidence
from watchllm_server.cache.judgements import Judged
from watchllm_server.cache.questions import Row
from watchllm_server.errors import ModelError, NoModelError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from watchllm_server.cache import judgements
    from watchllm_server.cache.embed import Embedder, Vector
    from watchllm_server.cache.entry import Kept
    from watchllm_server.cache.evidence import Group
    from watchllm_server.cache.index import Index
    from watchllm_server.cache.judgements import Decision, Judgements, Total
    from watchllm_server.cache.questions import QuestionStore
    from watchllm_server.cache.review import Reviewer
    from watchllm_server.cache.scope import Question
    from watchllm_server.cache.verify import Text, Verdict
    from watchllm_server.clock import Clock

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_CANDIDATES: Final = 3
_READ: Final = 4_096
# Questions in hand beyond which the next one is left out: at 6 ms each, a fifth of a second.
_MOST_WAITING: Final = 32
# Questions that are kept between two looks for those that have expired.
_TIDIED: Final = 500
OFF, LOADING, ON, FAILED, MISSING = "off", "loading", "on", "failed", "missing"


class Judge(Protocol):
    """Read texts, and say whether one answer serves two of them. Thread-safe."""

    def read(self, text: str) -> Text:
        """Return what is to be known of a text."""
        ...

    def judge(self, one: Text, other: Text, cosine: float) -> Verdict:
        """Return the verdict on two texts."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """What a lookup is made with. `comparer` embeds answers, so that no lookup waits for them."""

    embedder: Embedder
    judge: Judge
    index: Index
    comparer: Embedder


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


class Explained(NamedTuple):
    """A decision, the stored question as far as it is still kept, and its groups as of now."""

    known: judgements.Known
    stored: str | None
    groups: list[Group]


class Stats(NamedTuple):
    """What is known of a project: what was counted, and its groups, the project's own first."""

    totals: dict[str, Total]
    groups: list[Group]


def groups_of(project: str, model: str, scope: bytes) -> tuple[str, ...]:
    """Return the groups that pool what is known of a request's error, the narrowest first.

    No two projects share one: a colon is in no project's id.
    """
    return (
        f"scope:{project}:{scope.hex()}", f"model:{project}:{model}", f"project:{project}",
    )  # fmt: skip


class Semantic:
    """Look questions up by meaning. Used on one event loop, which it never blocks.

    `load` brings the models, once something is to be looked up; until then, and where it raises
    ModelError, nothing is found. No fault of a model or a disk fails a request: nothing is found,
    and the first fault is logged. Disk, index and evidence are used on one thread, one at a time.
    Without a `load` nothing is ever found. `reviewer` has a second opinion on doubtful hits. That
    nobody has fetched a model is a warning only where one is `wanted`.
    """

    def __init__(
        self,
        load: Callable[[], Models] | None,
        questions: QuestionStore,
        decided: Judgements,
        clock: Clock,
        *,
        reviewer: Reviewer | None = None,
        wanted: bool = True,
    ) -> None:
        self._reviewer = reviewer
        self._wanted = wanted
        self._load = load
        self._questions = questions
        self._judgements = decided
        self._clock = clock
        self._models: Models | None = None
        self._evidence: Evidence | None = None
        self._least = self._sure = 0.0
        self._read: dict[bytes, Text] = {}
        self._kept = 0
        self._waiting = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="semantic")
        self._complained = False
        self.status = OFF
        """off, loading, on, failed, or missing where nobody has fetched a model."""

    def begin(self) -> None:
        """Load the models and what is on disk, unless that has been begun; return at once."""
        if self.status == OFF and self._load is not None:
            self.status = LOADING
            self._pool.submit(self._open)

    async def look_up(
        self, question: Question, groups: Sequence[str], rate: float
    ) -> tuple[Known | None, Found | None]:
        """Return what there is to keep of a question, and the best candidate of its scope.

        `rate` is the share of hits that may be wrong. Where others wait already, nothing is found.
        """
        with self._in_hand() as models:
            if models is None:
                return None, None
            vector = await self._embed(models.embedder, question.text)
            if vector is None:
                return None, None
            known = Known(question, vector)
            found = await self._run(lambda: self._best(models, known, groups, rate), None)
        return known, await self._reviewed(question.text, found)

    async def keep(
        self, question: Question, vector: Vector | None, key: bytes, kept: Kept,
        fresh: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Keep a question whose answer is kept under a key, unless it is no longer `fresh`.

        That is asked when the question would be there for a lookup: answers may have been forgotten
        meanwhile. Without a vector, which a lookup returns, the text is embedded.
        """
        with self._in_hand() as models:
            if models and vector is None:
                vector = await self._embed(models.comparer, question.text)
            if models is None or vector is None:
                return
            row = Row(key, question.scope, vector.astype("float16").tobytes())
            found = vector
            await self._run(
                lambda: self._keep(models, row, found, question.text, kept) if fresh() else None,
                None,
            )

    async def answer(self, key: bytes) -> Kept | None:
        """Return an answer that another node has kept, None where there is none."""
        return await self._run(lambda: self._questions.answer(key), None)

    async def drop(self, key: bytes) -> None:
        """Forget a question whose answer is gone."""
        await self._run(lambda: self._drop([key], on_disk=True), None)

    def forget(self, project: str, chosen: Chosen) -> None:
        """Forget a project's chosen questions, and with all of them what was decided for events.

        Called on another thread than the event loop's; it waits. Raises sqlite3.Error.
        """

        def work() -> None:
            self._drop(self._questions.forget(project, chosen), on_disk=False)
            if chosen == Chosen():
                self._judgements.forget(project)

        self._wait_for(work)

    def remove(self, project: str) -> None:
        """Forget also what was counted and compared of a project that is no more.

        Called as `forget` is. Raises StoreError.
        """

        def work() -> None:
            self._judgements.remove(project)
            # What is left is read anew when it is next asked for.
            self._evidence = None

        try:
            self._wait_for(work)
        except sqlite3.Error as error:
            raise StoreError(f"What is known of hits cannot be forgotten: {error}.") from error

    async def decide(self, project: str, event_id: str, decision: Decision) -> None:
        """Take down what was decided for an event, and count it."""
        usd = decision.saved_usd or 0.0

        def work() -> None:
            self._judgements.decide(project, event_id, decision)
            self._judgements.count(project, "candidates", usd)
            if decision.served:
                self._judgements.count(project, "hits", usd)
            elif decision.confidence >= decision.threshold:
                self._judgements.count(project, "would_be_hits", usd)

        await self._run(work, None)

    async def compare(
        self,
        project: str,
        event_id: str,
        decision: Decision,
        texts: tuple[str, str],
        weight: float,
        *,
        question: str = "",
    ) -> None:
        """Compare the stored answer with another to the same question, and learn from it.

        `weight` is as `Comparison` says.
        """
        models = self._models
        if models is None:
            return
        same = await answers.same(
            *texts, models.comparer, question=question, reviewer=self._reviewer
        )
        outcome = "untold" if same is None else "same" if same else "different"

        def work() -> None:
            self._judgements.set_outcome(project, event_id, outcome)
            self._judgements.count(project, outcome)
            if same is not None:
                comparison = Comparison(decision.confidence, not same, weight, decision.served)
                self._take(project, Judged(decision.groups, comparison, reported=False))

        await self._run(work, None)

    async def judged(self, project: str, event_id: str, *, correct: bool) -> Decision | None:
        """Take a user's word for a hit or a would-be hit, once each; None where none is known.

        One that was served and wrong is not served again, and what is no surer is not served in its
        scope. What would have been served is evidence like any other comparison.
        """

        def work() -> Decision | None:
            known = self._judgements.known(project, event_id)
            if known is None:
                return None
            feedback = "right" if correct else "wrong"
            decision = known.decision
            served = decision.served
            # Who was wrong stays wrong, and nobody is right twice.
            if known.feedback in ("", "right") and known.feedback != feedback:
                self._judgements.set_feedback(project, event_id, feedback)
                self._judgements.count(project, f"reported_{feedback}")
                # What was compared and is called right as well would count twice.
                if served or not correct or known.outcome in ("", "untold"):
                    comparison = Comparison(decision.confidence, not correct, served=served)
                    reported = served and not correct
                    self._take(project, Judged(decision.groups, comparison, reported=reported))
            if served and not correct:
                self._drop([decision.key], on_disk=True)
            return decision

        return await self._run(work, None)

    async def explain(self, project: str, event_id: str) -> Explained | None:
        """Return how a hit or a would-be hit was decided, None where nothing is known of it."""

        def work() -> Explained | None:
            known = self._judgements.known(project, event_id)
            if known is None:
                return None
            decision = known.decision
            groups = self._known().explain(decision.groups, decision.max_error_rate)
            return Explained(known, self._questions.text(decision.key), groups)

        return await self._run(work, None)

    async def stats(self, project: str, rate: float, most: int) -> Stats:
        """Return what is known of a project, with `most` of its groups."""
        own = f"project:{project}"

        def work() -> Stats:
            names = [own, *(name for name in self._known().names(own) if name != own)]
            groups = self._known().explain(names[:most], rate)
            return Stats(self._judgements.totals(project), groups)

        return await self._run(work, Stats({}, []))

    async def close(self) -> None:
        """Do what waits, and let go of models and files."""
        await self._run(self._close, None)
        if self._models is not None:
            self._models.embedder.close()
            self._models.comparer.close()
        self._pool.shutdown()

    @contextmanager
    def _in_hand(self) -> Iterator[Models | None]:
        """Count a question; there are no models for it before they are loaded, or in a crowd."""
        self.begin()
        models = self._models if self._waiting < _MOST_WAITING else None
        self._waiting += 1
        try:
            yield models
        finally:
            self._waiting -= 1

    async def _embed(self, embedder: Embedder, text: str) -> Vector | None:
        try:
            return await embedder.embed(text)
        except ModelError as error:
            self._complain(error)
            return None

    async def _reviewed(self, asked: str, found: Found | None) -> Found | None:
        """Return what was found as it is after a second opinion, where it needs one."""
        if found is None or self._reviewer is None or not review.is_doubtful(found.verdict):
            return found
        key = found.key
        stored = await self._run(lambda: self._questions.text(key), None)
        if stored is None:
            return found
        verdict = await review.reviewed(found.verdict, asked, stored, self._reviewer)
        return found._replace(verdict=verdict)

    def _open(self) -> None:
        try:
            assert self._load is not None  # noqa: S101 - without it nothing is begun
            models = self._load()
            # Extras, which the loading has shown to be there.
            import numpy as np  # noqa: PLC0415 - an extra

            from watchllm_server.cache import verify  # noqa: PLC0415 - needs it

            self._least, self._sure = verify.LEAST_COSINE, verify.THRESHOLD
            self._known()
            for row in self._questions.load(models.embedder.name, self._now()):
                vector = np.frombuffer(row.vector, np.float16).astype(np.float32)
                self._questions.remove(models.index.add(row.scope, row.key, vector))
        except (ModelError, ImportError, sqlite3.Error) as error:
            self.status = MISSING if isinstance(error, NoModelError) else FAILED
            self._complain(error)
            return
        self._models = models
        self.status = ON

    def _known(self) -> Evidence:
        if self._evidence is None:
            found = Evidence()
            for judged in self._judgements.judged():
                found.take(judged)
            self._evidence = found
        return self._evidence

    def _take(self, project: str, judged: Judged) -> None:
        self._known().take(judged)
        self._judgements.note(project, judged)

    def _best(
        self, models: Models, known: Known, groups: Sequence[str], rate: float
    ) -> Found | None:
        """Judge the nearest in turn. What follows a sure one is not looked at."""
        asked = models.judge.read(known.question.text)
        best: tuple[bytes, Verdict] | None = None
        for key, cosine in models.index.nearest(
            known.question.scope, known.vector, _CANDIDATES, self._least
        ):
            other = self._text(models, key)
            if other is None:
                continue
            verdict = models.judge.judge(asked, other, cosine)
            if best is None or verdict.confidence > best[1].confidence:
                best = key, verdict
            if verdict.confidence >= self._sure:
                break
        return None if best is None else Found(*best, *self._known().threshold(groups, rate))

    def _text(self, models: Models, key: bytes) -> Text | None:
        found = self._read.get(key)
        if found is None:
            text = self._questions.text(key)
            if text is None:
                models.index.remove([key])
                return None
            if len(self._read) >= _READ:
                self._read.pop(next(iter(self._read)))
            found = self._read[key] = models.judge.read(text)
        return found

    def _keep(self, models: Models, row: Row, vector: Vector, text: str, kept: Kept) -> None:
        self._questions.put(row, models.embedder.name, text, kept)
        self._read.pop(row.key, None)
        self._drop(models.index.add(row.scope, row.key, vector), on_disk=True)
        self._kept += 1
        if self._kept % _TIDIED == 0:
            self._drop(self._questions.expire(self._now()), on_disk=False)

    def _drop(self, keys: Sequence[bytes] | set[bytes], *, on_disk: bool) -> None:
        if self._models is not None:
            self._models.index.remove(keys)
        for key in keys:
            self._read.pop(key, None)
        if on_disk:
            self._questions.remove(keys)

    def _close(self) -> None:
        self._questions.close()
        self._judgements.close()

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _wait_for(self, work: Callable[[], None]) -> None:
        try:
            self._pool.submit(work).result()
        except RuntimeError as error:
            raise sqlite3.OperationalError("the server is closing") from error
        except ModelError as error:
            raise sqlite3.OperationalError(str(error)) from error

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
            quiet = isinstance(error, NoModelError) and not self._wanted
            level = logging.INFO if quiet else logging.WARNING
            _log.log(level, "Questions are not compared by their meaning now: %s.", error)
