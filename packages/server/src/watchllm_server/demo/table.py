"""The tables of what was recorded."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from watchllm_server.demo.recorded import Gatewayed, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = "unknown"
NONE = "-"
RUN_WIDTH = 11
SMALLEST = Decimal("0.00001")
SECOND = 1000


def recorded_table(runs: Sequence[Run]) -> Table:
    """Return a table with a row for each run and a line of totals."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, padding=0)
    for name in ("Program", "Run"):
        table.add_column(name, no_wrap=True, vertical="bottom")
    for name in ("Calls", "Steps", "Errors", "Tokens\nin", "Tokens\nout", "Cost", "p50"):
        table.add_column(name, justify="right", no_wrap=True, vertical="bottom")
    for run in runs:
        table.add_row(run.program.removesuffix(".py"), shortened(run.run_id), *figures(run))
    table.add_section()
    everything = Run("", "", tuple(event for run in runs for event in run.events))
    what = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    table.add_row("Total", what, *figures(everything), style="bold")
    return table


def gateway_table(found: Gatewayed) -> Table:
    """Return a table of who answered the calls through the gateway: the endpoint, or the cache."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, padding=0)
    table.add_column("Answered by", no_wrap=True, vertical="bottom")
    for name in ("Calls", "Failed", "Tokens\nin", "Tokens\nout", "Cost", "Saved", "p50"):
        table.add_column(name, justify="right", no_wrap=True, vertical="bottom")
    rows = (
        ("the endpoint", found.asked, NONE),
        ("the cache", found.kept, dollars(found.saved()) if found.kept.events else NONE),
    )
    for who, run, saved in rows:
        table.add_row(who, *gateway_figures(run, saved))
    table.add_section()
    everything = gateway_figures(Run("", "", found.calls), dollars(found.saved()))
    table.add_row("Total", *everything, style="bold")
    return table


def gateway_figures(run: Run, saved: str) -> tuple[str, ...]:
    """Return the figures of calls through the gateway as they stand in their row."""
    if not run.events:
        return (NONE, NONE, NONE, NONE, NONE, saved, NONE)
    return (
        count(len(run.events)),
        count(sum(call.get("status") != "success" for call in run.events)),
        count(run.tokens("input")),
        count(run.tokens("output")),
        dollars(run.cost()),
        saved,
        milliseconds(run.latency_p50_ms()),
    )


def shortened(run_id: str) -> str:
    """Return a run id that fits its column: a long one keeps its head and its end."""
    return run_id if len(run_id) <= RUN_WIDTH else f"{run_id[:4]}…{run_id[-6:]}"


def figures(run: Run) -> tuple[str, ...]:
    """Return the figures of a run as they stand in its row."""
    calls, steps, errors = (
        len(run.of_type(event_type)) for event_type in ("prompt_call", "agent_step", "error")
    )
    if not calls:
        return (NONE, count(steps), count(errors), NONE, NONE, NONE, NONE)
    return (
        count(calls),
        count(steps),
        count(errors),
        count(run.tokens("input")),
        count(run.tokens("output")),
        dollars(run.cost()),
        milliseconds(run.latency_p50_ms()),
    )


def count(number: int | None) -> str:
    """Return a count with its thousands apart; nothing stands out as a dash."""
    if number is None:
        return UNKNOWN
    return f"{number:,}" if number else NONE


def dollars(amount: Decimal | None) -> str:
    """Return an amount in USD; a tiny one is never shown as nothing."""
    if amount is None:
        return UNKNOWN
    return f"<${SMALLEST}" if 0 < amount < SMALLEST else f"${amount:,.5f}"


def milliseconds(number: float | None) -> str:
    """Return a latency in milliseconds, from a second on in seconds; a short one is never 0."""
    if number is None:
        return UNKNOWN
    if 0 < number < 1:
        return "<1 ms"
    return f"{number:.0f} ms" if number < SECOND else f"{number / SECOND:,.1f} s"
