"""The table of what was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from watchllm_server.demo.recorded import Gatewayed, Run
from watchllm_server.demo.table import figures, gateway_table, recorded_table

if TYPE_CHECKING:
    from rich.table import Table

STEP, ERROR = {"event_type": "agent_step"}, {"event_type": "error"}
CALL = {
    "event_type": "prompt_call",
    "tokens_input": 1200,
    "tokens_output": 300,
    "latency_ms": 41.4,
    "cost_usd": "0.00125",
}
REFUSED = {
    "event_type": "prompt_call",
    "tokens_input": 0,
    "tokens_output": 0,
    "latency_ms": 0.5,
    "cost_usd": None,
    "status": "error",
    "response_metadata": {"cache": "MISS", "http_status": 404},
}


def hit(**more: float) -> dict[str, Any]:
    """Return a call that the cache answered."""
    metadata = {"cache": "HIT", **more}
    return {
        **CALL,
        "latency_ms": 0.4,
        "cost_usd": "0",
        "status": "success",
        "response_metadata": metadata,
    }


def drawn(*runs: Run) -> list[str]:
    """Return the lines of the table of runs."""
    return lines_of(recorded_table(runs))


def lines_of(table: Table) -> list[str]:
    """Return a table's lines, drawn as wide as it wants to be."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def gatewayed(*calls: dict[str, Any]) -> dict[str, list[str]]:
    """Return the rows of the gateway's table by who answered."""
    lines = lines_of(gateway_table(Gatewayed(len(calls), calls)))
    assert max(map(len, lines)) <= 80 - 2
    return {
        who: line.removeprefix(who).split()
        for line in lines
        for who in ("the endpoint", "the cache", "Total")
        if line.startswith(who)
    }


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
    """From a second on the median reads in seconds; a short one is not shown as nothing."""
    assert figures(Run("r", "x.py", ({**CALL, "latency_ms": 12_340},)))[6] == "12.3 s"
    assert figures(Run("r", "x.py", ({**CALL, "latency_ms": 0.2},)))[6] == "<1 ms"


def test_the_gateways_table_tells_endpoint_and_cache_apart() -> None:
    """Calls that the cache answered have a row of their own, with what they saved, and cost 0."""
    rows = gatewayed(
        {**CALL, "status": "success", "response_metadata": {"cache": "MISS"}},
        REFUSED,
        hit(saved_usd=0.00125),
        hit(saved_usd=0.0005),
    )

    assert rows == {
        "the endpoint": ["2", "1", "1,200", "300", "$0.00125", "-", "21", "ms"],
        "the cache": ["2", "-", "2,400", "600", "$0.00000", "$0.00175", "<1", "ms"],
        "Total": ["4", "1", "3,600", "900", "$0.00125", "$0.00175", "<1", "ms"],
    }


def test_without_a_hit_nothing_is_saved() -> None:
    """An empty cache has a row of dashes, and the total says that nothing was saved."""
    rows = gatewayed({**CALL, "status": "success", "response_metadata": {"cache": "MISS"}})

    assert rows["the cache"] == ["-"] * 7
    assert rows["Total"][5] == "$0.00000"


def test_a_saving_that_nobody_knows_is_called_unknown() -> None:
    """One hit of unknown worth makes the sum unknown, never a lower one."""
    rows = gatewayed(hit(saved_usd=0.5), hit())

    assert rows["the cache"][5] == rows["Total"][5] == "unknown"
