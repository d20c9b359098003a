"""`watchllm serve` as a process: what it prints, what survives it, and why it may not start."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import KEY, Server, prompt_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

PASSWORD = "a password of the tests"


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """Return status and JSON of a request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    try:
        connection.request(method, path, body, HEADERS)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def post(server: Server, events: list[dict[str, Any]]) -> int:
    """Post a batch and return the status."""
    return ask(server, "POST", "/v1/events/batch", json.dumps({"events": events}).encode())[0]


def stored(server: Server, run_id: str) -> list[str]:
    """Return the ids of all events of a run."""
    status, answer = ask(server, "GET", f"/v1/runs/{run_id}")
    return [event["event_id"] for event in answer["events"]] if status == 200 else []


class Load:
    """Threads that post batches to a run until the server is gone; they know what was answered."""

    def __init__(self, server: Server, run_id: str, threads: int = 4) -> None:
        self.acknowledged: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.others: list[int] = []
        self._server = server
        self._run_id = run_id
        self._lock = threading.Condition()
        self._threads = [threading.Thread(target=self._post) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, batches: int) -> None:
        """Return once so many batches of 20 have been answered."""
        with self._lock:
            assert self._lock.wait_for(lambda: len(self.acknowledged) >= 20 * batches, 30)

    def join(self) -> None:
        """Return once all threads have seen the end of the server."""
        for thread in self._threads:
            thread.join()

    def _post(self) -> None:
        status = 200
        while status == 200:
            # Two months: a group may be cut between two partitions.
            events = [
                prompt_call(run_id=self._run_id, timestamp=f"2026-1{n % 2}-05T00:00:00Z")
                for n in range(20)
            ]
            with self._lock:
                self.sent += events
            try:
                status = post(self._server, events)
            except (OSError, http.client.HTTPException):
                return
            with self._lock:
                if status == 200:
                    self.acknowledged += [event["event_id"] for event in events]
                else:
                    self.others.append(status)
                self._lock.notify_all()


def refusal(*arguments: str, **environment: str) -> str:
    """Return the sentence with which a server does not start; its exit code must be 2."""
    done = subprocess.run(
        [sys.executable, "-m", "watchllm_server", "serve", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr.strip()


def test_the_first_start_prints_a_project_and_a_key_once(tmp_path: Path) -> None:
    """The first start prints the lines to export, whose key works; the second prints no key."""
    environment = {"WATCHLLM_INIT_PROJECT_ID": "", "WATCHLLM_INIT_API_KEY": ""}
    first = Server(tmp_path, **environment)
    assert first.process.stdout is not None
    lines: dict[str, str] = {}
    while len(lines) < 3:
        line = first.process.stdout.readline()
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            lines[name] = value
    connection = http.client.HTTPConnection("127.0.0.1", first.port, timeout=100)
    connection.request(
        "GET", "/v1/runs", headers={"Authorization": f"Bearer {lines['WATCHLLM_API_KEY']}"}
    )
    status = connection.getresponse().status
    connection.close()
    first.stop()
    second = Server(tmp_path, **environment)
    assert ask(second, "GET", "/readyz")[0] == 200
    second.process.send_signal(signal.SIGTERM)
    rest, _ = second.process.communicate(timeout=100)

    assert status == 200
    assert lines["WATCHLLM_BASE_URL"] == f"http://127.0.0.1:{first.port}/v1"
    assert lines["WATCHLLM_PROJECT_ID"] == "default"
    assert "wllm_" not in second.first_line + rest


def test_a_given_project_and_key_work_and_are_not_printed(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """WATCHLLM_INIT_* set the project and the key, again at every start, in silence."""
    for _ in range(2):
        server = serve(tmp_path)
        status, answer = ask(server, "GET", "/v1/runs")
        server.process.send_signal(signal.SIGTERM)
        output = "".join(server.process.communicate(timeout=100))

        assert (status, answer["runs"]) == (200, [])
        assert KEY not in server.first_line + output


def test_sigterm_finishes_what_was_accepted(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Under load SIGTERM ends the process with 0, and every answered event is stored."""
    server = serve(tmp_path)
    load = Load(server, "sigterm")
    load.wait_for(5)
    code = server.stop(signal.SIGTERM)
    load.join()
    found = stored(serve(tmp_path), "sigterm")

    assert code == 0
    assert set(load.acknowledged) <= set(found)
    assert len(found) == len(set(found))
    assert set(load.others) <= {503}


@pytest.mark.timeout(240)  # six starts of a server, each with more to read
def test_sigkill_loses_nothing_that_was_answered(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """After SIGKILL each answered event is stored; when all are sent again, each is there once."""
    sent: list[dict[str, Any]] = []
    acknowledged: set[str] = set()
    for number in range(5):
        server = serve(tmp_path)
        load = Load(server, "sigkill")
        load.wait_for(3 + number)
        server.stop(signal.SIGKILL)
        load.join()
        sent += load.sent
        acknowledged |= set(load.acknowledged)

    server = serve(tmp_path)
    before = stored(server, "sigkill")
    answers = [post(server, sent[at : at + 100]) for at in range(0, len(sent), 100)]
    after = stored(server, "sigkill")

    assert acknowledged <= set(before)
    assert len(before) == len(set(before))
    assert set(answers) == {200}
    assert sorted(after) == sorted(event["event_id"] for event in sent)


def test_the_events_of_yesterday_are_there_after_a_restart(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """What was stored is read by the next process, and delivered again it is not stored twice."""
    events = [prompt_call(run_id="kept") for _ in range(10)]
    first = serve(tmp_path)
    assert post(first, events) == 200
    assert first.stop() == 0
    second = serve(tmp_path)
    assert post(second, events) == 200

    assert sorted(stored(second, "kept")) == sorted(event["event_id"] for event in events)


@pytest.mark.parametrize("run_id", ["%2e%2e", "a%2Fb", "../x", "%", "a b/ü"])
def test_an_address_is_decoded_once(
    serve: Callable[..., Server], tmp_path: Path, run_id: str
) -> None:
    """A run whose id looks like an encoded address is found over real HTTP."""
    from urllib.parse import quote  # noqa: PLC0415 - used here alone

    server = serve(tmp_path)
    post(server, [prompt_call(run_id=run_id, event_id=run_id)])

    assert stored(server, quote(run_id, safe="")) == [run_id]
    assert ask(server, "GET", f"/v1/events/{quote(run_id, safe='')}")[1]["run_id"] == run_id


def test_a_key_made_by_a_command_works_at_once(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """Projects and keys are made while the server runs, and the key opens its project."""
    server = serve(tmp_path)
    command = [sys.executable, "-m", "watchllm_server"]
    place = ["--data-dir", str(tmp_path)]
    subprocess.run(
        [*command, "projects", "create", "shop", *place], check=True, capture_output=True
    )
    made = subprocess.run(
        [*command, "keys", "create", "--project", "shop", *place],
        check=True,
        capture_output=True,
        text=True,
    )
    secret = made.stdout.strip().rpartition("=")[2]

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    connection.request("GET", "/v1/runs", headers={"Authorization": f"Bearer {secret}"})
    status = connection.getresponse().status
    connection.close()

    assert status == 200


def test_a_second_server_on_the_same_data_says_who_has_it(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """A second process on a data directory ends with 2 and names the process that owns it."""
    server = serve(tmp_path)

    sentence = refusal("--port", "0", "--data-dir", str(tmp_path))

    assert f"pid {server.process.pid}" in sentence
    assert str(tmp_path) in sentence
    assert ask(server, "GET", "/readyz")[0] == 200


def test_a_port_in_use_is_one_sentence_and_touches_no_data(tmp_path: Path) -> None:
    """A port that somebody listens on ends the start with 2, before a directory is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        sentence = refusal("--port", port, "--data-dir", str(tmp_path / "data"))

    assert f"127.0.0.1:{port}" in sentence
    assert "--port" in sentence
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "x" * 300])
def test_an_address_that_is_not_ours_is_one_sentence(tmp_path: Path, host: str) -> None:
    """A host that cannot be listened on ends the start with 2."""
    arguments = ["--host", host, "--port", "0", "--data-dir", str(tmp_path)]

    assert "--host" in refusal(*arguments, WATCHLLM_ADMIN_PASSWORD=PASSWORD)


def test_a_data_directory_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    """A file in the place of the directory ends the start with 2."""
    file = tmp_path / "file"
    file.write_text("x")

    for path in (file, file / "below"):
        assert "is not a directory" in refusal("--port", "0", "--data-dir", str(path))


@pytest.mark.skipif(
    not Path("/sys/kernel").is_dir(), reason="needs a directory nobody may write to"
)
def test_a_data_directory_without_permission_is_one_sentence() -> None:
    """A directory that cannot be written to, not even by root, ends the start with 2."""
    sentence = refusal("--port", "0", "--data-dir", "/sys/kernel/watchllm")

    assert "/sys/kernel/watchllm cannot be written to" in sentence


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"WATCHLLM_INIT_API_KEY": "short"}, "at least 16"),
        ({"WATCHLLM_INIT_PROJECT_ID": "a/b"}, "project id"),
        ({"WATCHLLM_MEMORY_MB": "1"}, "WATCHLLM_MEMORY_MB must be an integer from 200"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    """A setting that is not allowed ends the start with 2 and says what is."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "watchllm_server", "serve", "--port", "0"),
            *("--data-dir", str(tmp_path)),
        ],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_data_of_a_newer_version_is_left_alone(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """A store with a step of the schema that is not known here ends the start with 2."""
    server = serve(tmp_path)
    assert post(server, [prompt_call()]) == 200
    server.stop()
    program = (
        "import chdb, sys; c = chdb.connect(sys.argv[1]); "
        "c.query('INSERT INTO schema_migrations (version) VALUES (9999)'); c.close()"
    )
    events = str((tmp_path / "events").resolve())
    subprocess.run([sys.executable, "-c", program, events], check=True)

    done = subprocess.run(
        [
            *(sys.executable, "-m", "watchllm_server", "serve", "--port", "0"),
            *("--data-dir", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 2
    assert "newer version of WatchLLM (schema 9999)" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 64 MB, where that is allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("there is no mount")
    command = [mount, "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system may not be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(path: Path, leave: int) -> None:
    """Fill the disk of a file but for so many bytes."""
    size = shutil.disk_usage(path.parent).free - leave
    with path.open("wb") as file:
        for _ in range(size // 65_536):
            file.write(b"x" * 65_536)


def test_a_full_disk_is_one_sentence_at_the_start(small_disk: Path) -> None:
    """Without room for the empty store the start ends with 2 and says that the disk is full."""
    fill(small_disk / "ballast", 1_000_000)

    sentence = refusal("--port", "0", "--data-dir", str(small_disk / "data"))

    assert "full disk" in sentence


def test_a_disk_that_fills_up_is_503_until_there_is_room(
    serve: Callable[..., Server], small_disk: Path
) -> None:
    """On a full disk a batch is told to come back, reading goes on, and with room it is stored."""
    server = serve(small_disk / "data")
    assert post(server, [prompt_call(run_id="full", event_id="before")]) == 200
    fill(small_disk / "ballast", 100_000)
    large = [
        prompt_call(
            run_id="full", event_id=f"{n}", prompt="".join(str(uuid.uuid4()) for _ in range(300))
        )
        for n in range(100)
    ]

    full = post(server, large)
    while_full = stored(server, "full")
    (small_disk / "ballast").unlink()
    with_room = post(server, large)

    assert full == 503
    assert while_full == ["before"]
    assert with_room == 200
    assert len(stored(server, "full")) == 101
    server.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_it_listens_to_others_only_with_a_password(tmp_path: Path, host: str) -> None:
    """On an address that others reach it does not start without a password, and makes nothing."""
    data = tmp_path / "data"

    sentence = refusal("--host", host, "--port", "0", "--data-dir", str(data))

    assert "WATCHLLM_ADMIN_PASSWORD" in sentence
    assert not data.exists()


def test_a_weak_password_is_one_sentence_that_does_not_show_it(tmp_path: Path) -> None:
    """A password that is short, or one character again and again, ends the start with 2."""
    for weak in ("short-one", "zzzzzzzzzzzzzzzzz"):
        sentence = refusal("--data-dir", str(tmp_path), WATCHLLM_ADMIN_PASSWORD=weak)

        assert "12 characters or more" in sentence
        assert weak not in sentence


@pytest.mark.parametrize(
    "environment",
    [{"WATCHLLM_INIT_PROJECT_ID": "a/b"}, {"WATCHLLM_INIT_API_KEY": "too-short"}],
)
def test_a_first_project_or_key_that_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """An unfit WATCHLLM_INIT_* ends the start with one sentence and leaves no data behind."""
    data = tmp_path / "data"

    sentence = refusal("--port", "0", "--data-dir", str(data), **environment)

    assert "WATCHLLM_INIT_" in sentence
    assert not data.exists()


def test_only_the_owner_can_read_how_to_control_a_server(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """While it serves a file of mode 600 tells its secret; afterwards there is none."""
    server = serve(tmp_path)
    ask(server, "GET", "/readyz")
    path = tmp_path / "server.json"

    mode = path.stat().st_mode & 0o777
    server.stop()

    assert mode == 0o600
    assert not path.exists()
