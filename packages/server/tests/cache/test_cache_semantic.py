"""A lookup by meaning, with what is kept of it on disk."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import TYPE_CHECKING

import numpy as np
from keeping import NOW, TurnedClock, key
from watchllm_server.cache import guards
from watchllm_server.cache.calibrate import NEVER, Comparison
from watchllm_server.cache.index import MemoryIndex
from watchllm_server.cache.questions import FILE_NAME, Questions, Row
from watchllm_server.cache.scope import Question
from watchllm_server.cache.semantic import Found, Semantic
from watchllm_server.cache.verify import Text, Verdict
from watchllm_server.errors import ModelError
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import pytest

LATER = NOW.timestamp() + 3_600
GROUPS = ("scope", "project")


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


def made(folder: Path) -> Semantic:
    """Return a lookup over what is on disk in a folder."""
    questions = Questions(folder, Secret(b"s" * 32))
    return Semantic(Letters(), ByCosine(), MemoryIndex(), questions, TurnedClock())


def run(folder: Path, *steps: Callable[[Semantic], Awaitable[object]]) -> list[object]:
    """Open, take steps, close; return what the steps returned."""

    async def take() -> list[object]:
        semantic = made(folder)
        await semantic.open()
        found = [await step(semantic) for step in steps]
        await semantic.close()
        return found

    return asyncio.run(take())


def keep(text: str, name: str, scope: bytes = b"scope") -> Callable[[Semantic], Awaitable[None]]:
    """Keep a question under a key."""

    async def step(semantic: Semantic) -> None:
        known, _ = await semantic.look_up(Question(scope, text), GROUPS)
        assert known is not None
        await semantic.keep(known, key(name), LATER)

    return step


def find(text: str, scope: bytes = b"scope") -> Callable[[Semantic], Awaitable[Found | None]]:
    """Look a question up."""

    async def step(semantic: Semantic) -> Found | None:
        _, found = await semantic.look_up(Question(scope, text), GROUPS)
        return found

    return step


def right(times: int) -> Callable[[Semantic], Awaitable[None]]:
    """Tell of comparisons that were right."""

    async def step(semantic: Semantic) -> None:
        for _ in range(times):
            await semantic.compared(GROUPS, Comparison(1.0, wrong=False))

    return step


def test_a_kept_question_is_found_in_its_scope_alone(tmp_path: Path) -> None:
    """The nearest question of the same scope is found; nothing is, in another."""
    _, found, elsewhere = run(
        tmp_path, keep("abcd", "one"), find("aabcd"), find("abcd", b"another scope")
    )

    assert isinstance(found, Found)
    assert found.key == key("one")
    assert elsewhere is None


def test_nothing_is_served_before_it_has_been_measured(tmp_path: Path) -> None:
    """Even an identical text is a candidate only, until enough comparisons were right."""
    found = run(tmp_path, keep("abcd", "one"), find("abcd"), right(1_200), find("abcd"))

    before, after = found[1], found[3]
    assert isinstance(before, Found)
    assert isinstance(after, Found)
    assert not before.serves
    assert before.threshold == NEVER
    assert after.serves
    assert after.group == "scope"


def test_what_was_kept_and_measured_outlives_the_process(tmp_path: Path) -> None:
    """Another process finds the question, and serves on the same evidence."""
    run(tmp_path, keep("abcd", "one"), right(1_200))

    (found,) = run(tmp_path, find("abcd"))

    assert isinstance(found, Found)
    assert found.serves


def test_a_reported_hit_goes_and_its_scope_tightens_at_once(tmp_path: Path) -> None:
    """The entry is not found again, and what is as unsure is not served; a restart knows it too."""

    async def report(semantic: Semantic) -> None:
        await semantic.reported(GROUPS, key("one"), 0.99)

    steps = [keep("abcd", "one"), right(1_200), report, find("abcd"), keep("abcd", "two")]
    found = run(tmp_path, *steps, find("aabbccdde"))
    (again,) = run(tmp_path, find("aabbccdde"))

    assert found[3] is None
    for each in (found[5], again):
        assert isinstance(each, Found)
        assert each.key == key("two")
        assert not each.serves


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
        found = run(tmp_path, find("broken"), find("broken"))

    assert found == [None, None]
    assert [record.message for record in caplog.records] == [
        "Questions are not compared by their meaning now: the model is broken."
    ]


def test_a_text_without_a_vector_is_not_compared(tmp_path: Path) -> None:
    """What the embedder cannot read as a whole is answered by an equal request alone."""
    assert run(tmp_path, find("zzz")) == [None]


def test_what_was_decided_can_be_read(tmp_path: Path) -> None:
    """Of each group one can read its threshold, its measured error, and how much was compared."""

    async def explain(semantic: Semantic) -> object:
        return semantic.explain(GROUPS)

    *_, explained = run(tmp_path, right(1_200), explain)

    assert isinstance(explained, list)
    assert [group.name for group in explained] == list(GROUPS)
    assert explained[0].threshold < 1
    assert explained[0].error.compared == 1_200
    assert explained[0].error.share == 0
    assert explained[0].error.high < 0.005


def row(name: str) -> Row:
    """Return a question's row."""
    return Row(key(name), b"scope", np.array([0.6, 0.8], np.float32))


def test_what_is_on_disk_is_encrypted(tmp_path: Path) -> None:
    """The file holds no word of a question."""
    questions = Questions(tmp_path, Secret(b"s" * 32))
    questions.put(row("one"), "e", "my secret question", LATER)
    questions.close()

    assert not any(b"secret question" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_row_under_another_key_or_secret_is_not_opened(tmp_path: Path) -> None:
    """A row that was moved, or written under another secret, is nobody's question."""
    questions = Questions(tmp_path, Secret(b"s" * 32))
    questions.put(row("one"), "e", "question", LATER)
    with sqlite3.connect(tmp_path / FILE_NAME) as disk:
        disk.execute("UPDATE questions SET scope = ?", (b"another",))
    disk.close()

    assert questions.text(key("one")) is None
    assert list(questions.load("e", 0.0)) == []
    questions.close()


def test_questions_of_another_embedder_and_expired_ones_are_not_loaded(tmp_path: Path) -> None:
    """Vectors of two models never meet, and what has expired is removed."""
    questions = Questions(tmp_path, Secret(b"s" * 32))
    questions.put(row("one"), "e", "question", LATER)
    questions.put(row("two"), "e", "question", LATER - 10)

    assert [found.key for found in questions.load("e", LATER - 5)] == [key("one")]
    assert list(questions.load("another", 0.0)) == []
    assert questions.text(key("two")) is None
    questions.close()


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    """An index that cannot be read is begun anew, and the damaged file stays for who wants it."""
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1_000)

    questions = Questions(tmp_path, Secret(b"s" * 32))
    questions.put(row("one"), "e", "question", LATER)

    assert questions.text(key("one")) == "question"
    assert (tmp_path / "questions.damaged").exists()
    questions.close()
