"""`watchllm export` and `watchllm import` against a real server, and what stops them."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from conftest import KEY, Server, prompt_call
from watchllm_server.commands import run
from watchllm_server.errors import TransferError
from watchllm_server.transfer.connection import Server as Target
from watchllm_server.transfer.upload import upload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server, and return the address that clients are given."""
    server = Server(tmp_path_factory.mktemp("transfer"))
    yield f"http://127.0.0.1:{server.port}/v1"
    server.stop()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Set the variables that both commands read."""
    monkeypatch.setenv("WATCHLLM_API_KEY", KEY)
    monkeypatch.setenv("WATCHLLM_BASE_URL", request.getfixturevalue("address"))


def written(path: Path, *events: Any) -> Path:
    """Write events as JSON lines."""
    path.write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    return path


def test_what_was_imported_is_exported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Events that go in as JSON lines come out as they were, and again a second time."""
    events = [
        prompt_call(event_id=f"round-{n}", run_id="round", prompt=f"größe {n}", own=[1.5, None])
        for n in range(1_201)
    ]
    source, target = written(tmp_path / "in.jsonl", *events), tmp_path / "out.jsonl"

    assert run(["import", str(source)]) == 0
    assert run(["export", "--run-id", "round", "-o", str(target)]) == 0
    assert run(["import", str(target)]) == 0
    assert run(["export", "--run-id", "round"]) == 0

    found = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert {each["event_id"] for each in found} == {each["event_id"] for each in events}
    assert len(found) == len(events)
    for each in found:
        del each["cost_usd"], each["project_id"]
    expected = {each["event_id"]: each | {"env": "development", "tags": []} for each in events}
    assert {each["event_id"]: each for each in found} == expected
    assert capfd.readouterr().out == target.read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_a_compressed_file_is_unpacked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that ends in .gz is read as what it holds, and empty lines are passed over."""
    path = tmp_path / "in.jsonl.gz"
    event = json.dumps(prompt_call(event_id="packed", run_id="packed"))
    path.write_bytes(gzip.compress(f"\n{event}\n\n".encode()))

    assert run(["import", str(path)]) == 0
    assert "Imported 1 events; 0 were refused." in capfd.readouterr().err


def test_what_is_refused_is_named_by_its_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Good lines are stored, the others told with number and reason, and the exit code is 1."""
    path = tmp_path / "in.jsonl"
    good, bad = (prompt_call(event_id=name, run_id="mixed") for name in ("good", "bad"))
    bad["timestamp"] = "yesterday"
    path.write_text(f"[]\n{json.dumps(good)}\n{json.dumps(bad)}\nno json\n", "utf-8")

    assert run(["import", str(path)]) == 1
    told = capfd.readouterr().err
    assert "Imported 1 events; 3 were refused." in told
    for line in ("line 1: ", "line 3: `timestamp`", "line 4: "):
        assert line in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "--base-url", "http://127.0.0.1:1/v1"], "cannot be reached"),
        (["export", "--base-url", "nowhere"], "--base-url must be"),
        (["export", "--api-key", "wllm_wrong"], "refuses the key"),
        (["export", "--api-key", ""], "WATCHLLM_API_KEY"),
        (["export", "--from", "yesterday"], "date_from"),
        (["export", "-o", "/nowhere/events.jsonl"], "cannot be written"),
        (["import", "/nowhere/events.jsonl"], "cannot be read"),
        (["import", "/dev/null", "--api-key", ""], "WATCHLLM_API_KEY"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    arguments: list[str], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What stops a command is one sentence on standard error and the exit code 2."""
    assert run(arguments) == 2

    out, err = capfd.readouterr()
    assert out == ""
    assert told in err


class Busy(BaseHTTPRequestHandler):
    """Answer with what is left of a list of statuses, the last one for ever."""

    statuses: ClassVar[list[int]] = []
    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        events = json.loads(self.bodies[-1])["events"]
        answer = {"total_processed": len(events), "errors": []}
        body = json.dumps(answer if status == 200 else {"error": {"message": "Busy."}}).encode()
        self.send_response(status)
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def busy() -> Iterator[str]:
    """Start a server that answers as a test says."""
    server = HTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_busy_server_is_asked_again(busy: str) -> None:
    """429 and 503 are waited for as long as they say, and the same batch is sent again."""
    Busy.statuses[:], Busy.bodies[:] = [429, 503, 200], []
    waits: list[float] = []
    line = json.dumps(prompt_call()).encode()

    result = upload(Target(busy, KEY), [line], lambda _: None, sleep=waits.append)

    assert (result.stored, waits) == (1, [7, 7])
    assert len(set(Busy.bodies)) == 1


def test_a_server_that_stays_away_ends_the_import(busy: str) -> None:
    """After its patience without progress an import ends, and says that nothing doubles."""
    Busy.statuses[:], Busy.bodies[:] = [503], []

    with pytest.raises(TransferError, match="nothing is stored twice"):
        upload(
            Target(busy, KEY), [b"{}"], lambda _: None, patience=20, sleep=lambda _: None
        )  # fmt: skip

    assert len(Busy.bodies) == 4


def test_a_key_is_not_shown() -> None:
    """What stands for a server does not show the key."""
    assert KEY not in repr(Target("http://127.0.0.1/v1", KEY))
