"""The logger says each problem once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from watchllm._log import Problems, log_everything_to_stderr, logger

if TYPE_CHECKING:
    from typing import Iterator


@pytest.fixture
def quiet_afterwards() -> Iterator[None]:
    """Take the handlers and the level of the logger back."""
    found = logging.getLogger("watchllm")
    handlers, level = list(found.handlers), found.level
    yield
    found.handlers[:] = handlers
    found.setLevel(level)


def test_a_problem_is_warned_of_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Of each kind the first report is a warning; the others are counted."""
    problems = Problems()
    for _ in range(3):
        problems.report("network", "The collector is away.")
    problems.report("other", "Something else.")

    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("WARNING", "The collector is away."),
        ("WARNING", "Something else."),
    ]
    assert problems.counts() == {"network": 3, "other": 1}


def test_a_solved_problem_is_told_with_its_count_and_warned_of_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The end of a problem is logged with how often it occurred; the next one is new."""
    caplog.set_level(logging.INFO, "watchllm")
    problems = Problems()
    problems.solved("network", "Back.")
    problems.report("network", "Away.")
    problems.report("network", "Away.")
    problems.solved("network", "Back.")
    problems.report("network", "Away.")
    problems.after_fork()

    assert [r.message for r in caplog.records] == [
        "Away.",
        "Back. (the problem before occurred 2 times)",
        "Away.",
    ]
    assert problems.counts() == {"network": 1}


@pytest.mark.usefixtures("quiet_afterwards")
def test_a_failing_handler_of_the_app_goes_no_further() -> None:
    """What a logging filter raises does not reach the app through the SDK."""

    def refuse(record: logging.LogRecord) -> bool:
        raise RuntimeError(record.message)

    handler = logging.StreamHandler()
    handler.addFilter(refuse)
    logger().addHandler(handler)

    Problems().report("network", "Away.")


@pytest.mark.usefixtures("quiet_afterwards")
def test_debug_shows_every_record_on_stderr_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The handler for debugging is added once, whoever asks again."""
    log_everything_to_stderr()
    log_everything_to_stderr()
    logger().debug("seen")

    assert capsys.readouterr().err.count("seen") == 1


@pytest.mark.usefixtures("quiet_afterwards")
def test_the_logger_is_silent_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """An app that configures no logging sees nothing on stderr."""
    found = logging.getLogger("watchllm")
    found.handlers[:] = []
    found.propagate = False
    try:
        logger().warning("unseen")
    finally:
        found.propagate = True

    assert capsys.readouterr().err == ""
