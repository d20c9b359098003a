"""The command `watchllm`."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from collector import Reply

from watchllm import _cli

if TYPE_CHECKING:
    from pathlib import Path

    from collector import Collector


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """Set the environment up for the collector."""
    monkeypatch.setenv("WATCHLLM_BASE_URL", collector.base_url)
    monkeypatch.setenv("WATCHLLM_API_KEY", "key-of-the-test")
    monkeypatch.setenv("WATCHLLM_PROJECT_ID", "proj-1")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_commands_and_examples(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a command, or asked for help, it teaches and exits with 0."""
    assert _cli.main(arguments) == 0
    out = capsys.readouterr().out

    assert "send " in out
    assert "version " in out
    assert "examples:" in out
    assert "WATCHLLM_API_KEY" in out


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_the_version_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The version is that of the distribution."""
    assert _cli.main(arguments) == 0
    assert capsys.readouterr().out.startswith(f"watchllm {version('watchllm')} (python-3.")


@pytest.mark.usefixtures("settings")
def test_send_says_that_the_server_took_it(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    """One event with the given text arrives, whatever the sampling of the shell is."""
    assert _cli.main(["send", "--message", "hello", "--project-id", "proj-2"]) == 0
    (event,) = collector.events()
    out = capsys.readouterr().out

    assert event["output_data"] == {"message": "hello"}
    assert event["project_id"] == "proj-2"
    assert f"took event {event['event_id']} of run watchllm-send in project proj-2." in out


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(401), "does not know the key (401)"),
        (Reply(403), "refused the key for this project (403)"),
        (Reply(400), "answered 400"),
        (Reply(413), "takes no body of this size (413)"),
        (Reply(404), "Is base_url right?"),
        (
            Reply(content={"errors": [{"index": 0, "code": "wrong_project", "message": "no"}]}),
            "did not take the event: wrong_project no",
        ),
    ],
)
def test_send_says_why_the_server_did_not_take_it(
    collector: Collector, capsys: pytest.CaptureFixture[str], reply: Reply, said: str
) -> None:
    """Each refusal is one sentence on stderr, without the key, and exit code 1."""
    collector.replies += [reply] * 50

    assert _cli.main(["send", "--timeout", "1"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "key-of-the-test" not in captured.err


@pytest.mark.usefixtures("settings")
def test_send_says_that_nobody_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """An address without a server is named, with what the network said."""
    assert _cli.main(["send", "--base-url", "http://127.0.0.1:9", "--timeout", "1"]) == 1
    assert "http://127.0.0.1:9/v1 could not be reached" in capsys.readouterr().err


@pytest.mark.usefixtures("settings")
def test_send_says_that_nobody_answers(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that is silent is told apart from one that is away."""
    import threading

    let_go = threading.Event()
    collector.replies.append(Reply(wait_for=let_go))

    assert _cli.main(["send", "--timeout", "0.0001"]) == 1
    let_go.set()
    error = capsys.readouterr().err
    assert "did not answer in time" in error or "could not be reached" in error


def test_send_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without settings it names those that it needs and exits with 2."""
    assert _cli.main(["send"]) == 2
    assert "api_key is missing: pass it or set WATCHLLM_API_KEY" in capsys.readouterr().err


def test_help_of_a_command_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """`watchllm send --help` tells about send."""
    with pytest.raises(SystemExit) as ended:
        _cli.main(["send", "--help"])

    assert ended.value.code == 0
    assert "example: watchllm send" in capsys.readouterr().out


def test_a_command_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped command gets a sentence and exit code 2."""
    assert _cli.main(["snd"]) == 2
    assert "There is no command 'snd'" in capsys.readouterr().err


def test_as_a_module_it_is_the_same_command() -> None:
    """`python -m watchllm` and the console command behave alike; importing it runs nothing."""
    importlib.import_module("watchllm.__main__")
    command = [sys.executable, "-m", "watchllm", "version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)

    assert done.stdout.startswith(f"watchllm {version('watchllm')} (python-3.")


PLUGIN = """
COMMANDS = {"serve": "Start a server", "greet": "Say hello"}

def main(argv):
    print("plugin got", argv)
    return 7
"""


def install(folder: Path, name: str, module: str, code: str | None) -> None:
    """Write a distribution that adds commands."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[watchllm.commands]\n{name} = {module}\n")
    if code is not None:
        (folder / f"{module}.py").write_text(code)


def test_other_packages_add_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command of another package is listed and run with its arguments; a broken one is named."""
    install(tmp_path, "greeter", "watchllm_test_greeter", PLUGIN)
    install(tmp_path, "broken", "watchllm_test_broken", None)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert _cli.main(["greet", "you"]) == 7
    assert _cli.main(["grumble"]) == 2
    assert _cli.main(["--help"]) == 0
    captured = capsys.readouterr()
    assert "plugin got ['greet', 'you']" in captured.out
    assert "Say hello" in captured.out
    assert "The commands of watchllm_test_broken cannot be loaded" in captured.err


def test_own_commands_load_no_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command of the SDK's own does not import what other packages add."""
    install(tmp_path, "loud", "watchllm_test_loud", "raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert _cli.main(["version"]) == 0
    assert "imported" not in capsys.readouterr().err


def test_a_command_of_the_server_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the server is not installed, its commands name the extra that brings it."""
    monkeypatch.setattr(_cli, "GROUP", "watchllm.no-such-group")

    assert _cli.main(["serve"]) == 2
    assert 'pip install "watchllm[server]"' in capsys.readouterr().err


def test_doctor_of_a_server_is_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`doctor --server` runs what the server's package adds, and names the extra without it."""
    code = PLUGIN.replace('"greet": "Say hello"', '"doctor": "Examine a server"')
    install(tmp_path, "greeter", "watchllm_test_doctor", code)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert _cli.main(["doctor", "--server"]) == 7
    monkeypatch.setattr(_cli, "GROUP", "watchllm.no-such-group")
    assert _cli.main(["doctor", "--server"]) == 2

    captured = capsys.readouterr()
    assert "plugin got ['doctor', '--server']" in captured.out
    assert 'pip install "watchllm[server]"' in captured.err
