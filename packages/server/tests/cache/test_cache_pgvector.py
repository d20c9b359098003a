"""Questions that several nodes share, in a real PostgreSQL with pgvector."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import postgres
import psycopg
import pytest
from keeping import NOW, TurnedClock, entry, key
from watchllm_server.cache.entry import Chosen, Kept
from watchllm_server.cache.pgvector import SharedQuestions
from watchllm_server.cache.questions import Row
from watchllm_server.errors import ModelError, StartError
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VECTOR = np.array([0.6, 0.8], np.float32)


@pytest.fixture
def node(pgvector_url: str) -> Iterator[Callable[..., SharedQuestions]]:
    """Return what opens nodes over one database, which is empty at first."""
    opened: list[SharedQuestions] = []

    def make(secret: bytes = b"s" * 32, clock: TurnedClock | None = None) -> SharedQuestions:
        clock = clock or TurnedClock()
        opened.append(SharedQuestions(pgvector_url, Secret(secret), clock))
        opened[-1].load("e", 0.0)
        return opened[-1]

    make()
    with psycopg.connect(pgvector_url, autocommit=True) as database:
        database.execute("TRUNCATE watchllm_questions")
    yield make
    for each in opened:
        each.close()


def keep(
    questions: SharedQuestions, name: object, *, scope: bytes = b"scope", embedder: str = "e",
    text: str = "", project: str = "p", namespace: str = "", **fields: Any,
) -> None:  # fmt: skip
    """Keep a question under the key of a name."""
    row = Row(key(name), scope, VECTOR.astype(np.float16).tobytes())
    questions.put(row, embedder, text or str(name), Kept(project, namespace, entry(**fields)))


def test_what_one_node_keeps_another_finds_and_answers(
    node: Callable[..., SharedQuestions],
) -> None:
    """Text and answer come back whole on a node that has not seen the request."""
    one, other = node(), node()
    keep(one, "q", text="How do I pay?", body=b'{"answer": "by card"}')

    (near,) = other.nearest(b"scope", VECTOR, 3, 0.9)

    assert near.key == key("q")
    assert near.cosine == pytest.approx(1, abs=1e-3)
    assert other.text(near.key) == "How do I pay?"
    assert other.answer(near.key) == Kept("p", "", entry(body=b'{"answer": "by card"}'))


def test_two_nodes_write_one_scope_at_once(node: Callable[..., SharedQuestions]) -> None:
    """Nothing is lost or doubled, also where both keep a question under one key."""

    def write(questions: SharedQuestions, own: str) -> None:
        for n in range(100):
            keep(questions, (own, n))
            keep(questions, ("both", n), text=own)

    nodes = node(), node()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, nodes, ("one", "other")))

    for questions in nodes:
        assert len(questions) == 300
        assert len({near.key for near in questions.nearest(b"scope", VECTOR, 400, 0.9)}) == 300
    for n in range(100):
        text = nodes[0].text(key(("both", n)))
        assert text in {"one", "other"}
        assert text == nodes[1].text(key(("both", n)))


def test_nodes_that_start_together_make_one_table(pgvector_url: str) -> None:
    """Of several that find no table, one makes it, and none fails."""
    with psycopg.connect(pgvector_url, autocommit=True) as database:
        database.execute("DROP TABLE IF EXISTS watchllm_questions")

    def start(_: int) -> int:
        questions = SharedQuestions(pgvector_url, Secret(b"s" * 32), TurnedClock())
        try:
            return len(questions)
        finally:
            questions.close()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(start, range(6))) == [0] * 6


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from test_cache_pgvector import *
questions = SharedQuestions(sys.argv[1], Secret(b"s" * 32), TurnedClock())
for n in range(1_000_000):
    keep(questions, n, body=b"x" * 20_000)
    print(n, flush=True)
"""


def test_a_node_that_is_killed_leaves_no_entry_half_there(
    node: Callable[..., SharedQuestions], pgvector_url: str
) -> None:
    """All that it had kept is there whole, and at most one more: the one that it was writing."""
    questions = node()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, pgvector_url, str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    told = [writer.stdout.readline() for _ in range(50)]

    writer.kill()
    told += writer.communicate()[0].splitlines(keepends=True)

    whole = [line for line in told if line.endswith("\n")]
    assert len(whole) <= len(questions) <= len(whole) + 1
    for near in questions.nearest(b"scope", VECTOR, 10_000, 0.9):
        answer = questions.answer(near.key)
        assert answer is not None
        assert answer.entry.body == b"x" * 20_000


def test_the_database_holds_no_word_of_question_or_answer(
    node: Callable[..., SharedQuestions], pgvector_url: str
) -> None:
    """Both are encrypted: the rows hold neither."""
    keep(node(), "q", text="my secret question", body=b"my secret answer")

    with psycopg.connect(pgvector_url) as database:
        rows = database.execute("SELECT * FROM watchllm_questions").fetchall()

    assert rows
    assert b"secret" not in b"".join(each for each in rows[0] if isinstance(each, bytes))
    assert "secret" not in str(rows)


def test_a_row_that_was_moved_or_is_of_another_key_is_not_opened(
    node: Callable[..., SharedQuestions], pgvector_url: str
) -> None:
    """Who can write to the database cannot lead a question to the answer of another scope."""
    keep(node(), "q")
    assert node(b"t" * 32).text(key("q")) is None

    with psycopg.connect(pgvector_url, autocommit=True) as database:
        database.execute("UPDATE watchllm_questions SET scope = 'another'::bytea")

    assert node().text(key("q")) is None
    assert node().answer(key("q")) is None
    assert node().answer(key("none")) is None


def test_questions_of_another_embedder_are_not_found(
    node: Callable[..., SharedQuestions],
) -> None:
    """Vectors of two models never meet, though they have one size."""
    questions = node()
    keep(questions, "q", embedder="another")

    assert questions.nearest(b"scope", VECTOR, 3, -1) == []


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        (Chosen(), ["theirs"]),
        (Chosen(model="m2"), ["1", "3", "theirs"]),
        (Chosen(namespace="n"), ["1", "2", "theirs"]),
        (Chosen(before=NOW.timestamp() + 5), ["2", "3", "theirs"]),
        (Chosen(after=NOW.timestamp() + 5), ["1", "theirs"]),
        (Chosen(event_id="event-1"), ["2", "3", "theirs"]),
        (Chosen(event_id="event-1", model="m2"), ["1", "2", "3", "theirs"]),
    ],
)
def test_a_project_forgets_what_it_chooses_on_all_nodes(
    node: Callable[..., SharedQuestions], chosen: Chosen, left: list[str]
) -> None:
    """The chosen ones of one project are gone for every node, and no other's."""
    one, other = node(), node()
    later = NOW.timestamp() + 10
    keep(one, "1")
    keep(one, "2", model="m2", event_id="event-2", created_at=later)
    keep(one, "3", namespace="n", event_id="event-3", created_at=later)
    keep(one, "theirs", project="another")

    gone = one.forget("p", chosen)

    names = ["1", "2", "3", "theirs"]
    assert gone == {key(name) for name in names if name not in left}
    assert [name for name in names if other.text(key(name))] == left


def test_what_has_expired_is_no_answer_and_goes(node: Callable[..., SharedQuestions]) -> None:
    """An answer is not given out after its time, and a start removes it."""
    clock = TurnedClock()
    questions = node(clock=clock)
    keep(questions, "q", expires_at=NOW.timestamp() + 10)
    clock.passed = 11

    assert questions.answer(key("q")) is None
    assert list(questions.load("e", clock.now().timestamp())) == []
    assert len(questions) == 0


def test_a_database_that_fails_is_left_alone_for_a_while(
    node: Callable[..., SharedQuestions], pgvector_url: str
) -> None:
    """A broken connection is one error; then none waits for it, until it is tried again."""
    clock = TurnedClock()
    questions = node(clock=clock)
    keep(questions, "q")
    with psycopg.connect(pgvector_url, autocommit=True) as database:
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )

    with pytest.raises(ModelError, match="the database of shared questions failed"):
        questions.text(key("q"))
    with pytest.raises(ModelError, match="is left alone"):
        questions.text(key("q"))
    clock.passed += 11

    assert questions.text(key("q")) == "q"


@pytest.mark.parametrize(
    "url", ["postgresql://me:hidden-word@127.0.0.1:1/db", "nonsense", "postgresql://[::1"]
)
def test_a_database_that_cannot_be_used_stops_the_start(url: str) -> None:
    """One sentence says what it needs, without the password."""
    with pytest.raises(
        StartError, match=r"cannot be used: .*It needs PostgreSQL with pg"
    ) as stopped:
        SharedQuestions(url, Secret(b"s" * 32), TurnedClock())

    assert "hidden-word" not in str(stopped.value)


if postgres.programs():

    def test_a_postgres_without_the_extension_stops_the_start() -> None:
        """The sentence names the extension, where the machine's own PostgreSQL has none."""
        with postgres.running() as url:
            with psycopg.connect(url) as database:
                row = database.execute(
                    "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
                ).fetchone()
            if row == (1,):
                pytest.skip("this machine's PostgreSQL has pgvector")
            with pytest.raises(StartError, match=r"PostgreSQL with pgvector 0\.7"):
                SharedQuestions(url, Secret(b"s" * 32), TurnedClock())
