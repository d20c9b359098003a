"""The table of what was recorded."""

from __future__ import annotations

from rich.console import Console
from watchllm_server.demo.recorded import Run
from watchllm_server.demo.table import figures, recorded_table

STEP, ERROR = {"event_type": "agent_step"}, {"event_type": "error"}
CALL = {
    "event_type": "prompt_call",
    "tokens_input": 1200,
    "tokens_output": 300,
    "latency_ms": 41.4,
    "cost_usd": "0.00125",
}


def drawn(*runs: Run) -> list[str]:
    """Return the table's lines, drawn as wide as it wants to be."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(recorded_table(runs))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_run_is_a_row_and_the_last_line_sums_up() -> None:
    """A row names program and run with its figures; totals are over all runs."""
    lines = drawn(
        Run("run-1", "agent.py", (CALL, CALL, STEP, ERROR)),
        Run("run-2", "chat.py", ({**CALL, "latency_ms": 20_000, "tokens_input": 1},)),
    )

    assert [line.split() for line in lines if line[:3] in {"age", "cha", "Tot"}] == [
        ["agent", "run-1", "2", "1", "1", "2,400", "600", "$0.00250", "41", "ms"],
        ["chat", "run-2", "1", "-", "-", "1", "300", "$0.00125", "20.0", "s"],
        ["Total", "2", "runs", "3", "1", "1", "2,401", "900", "$0.00375", "41", "ms"],
    ]


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    """With long names, large counts and an indent of two, no line is wider than 80 columns."""
    busy = {**CALL, "tokens_input": 123_456, "tokens_output": 123_456, "latency_ms": 999}

    lines = drawn(Run("run-0123456789-abcdef", "research_agent.py", (busy,)))

    assert max(map(len, lines)) <= 80 - 2
    assert any("run-…abcdef" in line for line in lines)


def test_what_is_unknown_is_called_unknown() -> None:
    """A price or a count that nobody knows is a word, never a zero."""
    unknown = {**CALL, "cost_usd": None, "tokens_input": None, "latency_ms": None}

    assert figures(Run("r", "chat.py", (unknown,))) == (
        "1", "-", "-", "unknown", "300", "unknown", "unknown",
    )  # fmt: skip


def test_a_run_without_calls_has_dashes() -> None:
    """Where there is no call there is no cost to know."""
    assert figures(Run("r", "support.py", (ERROR,))) == ("-", "-", "1", "-", "-", "-", "-")


def test_a_tiny_cost_is_not_shown_as_nothing() -> None:
    """An amount too small for the column says so; a call that was free costs nothing."""
    tiny, free = ({**CALL, "cost_usd": cost} for cost in ("0.0000001", "0"))

    assert figures(Run("r", "x.py", (tiny,)))[5] == "<$0.00001"
    assert figures(Run("r", "x.py", (free,)))[5] == "$0.00000"


def test_a_long_latency_is_given_in_seconds() -> None:
    """From a second on the median reads in seconds."""
    assert figures(Run("r", "x.py", ({**CALL, "latency_ms": 12_340},)))[6] == "12.3 s"
