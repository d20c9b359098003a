"""`watchllm doctor` says what is wrong and what to do, and stores nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from collector import Reply

from watchllm import _cli, _doctor
from watchllm._runtime import CLOCK
from watchllm._spool import DiskSpool, Folder
from watchllm.testing import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

    from collector import Collector

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    monkeypatch.setenv("WATCHLLM_BASE_URL", collector.base_url)
    monkeypatch.setenv("WATCHLLM_API_KEY", "key-of-the-test")
    monkeypatch.setenv("WATCHLLM_PROJECT_ID", "proj-1")


def doctor(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """Run the command, which must end with the code; return what it prints."""
    assert _cli.main(["doctor", *arguments]) == code
    out = capsys.readouterr().out
    assert "key-of-the-test" not in out
    return out


def test_where_all_is_well_it_says_so(
    collector: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings, spool, network, clock and key are each found to be right; nothing is stored."""
    out = doctor(capsys, 0)
    (request,) = collector.requests

    for part in ("settings: project proj-1", "spool: ", "network: ", "clock: ", "key: opens"):
        assert f"✓ {part}" in out
    assert out.endswith("\nNothing is wrong.\n")
    assert request.headers["Authorization"] == "Bearer key-of-the-test"
    assert request.events() == [{"project_id": "proj-1"}]


@pytest.mark.parametrize(
    ("reply", "code", "said", "advice"),
    [
        (Reply(401), 1, "✗ The key is unknown (401).", "Set WATCHLLM_API_KEY"),
        (Reply(403), 1, "✗ The key does not open project proj-1 (403).", "belongs together"),
        (Reply(404), 1, "✗ There is no collector at", "base_url ends in /v1"),
        (Reply(200, b"<html>"), 1, "✗ There is no collector at", "base_url ends in /v1"),
        (Reply(302, headers={"Location": "/"}), 1, "✗ There is no collector at", "base_url"),
        (Reply(503), 0, "! The collector takes nothing at the moment (503).", "Events wait"),
        (Reply(400, {"error": {}}), 0, "✓ key: opens project proj-1", ""),
    ],
)
def test_each_answer_has_its_meaning(
    collector: Collector,
    capsys: pytest.CaptureFixture[str],
    reply: Reply,
    code: int,
    said: str,
    advice: str,
) -> None:
    """What the collector answers is put into a sentence, with what to do."""
    collector.replies.append(reply)
    out = doctor(capsys, code)

    assert said in out
    assert advice in out


@pytest.mark.parametrize(("seconds", "word"), [(3_600, "ahead of"), (-3_600, "behind")])
def test_a_clock_that_is_wrong_is_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seconds: int, word: str
) -> None:
    """A machine an hour off is told by how much and in which direction."""
    now = CLOCK.time_ns()
    clock = ManualClock(now + seconds * 1_000_000_000)
    monkeypatch.setattr("watchllm._doctor.CLOCK", clock)
    out = doctor(capsys, 1)

    assert f"s {word} the collector's." in out
    assert "NTP" in out


def test_a_collector_that_tells_no_time_is_taken_without(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the answer has no date that can be read, nothing is said about clocks."""
    monkeypatch.setattr("http.server.BaseHTTPRequestHandler.date_time_string", lambda _: "nonsense")
    out = doctor(capsys, 0)

    assert "clock" not in out
    assert "✓ key: opens project proj-1" in out


def test_nobody_there_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address where nobody listens, and a proxy that is none, are named."""
    out = doctor(capsys, 1, "--base-url", "http://127.0.0.1:9/v1")
    assert "✗ http://127.0.0.1:9/v1 cannot be reached: " in out
    assert "watchllm serve" in out
    assert out.endswith("\n1 of these must be mended.\n")
    monkeypatch.setenv("HTTP_PROXY", "ftp://proxy.example")

    assert "the proxy ftp://proxy.example" in doctor(capsys, 1)


def test_missing_and_wrong_settings_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a line of its own; a variable that cannot be used is wrong too."""
    monkeypatch.setenv("WATCHLLM_TIMEOUT", "never")
    assert "✗ WATCHLLM_TIMEOUT='never' is ignored" in doctor(capsys, 1)
    monkeypatch.delenv("WATCHLLM_API_KEY")
    monkeypatch.delenv("WATCHLLM_PROJECT_ID")
    out = doctor(capsys, 1)

    assert "✗ api_key is missing" in out
    assert "✗ project_id is missing" in out
    assert out.endswith("\n2 of these must be mended.\n")


def test_what_costs_something_is_a_warning(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    collector: Collector,
    tmp_path: Path,
) -> None:
    """Sampling, no redaction, a legacy, a full disk: said, though nothing is wrong with them."""
    monkeypatch.setenv("WATCHLLM_SAMPLE_RATE", "0.25")
    monkeypatch.setenv("WATCHLLM_REDACT_PII", "0")
    monkeypatch.setattr(_doctor, "LEAST_FREE_BYTES", float("inf"))
    spool = DiskSpool(
        Folder(str(tmp_path / "spool"), collector.base_url, "proj-1"), 1 << 28, ManualClock()
    )
    spool.append(b"J{}")
    spool.end()
    out = doctor(capsys, 0)

    assert "! Only 25.0% of the runs are kept." in out
    assert "! Personal data is not redacted." in out
    assert "! 1 events wait that ended processes left." in out
    assert "! The spool's disk has" in out


def test_a_spool_that_cannot_be_had_is_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Memory alone, by will or by need, is told with what it means."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    monkeypatch.setenv("WATCHLLM_SPOOL_DIR", str(in_the_way))
    assert "! There can be no spool on disk: " in doctor(capsys, 0)
    monkeypatch.setenv("WATCHLLM_DURABILITY", "memory")

    assert "! Events wait in memory alone." in doctor(capsys, 0)


def test_a_system_that_cannot_tell_its_free_space_is_taken_at_its_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where free space cannot be asked for, nothing is said about it."""
    monkeypatch.delattr(os, "statvfs")

    assert "The spool's disk" not in doctor(capsys, 0)


def test_a_client_that_is_off_needs_no_more_checks(
    collector: Collector, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With logging off that is all it says, and nobody is asked."""
    monkeypatch.setenv("WATCHLLM_ENABLED", "false")

    assert "! Logging is off: nothing is logged." in doctor(capsys, 0)
    assert collector.requests == []
