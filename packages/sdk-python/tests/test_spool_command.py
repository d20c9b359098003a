"""`watchllm spool` shows, sends and deletes what ended processes left, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable

import pytest
from collector import Reply

from watchllm import _cli
from watchllm._spool import DiskSpool, Folder
from watchllm.testing import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

    from collector import Collector

Leave = Callable[..., Folder]


@pytest.fixture
def leave(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, tmp_path: Path
) -> Callable[..., Folder]:
    """Set the environment up; return a function that leaves events as an ended process does."""
    monkeypatch.setenv("WATCHLLM_BASE_URL", collector.base_url)
    monkeypatch.setenv("WATCHLLM_API_KEY", "key-of-the-test")
    monkeypatch.setenv("WATCHLLM_PROJECT_ID", "proj-1")

    def left(*names: str, project: str = "proj-1") -> Folder:
        folder = Folder(str(tmp_path / "spool"), collector.base_url, project)
        spool = DiskSpool(folder, 1 << 28, ManualClock())
        for name in names:
            spool.append(b'J{"prompt":"%b"}' % name.encode())
        spool.end()
        return folder

    return left


@pytest.fixture
def living(leave: Leave) -> DiskSpool:
    """Return the spool of a process that lives, with one event in it."""
    spool = DiskSpool(leave("left"), 1 << 28, ManualClock())
    spool.append(b'J{"prompt":"held"}')
    return spool


def run(*arguments: str) -> int:
    """Run the command."""
    return _cli.main(["spool", *arguments])


def test_an_empty_spool_is_said_to_be_empty(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing was ever logged, status says where it looked."""
    assert run("status") == 0
    out = capsys.readouterr().out

    assert out == f"The spool is in {os.environ['WATCHLLM_SPOOL_DIR']}\nNothing waits in it.\n"


def test_status_tells_what_waits_for_which_project(
    living: DiskSpool, leave: Leave, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events of living processes and of ended ones are counted apart, by project."""
    folder = leave("a", "b", project="proj-2")
    (path,) = folder.owners()
    (name,) = (name for name in os.listdir(path) if name.endswith(".seg"))
    with open(os.path.join(path, "000009.seg"), "wb") as file:
        file.write(b"no segment")

    assert run("status") == 0
    out = capsys.readouterr().out
    assert name == "000001.seg"
    assert "project proj-1 → http://127.0.0.1:" in out
    assert "        1 events of 1 living processes, which send them\n        1" not in out
    assert out.count("1 events of 1 living processes") == 1
    assert "2 events of processes that have ended" in out
    assert "watchllm spool drain" in out
    living.end()


def test_drain_sends_what_ended_processes_left(
    living: DiskSpool, leave: Leave, collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything left is delivered once, and what a living process holds stays its own."""
    leave("a", "b")

    assert run("drain") == 0
    assert sorted(event["prompt"] for event in collector.events()) == ["a", "b", "left"]
    assert f"{collector.base_url} took 3 events of project proj-1." in capsys.readouterr().out
    assert living.waiting() == 1
    living.end()
    assert run("drain") == 0
    assert [event["prompt"] for event in collector.events()][3:] == ["held"]
    assert run("drain") == 0
    assert "Nothing was left for project proj-1" in capsys.readouterr().out


@pytest.mark.usefixtures("leave")
def test_drain_says_why_it_cannot(
    leave: Leave, collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused key ends it at once, with a sentence; everything stays in the spool."""
    folder = leave("a")
    collector.replies.append(Reply(401))

    assert run("drain") == 1
    said = capsys.readouterr().err
    assert "does not know the key (401)" in said
    assert "0 of at least 1 events were sent" in said
    assert len(folder.owners()) == 1
    assert run("drain", "--timeout", "20") == 0


@pytest.mark.usefixtures("leave")
def test_drain_ends_in_time(
    leave: Leave, collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    """A collector that asks for more time than there is leaves everything in the spool."""
    leave("a")
    collector.replies += [Reply(503, headers={"Retry-After": "60"})]

    assert run("drain", "--timeout", "0.05") == 1
    assert "stay in the spool" in capsys.readouterr().err


def test_drain_tells_what_was_refused(
    leave: Leave, collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events that the collector will not take are gone, and that is said."""
    leave("a", "b")
    error = {"index": 0, "code": "invalid", "message": "m"}
    collector.replies.append(Reply(content={"success": True, "errors": [error]}))

    assert run("drain") == 1
    captured = capsys.readouterr()
    assert "took 1 events" in captured.out
    assert "1 events were refused or unreadable" in captured.err


def test_purge_deletes_only_when_told_to(
    living: DiskSpool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --yes it says what would be deleted; living processes are left alone."""
    assert run("purge") == 0
    assert "1 events of project proj-1 for http://127.0.0.1:" in capsys.readouterr().out
    assert run("purge", "--yes") == 0
    out = capsys.readouterr().out

    assert "were deleted." in out
    assert "1 events of 1 living processes were left alone." in out
    assert living.waiting() == 1
    living.end()
    assert run("purge", "--yes", "--spool-dir", os.environ["WATCHLLM_SPOOL_DIR"]) == 0
    assert "living" not in capsys.readouterr().out


def test_what_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without settings, or without a directory, it says what to set."""
    assert run("drain") == 2
    assert "api_key is missing: pass it or set WATCHLLM_API_KEY" in capsys.readouterr().err
    monkeypatch.delenv("WATCHLLM_SPOOL_DIR")
    monkeypatch.setenv("HOME", "nowhere")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)

    assert run("status") == 1
    assert capsys.readouterr().err == "There is no spool: there is no home directory.\n"
