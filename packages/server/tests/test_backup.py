"""Backups of a server that goes on writing, and what a restored directory holds."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import KEY, Server, prompt_call
from watchllm_server import control, datadir
from watchllm_server.clock import SystemClock
from watchllm_server.errors import BackupError, ControlError
from watchllm_server.keeping.backup import Backup, restore
from watchllm_server.store.deletion import erase, purge
from watchllm_server.store.snapshot import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Account
    from watchllm_server.metadata import Metadata
    from watchllm_server.store.embedded import EmbeddedStore

# Servers and commands as processes, each of which loads the engine: minutes on a busy machine.
pytestmark = pytest.mark.timeout(240)
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def ask(server: Server, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and JSON of a request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    try:
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, path, content, HEADERS)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def watchllm(*arguments: str, code: int = 0) -> str:
    """Run a command, which must end with a code, and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "watchllm_server", *arguments],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def events_of(server: Server) -> set[str]:
    """Return the ids of all events of the first thousand."""
    status, answer = ask(server, "POST", "/v1/events/query", {"limit": 1_000})
    assert status == 200
    return {event["event_id"] for event in answer["events"]}


def test_a_backup_of_a_server_under_load_holds_all_that_was_answered_before(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """While batches pour in a backup is taken; restored, it has each event of before it once.

    What was answered while it was written may be in it or not, but never in part of its batch.
    """
    server = serve(tmp_path / "data")
    # Two months in each batch: an insert is cut into two parts.
    batches = [
        [prompt_call(timestamp=f"2026-1{n % 2}-05T00:00:00Z") for n in range(10)] for _ in range(16)
    ]
    begun, done = threading.Event(), threading.Event()

    def pour() -> None:
        for number, batch in enumerate(batches[8:]):
            assert ask(server, "POST", "/v1/events/batch", {"events": batch})[0] == 200
            if number == 1:
                begun.set()
        done.set()

    for batch in batches[:8]:
        assert ask(server, "POST", "/v1/events/batch", {"events": batch})[0] == 200
    thread = threading.Thread(target=pour)
    thread.start()
    assert begun.wait(30)
    watchllm("backup", str(tmp_path / "b.tar"), "--data-dir", str(tmp_path / "data"))
    thread.join()
    server.stop()
    watchllm("restore", str(tmp_path / "b.tar"), "--data-dir", str(tmp_path / "copy"))
    copy = serve(tmp_path / "copy", WATCHLLM_INIT_PROJECT_ID="", WATCHLLM_INIT_API_KEY="")

    found = events_of(copy)

    assert done.is_set()
    ids = [{event["event_id"] for event in batch} for batch in batches]
    assert set().union(*ids[:8]) <= found
    assert all(batch <= found or not batch & found for batch in ids)
    assert not list((tmp_path / "data" / "events" / "shadow").glob("snapshot*"))


def test_a_backup_and_an_erasure_without_a_server(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """Where no server runs the commands open the data themselves; what was erased stays away."""
    server = serve(tmp_path / "data")
    kept, erased = prompt_call(user_id="joe"), prompt_call(user_id="jane")
    ask(server, "POST", "/v1/events/batch", {"events": [kept, erased]})
    server.stop()
    place, user = ["--data-dir", str(tmp_path / "data")], ["--project", "proj-tests", "--user-id"]

    first = watchllm("erase", *user, "jane", *place)
    watchllm("backup", str(tmp_path / "b.tar"), *place)
    restore(tmp_path / "b.tar", tmp_path / "copy")
    copy = serve(tmp_path / "copy")

    assert "Erased 1 events" in first
    assert events_of(copy) == {kept["event_id"]}


def test_a_running_server_erases_on_command(tmp_path: Path, serve: Callable[..., Server]) -> None:
    """The command asks the server that owns the directory, which forgets the run at once."""
    server = serve(tmp_path)
    kept, erased = prompt_call(run_id="a"), prompt_call(run_id="b")
    ask(server, "POST", "/v1/events/batch", {"events": [kept, erased]})
    place = ["--data-dir", str(tmp_path)]

    said = watchllm("erase", "--project", "proj-tests", "--run-id", "b", *place)

    assert "Erased 1 events" in said
    assert events_of(server) == {kept["event_id"]}
    assert "There is no project" in watchllm(
        "erase", "--project", "none", "--run-id", "b", *place, code=2
    )


def test_what_a_killed_backup_left_behind_is_removed_at_the_next_start(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """Links of a killed backup, which would keep erased events, go when a server starts."""
    left = tmp_path / "events" / "shadow" / f"{PREFIX}0"
    left.mkdir(parents=True)
    (left / "part").touch()

    assert ask(serve(tmp_path), "GET", "/readyz")[0] == 200

    assert not left.exists()


@pytest.fixture
def backup(store: EmbeddedStore, metadata: Metadata) -> Backup:
    """Return what backs up the store of all tests."""
    return Backup(store, metadata, SystemClock())


def test_only_the_owner_can_read_a_backup(backup: Backup, account: Account, tmp_path: Path) -> None:
    """A backup holds prompts: its file is of mode 600, and none is replaced."""
    account.send(prompt_call())
    path = tmp_path / "b.tar"

    size = backup.write(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size == size
    with pytest.raises(BackupError, match="exists already"):
        backup.write(path)
    assert [file.name for file in tmp_path.iterdir()] == ["b.tar"]


def test_what_was_erased_and_purged_is_in_no_backup(
    backup: Backup, account: Account, store: EmbeddedStore, tmp_path: Path
) -> None:
    """After a purge the text of an erased event is in no file of a backup."""
    secret = "user-whose-events-are-to-be-erased"
    account.send(prompt_call(user_id=secret, prompt=secret), prompt_call())
    erase(store, account.project, "user", secret)
    purge(store, wait=True)

    backup.write(tmp_path / "b.tar")
    restore(tmp_path / "b.tar", tmp_path / "copy")

    assert len(account.ids()) == 1
    columns = [path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert columns
    assert not any(secret.encode() in column for column in columns)


@pytest.mark.parametrize("path", ["relative.tar", "/no/such/directory/b.tar", "/proc/b.tar"])
def test_a_place_that_cannot_be_written_is_one_sentence(backup: Backup, path: str) -> None:
    """A backup that cannot be written says so in a sentence."""
    with pytest.raises(BackupError, match=r"^/?\S+ (must be a file|cannot be written)"):
        backup.write(Path(path))


def archive(path: Path, **members: bytes) -> Path:
    """Write an archive with members of these names, whose dots are written as two underscores."""
    with tarfile.open(path, "w") as made:
        for name, content in members.items():
            member = tarfile.TarInfo(name.replace("__", ".").replace("_in_", "/"))
            member.size = len(content)
            made.addfile(member, BytesIO(content))
    return path


MANIFEST = json.dumps({"format": 1, "files": 2, "metadata": True}).encode()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "no manifest"),
        ({"metadata__db": b"x"}, "no manifest"),
        ({"manifest__json": b"{"}, "cannot be read"),
        ({"manifest__json": b'{"format": 2, "files": 0}'}, "newer version"),
        ({"events_in_one": b"x", "manifest__json": MANIFEST}, "1 files of 2"),
    ],
)
def test_what_is_no_whole_backup_is_refused_and_leaves_nothing(
    tmp_path: Path, members: dict[str, bytes], words: str
) -> None:
    """A file that is cut off, damaged or newer is refused in a sentence; nothing is left behind."""
    path = archive(tmp_path / "b.tar", **members)

    with pytest.raises(BackupError, match=words):
        restore(path, tmp_path / "copy")

    assert [file.name for file in tmp_path.iterdir()] == ["b.tar"]


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Some other file, and one that is cut in the middle of a member, are refused."""
    path = tmp_path / "b.tar"
    for content in (
        b"no archive at all" * 100,
        archive(path, events=b"x" * 5_000).read_bytes()[:900],
    ):
        path.write_bytes(content)
        with pytest.raises(BackupError, match="no backup, or was cut off"):
            restore(path, tmp_path / "copy")


def test_no_archive_writes_outside_its_directory(tmp_path: Path) -> None:
    """Members that lead elsewhere are refused, by name or by link."""
    path = tmp_path / "b.tar"
    with tarfile.open(path, "w") as made:
        link = tarfile.TarInfo("events/out")
        link.type, link.linkname = tarfile.SYMTYPE, "../../.."
        made.addfile(link)

    with pytest.raises(BackupError):
        restore(path, tmp_path / "copy")
    with pytest.raises(BackupError):
        restore(archive(path, events_in____in_out=b"x"), tmp_path / "copy")
    assert not (tmp_path / "out").exists()


def test_a_directory_in_use_is_not_restored_into(tmp_path: Path) -> None:
    """A directory with anything in it is left as it is."""
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "metadata.db").touch()

    with pytest.raises(BackupError, match="is not empty"):
        restore(archive(tmp_path / "b.tar"), tmp_path / "copy")


def test_a_directory_that_another_holds_without_a_word_is_one_sentence(tmp_path: Path) -> None:
    """Where a process owns the directory but announces no server, a command says so."""
    with datadir.owned(tmp_path):
        said = watchllm("backup", str(tmp_path / "b.tar"), "--data-dir", str(tmp_path), code=2)
        with pytest.raises(ControlError):
            control.find(tmp_path)

    assert "No server is announced" in said


def test_doctor_finds_a_healthy_server_and_a_missing_key(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """`doctor --server` exits with 0 beside a server, with 1 and a cure without a key."""
    server = serve(tmp_path / "data")
    ask(server, "GET", "/readyz")

    healthy = watchllm("doctor", "--server", "--data-dir", str(tmp_path / "data"))
    empty = watchllm("doctor", "--server", "--data-dir", str(tmp_path / "new"), code=1)

    assert "takes events and answers questions" in healthy
    assert "FAIL" not in healthy
    assert "FAIL Projects: 0. Active keys: 0." in empty
    assert "watchllm serve" in empty
    assert "--server" in watchllm("doctor", code=2)


def test_doctor_is_not_misled_by_a_server_that_was_killed(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """What a killed server left behind is not taken for a running one; its events can be opened."""
    server = serve(tmp_path)
    ask(server, "POST", "/v1/events/batch", {"events": [prompt_call()]})
    server.stop(signal.SIGKILL)

    said = watchllm("doctor", "--server", "--data-dir", str(tmp_path))

    assert "No server uses the data directory" in said
    assert "The events can be opened" in said
