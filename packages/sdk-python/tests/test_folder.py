"""Directories of the spool belong to one living process each, and to nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from watchllm._spool import Folder, SpoolUnusable, default_root, destinations
from watchllm._spool._folder import adopt

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://collector.example/v1"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return the folder of a destination that nobody has used yet."""
    return Folder(str(tmp_path / "spool"), URL, "proj-1")


def mode(path: str) -> int:
    """Return the permissions of a file."""
    return os.stat(path).st_mode & 0o777


def left_by_a_dead_process(folder: Folder) -> str:
    """Return the directory that a process left which was killed with events in it."""
    program = f"""
import os, signal
from watchllm._spool import Folder
claim = Folder({folder.root!r}, {folder.base_url!r}, {folder.project_id!r}).claim()
open(os.path.join(claim.path, "000001.seg"), "wb").close()
print(claim.path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50
    )
    return done.stdout.strip()


def test_nothing_is_made_before_it_is_claimed(folder: Folder) -> None:
    """Asking about a folder makes none."""
    assert folder.owners() == []
    assert list(folder.orphans()) == []
    assert folder.used_bytes() == 0
    assert destinations(folder.root) == []
    assert not os.path.exists(folder.root)


def test_only_the_user_can_look_into_it(folder: Folder) -> None:
    """Directories have mode 0700, files 0600, also where they were made laxer before."""
    os.makedirs(folder.path)
    os.chmod(folder.path, 0o755)  # noqa: S103 - as a laxer program would have
    claim = folder.claim()

    assert [mode(folder.path), mode(claim.path)] == [0o700, 0o700]
    assert mode(os.path.join(claim.path, "lock")) == 0o600
    assert mode(os.path.join(folder.path, "destination.json")) == 0o600
    claim.release()


def test_the_destination_is_described_without_a_key(folder: Folder) -> None:
    """Another program finds out where the events go, by a file that says that and no more."""
    folder.claim().release()
    with open(os.path.join(folder.path, "destination.json"), encoding="utf-8") as file:
        about = json.load(file)

    assert about == {"base_url": URL, "project_id": "proj-1"}
    assert [found.path for found in destinations(folder.root)] == [folder.path]


def test_what_describes_no_destination_is_passed_over(folder: Folder) -> None:
    """Files that are none of ours, or damaged, or moved, name no destination."""
    folder.claim().release()
    for name, text in {
        "empty": "",
        "list": "[]",
        "moved": '{"base_url":"u","project_id":"p"}',
    }.items():
        os.mkdir(os.path.join(folder.root, name))
        with open(os.path.join(folder.root, name, "destination.json"), "w") as file:
            file.write(text)
    os.mkdir(os.path.join(folder.root, "nothing"))

    assert [found.path for found in destinations(folder.root)] == [folder.path]


def test_destinations_are_apart_whatever_their_names(tmp_path: Path) -> None:
    """Each pair of address and project has a folder of its own, with a name for any disk."""
    pairs = [(URL, "a/b"), (URL, "a_b"), (URL + "2", "a/b"), (URL, "..\0" * 100), (URL, "\ud800é")]
    names = [os.path.basename(Folder(str(tmp_path), *pair).path) for pair in pairs]

    assert len(set(names)) == len(names)
    assert all(name.isascii() and "/" not in name and len(name) < 60 for name in names)


def test_a_living_process_is_not_adopted(folder: Folder) -> None:
    """As long as its owner lives, nobody else gets a directory; neither in the same process."""
    claim = folder.claim()

    assert adopt(claim.path) is None
    assert list(folder.orphans()) == []
    claim.release()
    assert folder.owners() == []


def test_what_a_dead_process_left_is_adopted_once(folder: Folder) -> None:
    """The first to ask gets it; the next does not as long as the first has it."""
    path = left_by_a_dead_process(folder)
    (claim,) = folder.orphans()

    assert claim.path == path
    assert [os.path.basename(found) for found in claim.segments()] == ["000001.seg"]
    assert list(folder.orphans()) == []
    claim.release()
    (again,) = folder.orphans()
    os.unlink(again.segments()[0])
    again.release()
    assert not os.path.exists(path)


def test_a_directory_that_another_emptied_first_is_not_adopted(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens a lock that is deleted before he has it holds nothing."""
    path = left_by_a_dead_process(folder)
    lock = os.path.join(path, "lock")
    flock = adopt.__globals__["fcntl"].flock

    def delete_first(descriptor: int, how: int) -> None:
        os.unlink(lock)
        flock(descriptor, how)

    def replace_first(descriptor: int, how: int) -> None:
        os.unlink(lock)
        open(lock, "wb").close()
        flock(descriptor, how)

    monkeypatch.setattr("fcntl.flock", replace_first)
    assert adopt(path) is None
    monkeypatch.setattr("fcntl.flock", delete_first)
    assert adopt(path) is None


def test_what_cannot_be_made_is_said(folder: Folder) -> None:
    """A file in the way gives a reason that names it."""
    with open(folder.root, "wb"):
        pass

    with pytest.raises(SpoolUnusable, match="spool"):
        folder.claim()


def test_the_folder_of_another_user_is_not_used(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that somebody else prepared is no place for our events."""
    os.makedirs(folder.path)
    monkeypatch.setattr("os.geteuid", lambda: os.stat(folder.path).st_uid + 1)

    with pytest.raises(SpoolUnusable, match="belongs to another user"):
        folder.claim()


def test_a_claim_outlives_the_loss_of_its_directory(folder: Folder) -> None:
    """Where somebody removed the directory there are no segments, and letting go works."""
    claim = folder.claim()
    os.unlink(os.path.join(claim.path, "lock"))
    os.rmdir(claim.path)

    assert claim.segments() == []
    claim.release()
    claim.forget()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has a place of its own")
def test_the_usual_place_is_the_users_state_directory() -> None:
    """XDG_STATE_HOME wins over the home directory; a place that is relative is none."""
    assert default_root({"HOME": "/place/u"}) == "/place/u/.local/state/watchllm/spool"
    assert default_root({"HOME": "/h", "XDG_STATE_HOME": "/s"}) == "/s/watchllm/spool"
    with pytest.raises(SpoolUnusable, match="no home directory"):
        default_root({"HOME": "nowhere"})
