"""Events of the gateway on their way to the store."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from conftest import prompt_call
from hypothesis import given
from hypothesis import strategies as st
from journals import SEAL, Shelf, files, journal_in, line, sealed
from watchllm_server.clock import SystemClock
from watchllm_server.gateway.lines import Lines
from watchllm_server.ingest.commit import GroupCommit
from watchllm_server.query.events import page_of_events
from watchllm_server.query.filter import Filter
from watchllm_server.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from watchllm_server.pricing import Prices
    from watchllm_server.redaction import Redaction
    from watchllm_server.rows import Row
    from watchllm_server.store.embedded import EmbeddedStore


def test_what_is_written_is_handed_over_once_and_removed(tmp_path: Path) -> None:
    """Lines reach the store in their order, and their file goes when the store has them."""
    shelf = Shelf()
    journal = journal_in(tmp_path, shelf)
    for number in range(100):
        assert journal.append(line(f"e{number}"))
    assert len(files(tmp_path)) == 1
    assert journal.waiting_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())

    assert asyncio.run(journal.hand_over())
    assert asyncio.run(journal.hand_over())

    assert shelf.ids == [f"e{number}" for number in range(100)]
    assert (files(tmp_path), journal.waiting_bytes, journal.lost) == ([], 0, {})


@pytest.mark.parametrize(("at_hand", "read_back"), [(0, ["e0", "e1", "e2"]), (1, ["e1", "e2"])])
def test_what_is_at_hand_is_not_read_back(
    tmp_path: Path, at_hand: int, read_back: list[str]
) -> None:
    """Events come from memory up to a bound, and from their files beyond it, in their order."""
    shelf = Shelf()
    journal = journal_in(tmp_path, shelf, segment_bytes=1, at_hand_bytes=at_hand)
    for number in range(3):
        journal.append(line(f"e{number}"))
        (tmp_path / files(tmp_path)[-1]).write_bytes(sealed(line(f"e{number}", model="the file's")))

    asyncio.run(journal.hand_over())

    assert shelf.ids == ["e0", "e1", "e2"]
    assert [
        i for i, model in zip(shelf.ids, shelf.models, strict=True) if model == "the file's"
    ] == read_back


def test_once_the_store_is_back_events_are_at_hand_again(tmp_path: Path) -> None:
    """What was handed over no longer counts as at hand, and files that follow are in memory."""
    shelf = Shelf()
    journal = journal_in(tmp_path, shelf, segment_bytes=1, at_hand_bytes=1)
    journal.append(line("e1"))
    asyncio.run(journal.hand_over())
    journal.append(line("e2"))
    (tmp_path / files(tmp_path)[-1]).write_bytes(b"damaged")

    asyncio.run(journal.hand_over())

    assert (shelf.ids, journal.lost) == (["e1", "e2"], {})


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Nobody else on the machine reads the prompts that wait."""
    folder = tmp_path / "journal"
    journal_in(folder, Shelf()).append(line("e1"))

    modes = [path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())]
    assert modes == [0, 0]


def test_while_the_store_is_away_lines_wait_and_then_arrive(tmp_path: Path) -> None:
    """A store that is away loses nothing, also across a start, and each line arrives once."""
    shelf = Shelf()
    shelf.away = True
    journal = journal_in(tmp_path, shelf, segment_bytes=1_000)
    for number in range(20):
        assert journal.append(line(f"e{number:02}"))
        assert not asyncio.run(journal.hand_over())

    shelf.away = False
    again = journal_in(tmp_path, shelf)
    again.append(line("later"))
    while not asyncio.run(again.hand_over()):
        pass

    assert sorted(shelf.ids) == [*(f"e{number:02}" for number in range(20)), "later"]
    assert (files(tmp_path), again.waiting_bytes) == ([], 0)


def test_a_store_that_is_away_is_asked_once_a_round(tmp_path: Path) -> None:
    """A large backlog does not become a storm of inserts that fail."""
    shelf = Shelf()
    shelf.away = True
    journal = journal_in(tmp_path, shelf, segment_bytes=1)
    for number in range(50):
        journal.append(line(f"e{number}"))

    for _ in range(3):
        assert not asyncio.run(journal.hand_over())

    assert shelf.asked == 3


def test_what_the_store_never_takes_keeps_nothing_else_from_it(tmp_path: Path) -> None:
    """One file that always fails stays behind; every other, also a later one, arrives."""
    shelf = Shelf()
    shelf.refused = {"e3"}
    journal = journal_in(tmp_path, shelf, segment_bytes=1)
    for number in range(8):
        journal.append(line(f"e{number}"))
    # Files go one by one after a refusal, so that so many rounds are enough for all.
    for _ in range(9):
        asyncio.run(journal.hand_over())
    journal.append(line("later"))
    for _ in range(2):
        asyncio.run(journal.hand_over())

    assert sorted(shelf.ids) == ["e0", "e1", "e2", "e4", "e5", "e6", "e7", "later"]
    assert len(files(tmp_path)) == 1


def test_beyond_its_capacity_events_are_dropped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk is bounded: what comes beyond is counted, and there is room again later."""
    one = line("e1")
    shelf = Shelf()
    journal = journal_in(tmp_path, shelf, capacity=3 * len(sealed(one)))

    taken = [journal.append(line(f"e{number}")) for number in range(25)]

    assert taken == [True] * 3 + [False] * 22
    assert journal.lost == {"full": 22}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == journal.waiting_bytes
    # The log is told at 1, 10, 100 and so on.
    assert len(caplog.records) == 2
    assert asyncio.run(journal.hand_over())
    assert journal.append(one)


_OTHER = Lines(Secret(b"another").seal("journal"))
_CHANGED = bytearray(sealed(line("e9")))
_CHANGED[40] ^= 1


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(sealed(line("e9"))[:-9], id="torn"),
        pytest.param(sealed(line("e9"))[:-1], id="torn before its break"),
        pytest.param(bytes(_CHANGED), id="changed"),
        pytest.param(_OTHER.close(line("e9")), id="of another key"),
        pytest.param(line("e9") + b"\n", id="in clear"),
        pytest.param(b"\x00\xff\n", id="no base64"),
        pytest.param(b"\n", id="empty"),
        pytest.param(sealed(b"[]"), id="no event"),
        pytest.param(sealed(b'{"project_id": "p"}'), id="half an event"),
    ],
)
def test_a_damaged_line_is_counted_and_costs_no_other(
    tmp_path: Path, cut: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A line that does not open, or is no event, is counted and told; those around it arrive."""
    after = sealed(line("e2")) if cut.endswith(b"\n") else b""
    (tmp_path / "0000000000000007.sealed").write_bytes(sealed(line("e1")) + cut + after)
    (tmp_path / "notes.sealed").write_bytes(b"not ours")
    shelf = Shelf()
    journal = journal_in(tmp_path, shelf)
    journal.append(line("e3"))

    assert asyncio.run(journal.hand_over())

    assert shelf.ids == ["e1", *(["e2"] if after else []), "e3"]
    assert journal.lost == {"damaged": 1}
    assert files(tmp_path) == ["notes.sealed"]
    assert len(caplog.records) == 1


def test_files_in_clear_of_a_server_before_are_removed_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was written before lines were encrypted counts as damaged: one line of the log says so.

    Nothing of it stays on the disk.
    """
    old = b"".join(line(f"e{number}") + b"\n" for number in range(3))
    (tmp_path / "0000000000000003.jsonl").write_bytes(old)
    shelf = Shelf()
    journal = journal_in(tmp_path, shelf)
    journal.append(line("later"))

    assert asyncio.run(journal.hand_over())

    assert (shelf.ids, journal.lost, files(tmp_path)) == (["later"], {"damaged": 3}, [])
    (told,) = caplog.messages
    assert told == (
        "Recorded calls lost, 3 so far (damaged): they are torn or changed, or were written under "
        "another secret key or in clear."
    )


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=8))
def test_nothing_of_an_event_is_on_the_disk_in_clear(words: str) -> None:
    """No text that an event tells, in its JSON's form or in base64, is in what lies in the file."""
    event = line("e1", prompt=words)
    told = json.dumps(words)[1:-1].encode()

    lying = sealed(event)

    assert told not in lying
    assert told not in base64.b64decode(lying)
    assert base64.b64encode(event)[40:80] not in lying
    assert sealed(event) != lying
    assert Lines(SEAL).open(lying) == event


_WRITER = """
import json, sys
from pathlib import Path
from watchllm_server.gateway.journal import Journal
from watchllm_server.secrets import Secret

seal = Secret(b"of the tests").seal("journal")
journal = Journal(
    Path(sys.argv[1]), None, capacity=10**9, seal=seal, redactions=dict, erasures=list,
    segment_bytes=20_000,
)
event = json.loads(sys.argv[2])
for number in range(10**9):
    event["event_id"] = f"e{number}"
    journal.append(json.dumps(event).encode())
    sys.stdout.write(f"e{number}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("enough", [1, 37, 400])
def test_a_process_that_is_killed_loses_no_line_that_it_wrote(tmp_path: Path, enough: int) -> None:
    """After SIGKILL at any moment, every event whose line was written is handed over, once."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path), line("x").decode()],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    written = [writer.stdout.readline().strip() for _ in range(enough)]
    writer.kill()
    written += [text.strip() for text in writer.stdout if text.endswith("\n")]
    writer.wait(10)
    writer.stdout.close()
    shelf = Shelf()

    assert asyncio.run(journal_in(tmp_path, shelf).hand_over())

    # At most one more was written than the process could say.
    assert shelf.ids[: len(written)] == written
    assert len(shelf.ids) - len(written) in (0, 1)


_FULL_DISK = """
import resource, sys
from pathlib import Path
from watchllm_server.gateway.journal import Journal
from watchllm_server.secrets import Secret

resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, 1_500))
seal = Secret(b"of the tests").seal("journal")
journal = Journal(
    Path(sys.argv[1]), None, capacity=10**9, seal=seal, redactions=dict, erasures=list
)
print([journal.append(sys.argv[2].encode()) for _ in range(5)], journal.lost)
"""


def test_a_line_that_the_disk_refuses_leaves_the_others_whole(tmp_path: Path) -> None:
    """When the file may grow no further, half a line is taken back, and the loss is counted."""
    one = line("e1")
    assert 3 * len(sealed(one)) < 1_500 < 4 * len(sealed(one))

    said = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path), one.decode()],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert said.strip() == "[True, True, True, False, False] {'disk': 2}"
    lying = next(tmp_path.iterdir()).read_bytes().splitlines(keepends=True)
    assert list(map(Lines(SEAL).open, lying)) == [one] * 3


def test_an_end_between_the_answer_and_the_removal_stores_nothing_twice(
    tmp_path: Path,
    store: EmbeddedStore,
    prices: Prices,
    new_account: Callable[[], Any],
) -> None:
    """A file that the store took, and that was still there, is handed over again: seen once."""
    project = new_account().project
    commit = GroupCommit(
        store,
        prices,
        group_events=100,
        group_bytes=1_000_000,
        group_seconds=0,
        clock=SystemClock(),
    )

    class Killed:
        """The store takes the rows, and then the process ends."""

        async def add(
            self, rows: Sequence[Row], size: int, redaction: Redaction | None = None
        ) -> None:
            await commit.add(rows, size, redaction)
            raise KeyboardInterrupt

    commit.start()
    try:
        journal = journal_in(tmp_path, Killed(), redactions=lambda: {project: None})
        for number in range(10):
            event = prompt_call(event_id=f"{project}-{number}", project_id=project)
            journal.append(json.dumps(event).encode())
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(journal.hand_over())
        assert len(files(tmp_path)) == 1

        assert asyncio.run(
            journal_in(tmp_path, commit, redactions=lambda: {project: None}).hand_over()
        )
    finally:
        commit.close()

    found = page_of_events(store, Filter(project), limit=100).events
    assert sorted(event.event_id for event in found) == [f"{project}-{n}" for n in range(10)]
    assert {str(event.cost_usd) for event in found} != {"None"}
    assert files(tmp_path) == []


def test_rounds_wait_longer_while_the_store_is_away(tmp_path: Path) -> None:
    """The wait doubles up to 15 seconds, and is short again once the store is back."""
    shelf = Shelf()
    shelf.away = True
    waits: list[float] = []
    done = asyncio.Event()

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 9:
            shelf.away = False
        if len(waits) == 10:
            done.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    async def run() -> None:
        journal = journal_in(tmp_path, shelf, pause=pause)
        journal.append(line("e1"))
        journal.start()
        await done.wait()
        await journal.close()

    asyncio.run(run())

    assert waits == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15, 0.25]
    assert shelf.ids == ["e1"]


def test_closing_hands_over_what_is_there(tmp_path: Path) -> None:
    """An orderly end leaves nothing behind, and an empty journal no file."""
    shelf = Shelf()

    async def run() -> None:
        journal = journal_in(tmp_path, shelf)
        journal.start()
        journal.append(line("e1"))
        await journal.close()

    asyncio.run(run())

    assert (shelf.ids, files(tmp_path)) == (["e1"], [])


def test_closing_does_not_wait_for_a_store_that_hangs(tmp_path: Path) -> None:
    """A store that never answers keeps no server from ending: the file waits for the next start."""

    class Hanging:
        async def add(
            self, rows: Sequence[Row], size: int, redaction: Redaction | None = None
        ) -> None:
            await asyncio.Event().wait()

    async def run() -> None:
        journal = journal_in(tmp_path, Hanging())
        journal.start()
        journal.append(line("e1"))
        await journal.close()

    asyncio.run(run())

    assert len(files(tmp_path)) == 1


def test_a_large_backlog_takes_little_memory(tmp_path: Path) -> None:
    """Forty MB that wait are handed over some two at a time."""
    for number in range(160):
        text = sealed(line(f"e{number}", prompt=os.urandom(120_000).hex()))
        (tmp_path / f"{number:016d}.sealed").write_bytes(text)
    shelf = Shelf()
    tracemalloc.start()
    try:
        journal = journal_in(tmp_path, shelf)
        assert asyncio.run(journal.hand_over())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(shelf.ids) == 160
    assert peak < 12_000_000
