"""Questions on disk: encrypted, whole or not at all, and only for the model that read them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import numpy as np
from keeping import NOW, entry, key
from watchllm_server.cache.entry import Kept
from watchllm_server.cache.questions import FILE_NAME, Questions, Row
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

LATER = NOW.timestamp() + 3_600


def kept(name: str) -> Kept:
    """Return an answer as it is kept."""
    return Kept("p", "", entry(expires_at=LATER, event_id=f"event-{name}"))


def row(name: str) -> Row:
    """Return a question's row."""
    return Row(key(name), b"scope", np.array([0.6, 0.8], np.float16).tobytes())


def test_what_is_on_disk_is_encrypted(tmp_path: Path) -> None:
    """The file holds no word of a question."""
    questions = Questions(tmp_path, Secret(b"s" * 32))
    questions.put(row("one"), "e", "my secret question", kept("one"))
    questions.close()

    assert not any(b"secret question" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_row_under_another_key_or_secret_is_not_opened(tmp_path: Path) -> None:
    """A row that was moved, or written under another secret, is nobody's question."""
    questions = Questions(tmp_path, Secret(b"s" * 32))
    questions.put(row("one"), "e", "question", kept("one"))
    with sqlite3.connect(tmp_path / FILE_NAME) as disk:
        disk.execute("UPDATE questions SET scope = ?", (b"another",))
    disk.close()

    assert questions.text(key("one")) is None
    assert list(questions.load("e", 0.0)) == []
    questions.close()


def test_questions_of_another_embedder_and_expired_ones_are_not_loaded(tmp_path: Path) -> None:
    """Vectors of two models never meet, and what has expired is removed."""
    questions = Questions(tmp_path, Secret(b"s" * 32))
    questions.put(row("one"), "e", "question", kept("one"))
    early = Kept("p", "", entry(expires_at=LATER - 10))
    questions.put(row("two"), "e", "question", early)

    assert [found.key for found in questions.load("e", LATER - 5)] == [key("one")]
    assert list(questions.load("another", 0.0)) == []
    assert questions.text(key("two")) is None
    questions.close()


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    """An index that cannot be read is begun anew, and the damaged file stays for who wants it."""
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1_000)

    questions = Questions(tmp_path, Secret(b"s" * 32))
    questions.put(row("one"), "e", "question", kept("one"))

    assert questions.text(key("one")) == "question"
    assert (tmp_path / "questions.damaged").exists()
    questions.close()
