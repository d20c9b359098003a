"""The commands `watchllm providers`, `watchllm prices` and `watchllm limits`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from watchllm_server.cli import main
from watchllm_server.clock import SystemClock
from watchllm_server.credentials import ProjectKeys
from watchllm_server.metadata import Metadata
from watchllm_server.secrets import load_secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEY = "sk-planted-0123456789-abcdefgh"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the commands work on a data directory of their own, with one project."""
    folder = tmp_path / "data"
    monkeypatch.setenv("WATCHLLM_DATA_DIR", str(folder))
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["projects", "create", "shop"]) == 0
    return folder


def told(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    """Run a command and return what it printed."""
    capsys.readouterr()
    assert main(argv) == code
    output = capsys.readouterr()
    return output.out + output.err


def store_key(folder: Path) -> str:
    """Store a key as a shell does, and return all that was printed."""
    done = subprocess.run(
        [sys.executable, "-m", "watchllm_server", "providers", "set", "openai", "--project=shop"],
        input=f"{_KEY}\n",
        env={**os.environ, "WATCHLLM_DATA_DIR": str(folder)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_a_key_is_read_from_the_input_and_stored(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server's keys hold what the command stored; no output shows more than its ending."""
    said = store_key(data)
    listed = told(capsys, "providers", "list")

    metadata = Metadata(data / "metadata.db", SystemClock())
    keys = ProjectKeys(metadata, load_secret(data))
    keys.refresh()
    metadata.close()
    assert keys.key("shop", "openai") == _KEY
    assert "(...efgh)" in said
    assert _KEY not in said + listed
    openai = next(line for line in listed.splitlines() if line.startswith("openai "))
    assert "https://api.openai.com/v1" in openai
    assert "shop" in openai


def test_a_key_is_removed_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A removed key is listed no more, and cannot be removed again."""
    store_key(data)

    assert "Removed" in told(capsys, "providers", "remove", "openai", "--project", "shop")
    again = told(capsys, "providers", "remove", "openai", "--project", "shop", code=2)
    assert "has no key for openai" in again


def test_the_list_shows_what_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Providers of the environment and of a config file are listed with whose key they have."""
    config = tmp_path / "watchllm.toml"
    config.write_text(f'[providers.groq]\napi_key = "{_KEY}"\n')
    monkeypatch.setenv("WATCHLLM_PROVIDER_MINE_BASE_URL", "http://127.0.0.1:9/v1")

    lines = told(capsys, "providers", "list", "--config", str(config)).splitlines()

    row = {line.split()[0]: line for line in lines}
    assert "the server" in row["groq"]
    assert "needs none" in row["mine"]
    assert "none" in row["anthropic"]
    assert _KEY not in "".join(lines)


def test_keys_under_another_secret_are_told(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list says whose keys cannot be read, and what to do."""
    store_key(data)
    monkeypatch.setenv("WATCHLLM_SECRET_KEY", "another-secret-of-32-characters-or-more")

    assert "Keys of shop were stored under another secret key" in told(capsys, "providers", "list")


@contextmanager
def answering(status: int, **headers: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve one status to every request, and note the headers that came."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("provider", "header", "value"),
    [
        ("openai", "authorization", f"Bearer {_KEY}"),
        ("anthropic", "x-api-key", _KEY),
        ("azure", "api-key", _KEY),
    ],
)
def test_a_provider_is_asked_with_the_key_as_it_wants_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    provider: str,
    header: str,
    value: str,
) -> None:
    """The test sends the key in the provider's own header, and says whose it was."""
    with answering(200) as (url, asked):
        monkeypatch.setenv(f"WATCHLLM_PROVIDER_{provider.upper()}_BASE_URL", url)
        monkeypatch.setenv(f"WATCHLLM_PROVIDER_{provider.upper()}_API_KEY", _KEY)
        said = told(capsys, "providers", "test", provider)

    assert (asked[0]["path"], asked[0][header]) == ("/v1/models", value)
    assert "asked with the server's key: it works." in said
    assert _KEY not in said


def test_a_project_s_key_wins_over_the_server_s(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test uses the key that a call of the project would use."""
    store_key(data)
    with answering(200) as (url, asked):
        monkeypatch.setenv("WATCHLLM_PROVIDER_OPENAI_BASE_URL", url)
        monkeypatch.setenv("WATCHLLM_PROVIDER_OPENAI_API_KEY", "the-server-s-own-key")
        said = told(capsys, "providers", "test", "openai", "--project", "shop")

    assert asked[0]["authorization"] == f"Bearer {_KEY}"
    assert "asked with the key of project shop" in said


@pytest.mark.parametrize(
    ("status", "words"), [(401, "refuses the key (401)"), (500, "answers 500")]
)
def test_what_does_not_work_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    words: str,
) -> None:
    """A provider that refuses or fails is told in words, with exit code 1."""
    with answering(status) as (url, _):
        monkeypatch.setenv("WATCHLLM_PROVIDER_MINE_BASE_URL", url)
        assert words in told(capsys, "providers", "test", "mine", code=1)


def test_no_key_is_carried_to_another_host(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A redirection is an answer like another: nobody is asked where it leads."""
    with (
        answering(200) as (elsewhere, carried),
        answering(302, Location=f"{elsewhere}/models") as (url, _),
    ):
        monkeypatch.setenv("WATCHLLM_PROVIDER_MINE_BASE_URL", url)
        monkeypatch.setenv("WATCHLLM_PROVIDER_MINE_API_KEY", _KEY)
        said = told(capsys, "providers", "test", "mine", code=1)

    assert "answers 302" in said
    assert carried == []


def test_a_provider_that_is_away_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address where nobody listens is a sentence and exit code 1."""
    monkeypatch.setenv("WATCHLLM_PROVIDER_MINE_BASE_URL", "http://127.0.0.1:1/v1")

    assert "cannot be reached" in told(capsys, "providers", "test", "mine", code=1)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["providers", "test", "nobody"], "WATCHLLM_PROVIDER_NOBODY_BASE_URL"),
        (["providers", "remove", "openai", "--project", "none"], "no project 'none'"),
        (["providers", "remove", "My Own", "--project", "shop"], "a provider's name has"),
        (["limits", "remove", "usd", "day", "--project", "shop"], "no such limit"),
        (["limits", "set", "usd", "day", "1", "--project", "none"], "no project 'none'"),
        (["limits", "set", "usd", "day", "x", "--project", "shop"], "an amount of US dollars"),
        (
            ["limits", "set", "usd", "day", "1", "--project", "shop", "--key", "1", "--user", "u"],
            "one of --key and --user",
        ),
        (["prices", "remove", "gpt-4o"], "No such price"),
        (["prices", "where", "gpt-4o", "--project", "none"], "no project 'none'"),
        (["prices", "set", "m", "--input", "free", "--output", "1"], "US dollars a million"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    capsys: pytest.CaptureFixture[str], argv: list[str], sentence: str
) -> None:
    """A wrong name or value ends the command with a sentence and exit code 2."""
    assert sentence in told(capsys, *argv, code=2)


def test_a_price_is_set_listed_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    """`where` says the price that a call would have, and where it comes from, at each step."""
    where = ("prices", "where", "gpt-4o", "--project", "shop")
    assert "openai/gpt-4o in genai-prices" in told(capsys, *where)

    told(capsys, "prices", "set", "gpt-4o", "--input", "1", "--output", "2")
    assert "set for every project" in told(capsys, *where)
    own = ("--project", "shop", "--provider", "azure")
    told(capsys, "prices", "set", "GPT-4o", "--input", "0.5", "--output", "2", *own)
    assert "$1 input" in told(capsys, *where)
    nearest = told(capsys, *where, "--provider", "azure")
    assert "$0.5 input" in nearest
    assert "set for project shop at azure" in nearest

    listed = told(capsys, "prices", "list")
    assert "set for every project" in listed
    assert "set for project shop" in listed
    told(capsys, "prices", "remove", "gpt-4o", *own)
    told(capsys, "prices", "remove", "gpt-4o")
    assert "in genai-prices" in told(capsys, *where)
    assert "No price was set" in told(capsys, "prices", "list")


def test_an_unknown_price_says_how_to_set_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A model without a price is told with the command that gives it one, and exit code 1."""
    said = told(capsys, "prices", "where", "my-own", code=1)

    assert "watchllm prices set my-own" in said


def test_the_lists_are_searched(capsys: pytest.CaptureFixture[str]) -> None:
    """A search and a provider's list show prices with their source."""
    found = told(capsys, "prices", "search", "gpt-4o", "mini")
    groq = told(capsys, "prices", "list", "--provider", "groq")

    assert "gpt-4o-mini" in found
    assert "genai-prices" in found
    assert "llama" in groq
    assert "no model named like" in told(capsys, "prices", "search", "nonesuch")


def test_limits_are_set_listed_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    """A limit of the project, of each user and one that warns stand beside each other."""
    of_shop = ("--project", "shop")
    told(capsys, "keys", "create", *of_shop)
    assert "There is no limit" in told(capsys, "limits", "list")
    told(capsys, "limits", "set", "usd", "month", "50", *of_shop)
    told(capsys, "limits", "set", "usd", "month", "40.5", "--warn", *of_shop)
    told(capsys, "limits", "set", "requests", "minute", "60", "--user", "*", *of_shop)
    told(capsys, "limits", "set", "tokens", "day", "1000", "--key", "1", *of_shop)

    listed = " ".join(told(capsys, "limits", "list", *of_shop).split())
    assert "shop all calls 50 usd month calls are refused" in listed
    assert "shop all calls 40.5 usd month an alert is recorded" in listed
    assert "shop each user 60 requests minute calls are refused" in listed
    assert "shop key 1 1000 tokens day calls are refused" in listed

    told(capsys, "limits", "remove", "usd", "month", "--warn", *of_shop)
    listed = told(capsys, "limits", "list")
    assert "alert" not in listed
    assert "50 usd" in listed
