"""A served process beside others that administer it: keys, sessions, logs and its config file."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from conftest import KEY, Server, prompt_call
from watchllm_server.clock import SystemClock
from watchllm_server.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Servers and commands as processes, each of which loads the engine: minutes on a busy machine.
pytestmark = pytest.mark.timeout(240)
PASSWORD = "a password of the tests"


def ask(
    server: Server, method: str, path: str, body: Any = None, **headers: str
) -> http.client.HTTPResponse:
    """Return the answer to a request on a connection of its own, read to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    content = body if isinstance(body, str) or body is None else json.dumps(body)
    sent = {"Content-Type": "application/json", **headers}
    with closing(connection):
        connection.request(method, path, content, sent)
        answer = connection.getresponse()
        answer.read()
        return answer


def test_a_key_revoked_by_another_process_stops_counting(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """The command revokes in a process of its own; the server refuses the key soon after.

    How soon, a second, is shown with a clock moved by hand in test_auth.py.
    """
    server = serve(tmp_path)
    bearer = {"Authorization": f"Bearer {KEY}"}
    assert ask(server, "GET", "/v1/runs", **bearer).status == 200
    command = (sys.executable, "-m", "watchllm_server", "keys", "revoke", "1")

    subprocess.run([*command, "--data-dir", str(tmp_path)], check=True, timeout=150)

    statuses = {200}
    while statuses == {200}:  # the test's own time limit ends a server that never heeds it
        statuses = {ask(server, "GET", "/v1/runs", **bearer).status}
    assert statuses == {401}


def test_the_last_use_of_a_key_is_written_by_the_end(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """A server that ends in order leaves in the database when each key was used."""
    server = serve(tmp_path)
    ask(server, "GET", "/v1/runs", Authorization=f"Bearer {KEY}")
    server.stop()

    with closing(Metadata(tmp_path / "metadata.db", SystemClock())) as metadata:
        ((key, _),) = metadata.all_keys()

    assert key.last_used_at is not None


def test_sessions_outlive_the_process(tmp_path: Path, serve: Callable[..., Server]) -> None:
    """A login outlives the server that took it, but not the password that it was made with."""
    first = serve(tmp_path, WATCHLLM_ADMIN_PASSWORD=PASSWORD)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask(first, "POST", "/login", urlencode({"password": PASSWORD}), **form)
    cookie = {"Cookie": (answer.headers["set-cookie"] or "").partition(";")[0]}
    page = "/projects/proj-tests/runs"
    assert ask(first, "GET", page, **cookie).status == 200
    first.stop()

    second = serve(tmp_path, WATCHLLM_ADMIN_PASSWORD=PASSWORD)
    same = ask(second, "GET", page, **cookie).status
    second.stop()
    third = serve(tmp_path, WATCHLLM_ADMIN_PASSWORD=f"{PASSWORD}, changed")
    other = ask(third, "GET", page, **cookie).status

    assert (same, other) == (200, 303)


def test_a_config_file_and_logs_of_json(tmp_path: Path) -> None:
    """The server takes its settings from a file, and logs each request as one object a line."""
    config = tmp_path / "watchllm.toml"
    config.write_text(
        f'port = 0\ndata_dir = "{tmp_path / "data"}"\nlog_format = "json"\nlog_level = "info"\n'
        f'init_project_id = "proj-tests"\ninit_api_key = "{KEY}"\n'
    )
    command = [sys.executable, "-m", "watchllm_server", "serve", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().split(",")[0].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
        with closing(connection):
            body = json.dumps({"events": [prompt_call(prompt="a secret")]})
            headers = {"Authorization": f"Bearer {KEY}"}
            connection.request("POST", "/v1/events/batch", body, headers)
            assert connection.getresponse().status == 200
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()

    lines = [json.loads(line) for line in errors.splitlines()]
    requests = [line for line in lines if line["logger"] == "watchllm_server.requests"]
    assert [(line["route"], line["status"]) for line in requests] == [("/v1/events/batch", 200)]
    assert "secret" not in errors
    assert KEY not in errors


def test_with_a_password_it_listens_to_others(tmp_path: Path, serve: Callable[..., Server]) -> None:
    """With a password it starts on every address; there no page opens without a login."""
    server = serve(tmp_path, WATCHLLM_HOST="0.0.0.0", WATCHLLM_ADMIN_PASSWORD=PASSWORD)
    answer = ask(server, "GET", "/projects/proj-tests/runs")

    assert answer.status == 303
    assert answer.headers["location"].startswith("/login")
