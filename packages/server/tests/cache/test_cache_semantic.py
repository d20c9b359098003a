"""A lookup by meaning, with what is kept of it on disk."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from keeping import NOW, TurnedClock, entry, key
from watchllm_server.cache import guards
from watchllm_server.cache.calibrate import NEVER, Comparison
from watchllm_server.cache.entry import Chosen, Kept
from watchllm_server.cache.index import MemoryIndex
from watchllm_server.cache.judgements import Decision, Judged, Judgements
from watchllm_server.cache.questions import FILE_NAME, Questions
from watchllm_server.cache.scope import Question
from watchllm_server.cache.semantic import Found, Models, Semantic
from watchllm_server.cache.verify import Text, Verdict
from watchllm_server.errors import ModelError
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from watchllm_server.cache.review import Reviewer

    Step = Callable[[Semantic], Awaitable[Any]]

LATER = NOW.timestamp() + 3_600
RATE = 0.01
GROUPS = ("scope:p:1", "model:p:gpt-4o", "project:p")
RIGHT = Judged(GROUPS, Comparison(1.0, wrong=False), reported=False)


class Letters:
    """Embeds a text as the counts of its letters."""

    name = "letters"

    async def embed(self, text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]] | None:
        if text == "broken":
            raise ModelError("the model is broken")
        counts = np.array([text.count(letter) for letter in "abcdefgh"], np.float32)
        length = np.linalg.norm(counts)
        return (counts / length).astype(np.float32) if length else None

    def close(self) -> None:
        pass


class ByCosine:
    """Judges by the cosine alone."""

    def read(self, text: str) -> Text:
        return Text([], guards.read(text))

    def judge(self, one: Text, other: Text, cosine: float) -> Verdict:
        return Verdict(cosine, (), cosine, 0.0, None)


def load() -> Models:
    """Return models that need no files."""
    return Models(Letters(), ByCosine(), MemoryIndex(), Letters())


def fail() -> Models:
    """Fail as a model does that is not there."""
    raise ModelError("there is no model")


def run(
    folder: Path,
    *steps: Step,
    models: Callable[[], Models] | None = load,
    reviewer: Reviewer | None = None,
) -> list[Any]:
    """Open, take steps, close; return what the steps returned."""

    async def take() -> list[Any]:
        questions = Questions(folder, Secret(b"s" * 32))
        semantic = Semantic(models, questions, Judgements(folder), TurnedClock(), reviewer=reviewer)
        semantic.begin()
        # The first question waits for what is loaded on the same thread.
        await semantic.drop(key("nothing"))
        found = [await step(semantic) for step in steps]
        await semantic.close()
        return found

    return asyncio.run(take())


def measured(folder: Path, times: int = 1_200, judged: Judged = RIGHT) -> None:
    """Write down, as an earlier process would have, that so many hits were compared."""
    judgements = Judgements(folder)
    for _ in range(times):
        judgements.note("p", judged)
    judgements.close()


def kept(name: str) -> Kept:
    """Return an answer as it is kept."""
    return Kept("p", "", entry(expires_at=LATER, event_id=f"event-{name}"))


def keep(text: str, name: str, scope: bytes = b"scope", *, fresh: bool = True) -> Step:
    """Keep a question under a key."""

    async def step(semantic: Semantic) -> None:
        await semantic.keep(Question(scope, text), None, key(name), kept(name), lambda: fresh)

    return step


def find(text: str, scope: bytes = b"scope", rate: float = RATE) -> Step:
    """Look a question up."""

    async def step(semantic: Semantic) -> Found | None:
        _, found = await semantic.look_up(Question(scope, text), GROUPS, rate)
        return found

    return step


def decide(event: str, name: str, confidence: float = 1.0, *, served: bool = True) -> Step:
    """Take down that a hit was served, or would have been."""
    decision = Decision(
        key(name), f"event-{name}", GROUPS, "serve", RATE, served, confidence, 1.0, 0.97, GROUPS[2],
        (), 0.0, None, 0.25, NOW.timestamp(),
    )  # fmt: skip

    async def step(semantic: Semantic) -> None:
        await semantic.decide("p", event, decision)

    return step


def judge(event: str, *, correct: bool, project: str = "p") -> Step:
    """Say whether a hit was right."""

    async def step(semantic: Semantic) -> Decision | None:
        return await semantic.judged(project, event, correct=correct)

    return step


def stats(rate: float = RATE) -> Step:
    """Read what is known of the project."""

    async def step(semantic: Semantic) -> Any:
        return await semantic.stats("p", rate, 10)

    return step


def forget(chosen: Chosen, project: str = "p") -> Step:
    """Forget questions, from a thread as the API does."""

    async def step(semantic: Semantic) -> None:
        await asyncio.to_thread(semantic.forget, project, chosen)

    return step


def text_of(name: str) -> Step:
    """Explain an event, and return the text that is still kept of the stored question."""

    async def step(semantic: Semantic) -> str | None:
        explained = await semantic.explain("p", name)
        return None if explained is None else explained.stored

    return step


def test_a_kept_question_is_found_in_its_scope_alone(tmp_path: Path) -> None:
    """The nearest question of the same scope is found; nothing is, in another."""
    _, found, elsewhere = run(
        tmp_path, keep("abcd", "one"), find("aabcd"), find("abcd", b"another scope")
    )

    assert found.key == key("one")
    assert elsewhere is None


def test_nothing_is_served_before_it_has_been_measured(tmp_path: Path) -> None:
    """Even an identical text is a candidate only, until enough comparisons were right."""
    _, before = run(tmp_path, keep("abcd", "one"), find("abcd"))
    measured(tmp_path)
    (after,) = run(tmp_path, find("abcd"))

    assert (before.serves, before.threshold) == (False, NEVER)
    assert after.serves
    assert after.group == GROUPS[0]


def test_a_stricter_share_of_errors_needs_more_evidence(tmp_path: Path) -> None:
    """The same comparisons open what may be wrong once in a hundred, not once in a thousand."""
    measured(tmp_path)

    _, loose, strict = run(tmp_path, keep("abcd", "one"), find("abcd"), find("abcd", rate=0.001))

    assert loose.serves
    assert not strict.serves


def test_a_reported_hit_goes_and_its_scope_tightens_at_once(tmp_path: Path) -> None:
    """The entry is not found again, and what is as unsure is not served; a restart knows it too."""
    measured(tmp_path)
    report = [decide("hit", "one", 0.99), judge("hit", correct=False)]

    *_, decision, gone, _, unsure = run(
        tmp_path, keep("abcd", "one"), *report, find("abcd"), keep("abcd", "two"),
        find("aabbccdde"),
    )  # fmt: skip
    (again,) = run(tmp_path, find("aabbccdde"))

    assert decision.stored_event_id == "event-one"
    assert gone is None
    for each in (unsure, again):
        assert each.key == key("two")
        assert not each.serves


def test_feedback_counts_once_and_for_hits_of_the_project_alone(tmp_path: Path) -> None:
    """Right after right says nothing new; wrong after right does, right after wrong does not."""
    words = [judge("hit", correct=correct) for correct in (True, True, False, True)]

    *_, other, unknown, known = run(
        tmp_path,
        decide("hit", "one"),
        *words,
        judge("hit", correct=False, project="q"),
        judge("no such event", correct=True),
        stats(),
    )

    assert (other, unknown) == (None, None)
    assert known.totals["reported_right"].times == 1
    assert known.totals["reported_wrong"].times == 1
    assert known.groups[0].error.compared == 2


def test_a_would_be_hit_is_evidence_and_its_answer_stays(tmp_path: Path) -> None:
    """A word for what was not served counts as a comparison, and takes no answer away."""
    measured(tmp_path)
    nearly = decide("near", "one", 0.99, served=False)

    *_, before, _, found, after = run(
        tmp_path, keep("abcd", "one"), nearly, stats(), judge("near", correct=False),
        find("abcd"), stats(),
    )  # fmt: skip

    assert found.key == key("one")
    assert after.totals["reported_wrong"].times == 1
    assert after.groups[0].reported == 0
    assert after.groups[0].curve[0][1] == before.groups[0].curve[0][1] + 1


@pytest.mark.parametrize(("correct", "more"), [(True, 0), (False, 1)])
def test_what_was_compared_is_not_called_right_twice(
    tmp_path: Path, correct: bool, more: int
) -> None:
    """After a comparison that said the same, right adds no evidence and wrong does."""

    async def same(semantic: Semantic) -> None:
        explained = await semantic.explain("p", "near")
        assert explained is not None
        await semantic.compare("p", "near", explained.known.decision, ("a b", "A b."), 1.0)

    *_, known = run(
        tmp_path, decide("near", "one", served=False), same, judge("near", correct=correct), stats()
    )

    assert known.groups[0].error.compared == 1 + more


def test_an_answer_is_compared_with_another_and_counted(tmp_path: Path) -> None:
    """Same, different and what cannot be told are counted apart; the last is no evidence."""

    def compare(*texts: str) -> Step:
        async def step(semantic: Semantic) -> None:
            explained = await semantic.explain("p", "near")
            assert explained is not None
            await semantic.compare("p", "near", explained.known.decision, (texts[0], texts[1]), 1.0)

        return step

    pairs = [("a b", "A b."), ("5 eur", "6 eur"), ("abcd", "hhh"), ("xx", "yyz")]
    *_, known = run(
        tmp_path, decide("near", "one", served=False), *(compare(*pair) for pair in pairs), stats()
    )

    counted = {name: total.times for name, total in known.totals.items()}
    assert (counted["same"], counted["different"], counted["untold"]) == (1, 2, 1)
    assert known.groups[0].error.compared == 3
    assert known.totals["would_be_hits"] == (1, 0.25)


def test_what_was_forgotten_is_neither_found_nor_kept_later(tmp_path: Path) -> None:
    """The chosen questions of the project go; one that is no longer fresh never comes."""
    found = run(
        tmp_path,
        keep("abcd", "one"),
        keep("efgh", "two"),
        decide("hit", "two"),
        forget(Chosen(), project="another"),
        find("abcd"),
        forget(Chosen(event_id="event-one")),
        find("abcd"),
        find("efgh"),
        text_of("hit"),
        forget(Chosen()),
        find("efgh"),
        text_of("hit"),
        keep("efgh", "three", fresh=False),
        find("efgh"),
    )

    there = [each.key for each in found if isinstance(each, Found)]
    assert there == [key("one"), key("two")]
    assert [found[8], found[11]] == ["efgh", None]
    assert [found[6], found[10], found[13]] == [None, None, None]
    kept_bytes = sqlite3.connect(tmp_path / FILE_NAME)
    assert kept_bytes.execute("SELECT count(*) FROM questions").fetchone() == (0,)
    kept_bytes.close()


def test_a_project_of_the_same_id_begins_with_nothing(tmp_path: Path) -> None:
    """Of a removed project no comparison, decision or total is left, in memory or on disk."""
    measured(tmp_path)

    async def remove(semantic: Semantic) -> None:
        await asyncio.to_thread(semantic.remove, "p")

    *_, found, known = run(
        tmp_path, keep("abcd", "one"), decide("hit", "one"), stats(), remove, find("abcd"), stats()
    )

    assert not found.serves
    assert known.totals == {}
    assert known.groups[0].error.compared == 0
    assert run(tmp_path, text_of("hit")) == [None]


def test_a_question_whose_text_is_gone_is_no_candidate(tmp_path: Path) -> None:
    """What another process removed from the file is not judged by its vector alone."""

    async def remove(semantic: Semantic) -> None:
        with sqlite3.connect(tmp_path / FILE_NAME) as disk:
            disk.execute("DELETE FROM questions")
        disk.close()

    _, _, found = run(tmp_path, keep("abcd", "one"), remove, find("abcd"))

    assert found is None


def test_a_broken_model_costs_one_line_and_no_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lookups find nothing, nothing is raised, and the log says so once."""
    with caplog.at_level(logging.WARNING):
        found = run(tmp_path, find("broken"), keep("broken", "one"), find("broken"))

    assert found == [None, None, None]
    assert [record.message for record in caplog.records] == [
        "Questions are not compared by their meaning now: the model is broken."
    ]


def test_a_missing_model_costs_one_line_and_leaves_forgetting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a model nothing is found or kept, and what was kept before can be forgotten."""
    run(tmp_path, keep("abcd", "one"))

    async def status(semantic: Semantic) -> str:
        return semantic.status

    with caplog.at_level(logging.WARNING):
        found = run(
            tmp_path, find("abcd"), keep("efgh", "two"), status, forget(Chosen()), models=fail
        )

    assert found == [None, None, "failed", None]
    assert [record.message for record in caplog.records] == [
        "Questions are not compared by their meaning now: there is no model."
    ]
    assert run(tmp_path, find("abcd"), find("efgh")) == [None, None]


def test_a_text_without_a_vector_is_not_compared(tmp_path: Path) -> None:
    """What the embedder cannot read as a whole is answered by an equal request alone."""
    assert run(tmp_path, keep("zzz", "one"), find("zzz")) == [None, None]


def test_a_lookup_that_would_wait_for_many_is_left_out(tmp_path: Path) -> None:
    """Of a crowd, so many are looked up as the thread keeps up with; the others are misses."""

    async def crowd(semantic: Semantic) -> list[Any]:
        question = Question(b"scope", "abcd")
        looked = (semantic.look_up(question, GROUPS, RATE) for _ in range(40))
        return await asyncio.gather(*looked)

    _, looked = run(tmp_path, keep("abcd", "one"), crowd)

    assert len([found for _, found in looked if found is not None]) == 32


def test_what_was_decided_can_be_read(tmp_path: Path) -> None:
    """Of each group one can read its threshold, its measured error, and how much was compared."""
    measured(tmp_path)

    _, _, text, known = run(
        tmp_path, keep("abcd", "one"), decide("hit", "one"), text_of("hit"), stats()
    )

    assert text == "abcd"
    assert {group.name for group in known.groups} == set(GROUPS)
    own = known.groups[0]
    assert own.name == GROUPS[2]
    assert own.threshold < 1
    assert (own.error.compared, own.error.share) == (1_200, 0)
    assert own.error.high < 0.005
    assert known.totals["hits"] == (1, 0.25)


class Opinion:
    """Always has one opinion, and notes what it was asked."""

    def __init__(self, said: bool | None) -> None:
        self.said = said
        self.asked: list[tuple[str, ...]] = []

    async def same_question(self, one: str, other: str) -> bool | None:
        self.asked.append((one, other))
        return self.said

    async def same_answer(self, question: str, one: str, other: str) -> bool | None:
        self.asked.append((question, one, other))
        return self.said


def test_a_doubtful_hit_needs_the_word_of_the_reviewer(tmp_path: Path) -> None:
    """Its no takes the hit away; its yes, or none at all, leaves what the local judges said."""
    confidences = []
    for said in (True, None, False):
        reviewer = Opinion(said)
        folder = tmp_path / str(said)
        folder.mkdir()
        measured(folder)
        _, found = run(folder, keep("abcd", "one"), find("aabcd"), reviewer=reviewer)
        assert isinstance(found, Found)
        assert reviewer.asked == [("aabcd", "abcd")]
        confidences.append((round(found.verdict.confidence, 2), found.verdict.vetoes, found.serves))

    assert confidences == [(0.94, (), True), (0.94, (), True), (0.0, ("reviewer",), False)]


def test_a_hit_beyond_doubt_is_not_reviewed(tmp_path: Path) -> None:
    """No call is paid for where the local judges are sure, nor where nothing is found."""
    reviewer = Opinion(said=False)

    _, found, nothing = run(
        tmp_path, keep("abcd", "one"), find("abcd"), find("gh"), reviewer=reviewer
    )

    assert isinstance(found, Found)
    assert found.verdict.confidence > 0.99
    assert nothing is None
    assert reviewer.asked == []


def test_without_an_embedder_nothing_is_kept_or_found(tmp_path: Path) -> None:
    """With `none` no model is loaded, no question is written down, and no line is logged."""
    assert run(tmp_path, keep("abcd", "one"), find("abcd"), models=None) == [None, None]

    with closing(Questions(tmp_path, Secret(b"s" * 32))) as written:
        assert list(written.load("letters", 0.0)) == []
