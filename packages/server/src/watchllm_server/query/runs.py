"""Answer which runs there are, and how each went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from watchllm_server.events import EPOCH, micros
from watchllm_server.query.cursor import decode_cursor, encode_cursor
from watchllm_server.query.errors import IS_ERROR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore, Value

RunStatus = Literal["success", "warning", "error"]

_QUESTION = "runs"
_MANY = 100
_ERRORS = f"countIf({IS_ERROR})"
_WARNINGS = (
    "countIf(status IN ('warning', 'assertion_failed') OR event_type IN "
    "('assertion_failed', 'hallucination_detected', 'performance_alert'))"
)
_MATCHING = "run_id IN (SELECT run_id FROM events WHERE project_id = {{project_id:String}} AND {})"
_UNTIL = "ts <= fromUnixTimestamp64Micro({before_us:Int64}, 'UTC')"
_STATUSES = "{run_statuses:Array(String)}"
_STATUS = f"multiIf({_ERRORS} > 0, 'error', {_WARNINGS} > 0, 'warning', 'success')"
_SUMMARY = f"""
    run_id,
    toUnixTimestamp64Micro(min(ts)),
    toUnixTimestamp64Micro(max(ts)),
    count(),
    countIf(event_type = 'prompt_call'),
    countIf(event_type = 'agent_step'),
    {_ERRORS},
    toString(sum(toInt128(tokens_input))),
    toString(sum(toInt128(tokens_output))),
    sum(cost),
    countIf(event_type = 'prompt_call' AND cost IS NULL),
    quantileExactInclusive(0.5)(if(event_type = 'prompt_call', latency_ms, NULL)),
    arraySort(groupUniqArrayIf({_MANY})(model, model != '')),
    arraySort(groupUniqArrayIf({_MANY})(user_id, user_id != '')),
    arraySort(groupUniqArrayArray({_MANY})(tags)),
    arraySort(groupUniqArrayIf({_MANY})(release, release != '')),
    argMin(env, (ts, event_id)),
    {_STATUS},
    argMinIf(prompt_head, (ts, event_id), event_type = 'prompt_call')
"""


@dataclass(frozen=True, slots=True)
class Run:
    """The summary of a run. Lists hold at most 100 values; times are UTC.

    Sums are of the run itself: sampling keeps a run whole, so that nothing of it has to be weighed.
    """

    run_id: str
    started_at: datetime
    ended_at: datetime
    """When its newest event happened."""
    events: int
    prompt_calls: int
    agent_steps: int
    errors: int
    """Error events, and calls or steps whose status is error or timeout."""
    tokens_input: int | None
    """None when the run has calls and no call's count is known."""
    tokens_output: int | None
    cost_usd: Decimal | None
    """The sum of the costs that are known; None when the run has calls and none could be priced."""
    unpriced_calls: int
    """Prompt calls whose cost is not known."""
    latency_p50_ms: float | None
    """Of the prompt calls whose latency is known."""
    models: list[str]
    users: list[str]
    tags: list[str]
    releases: list[str]
    env: str
    """Of the run's first event."""
    status: RunStatus
    """error after any error or timeout, else warning after any warning or failed check."""
    first_prompt: str
    """The first 200 characters of the first prompt; empty when there is none."""


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of runs, and where the next one begins."""

    runs: list[Run]
    next_cursor: str | None


def page_of_runs(
    store: EventStore,
    where: Filter,
    *,
    limit: int,
    statuses: tuple[RunStatus, ...] = (),
    cursor: str | None = None,
) -> RunPage:
    """Return the runs of which an event matches, the last started first, a page at a time.

    The stretch of time and `statuses` are about the run as a whole. Raises CursorError.
    """
    before_us, before_id = micros(where.until), ""
    if cursor is not None:
        before_us, before_id = decode_cursor(_QUESTION, cursor, int, str)
    condition = where.condition()
    parameters: dict[str, Value] = {
        **where.parameters(),
        "before_us": min(before_us, micros(where.until)),
        "before_id": before_id,
        "limit": limit + 1,
    }
    if statuses:
        parameters["run_statuses"] = statuses
    found = store.query(
        "runs_page",
        parameters,
        {
            "matching": "1" if condition == "1" else _MATCHING.format(condition),
            # A run's status depends on all of its events, its beginning on none after the place.
            "until": "1" if statuses else _UNTIL,
            "status_condition": f"{_STATUS} IN {_STATUSES}" if statuses else "1",
        },
    )
    runs = _summaries(store, where.project_id, found[:limit])
    if len(found) <= limit:
        return RunPage(runs, None)
    last_id, last_us = found[limit - 1]
    return RunPage(runs, encode_cursor(_QUESTION, last_us, last_id))


def run_by_id(store: EventStore, project_id: str, run_id: str) -> Run | None:
    """Return the summary of one run, or None when the project has no event of it."""
    return next(iter(_summaries(store, project_id, [(run_id, 0)])), None)


def _summaries(store: EventStore, project_id: str, found: Sequence[tuple[str, int]]) -> list[Run]:
    """Sum up runs that are given by their ids and beginnings, the last started first."""
    if not found:
        return []
    parameters: dict[str, Value] = {
        "project_id": project_id,
        "run_ids": [run_id for run_id, _ in found],
        "from_us": min(started_us for _, started_us in found),
    }
    return [_run(row) for row in store.query("run_summaries", parameters, {"summary": _SUMMARY})]


def _run(row: list[Any]) -> Run:
    calls = row[4]

    def total(text: str | None) -> int | None:
        return int(text) if text is not None else None if calls else 0

    cost = Decimal(row[9]) if row[9] is not None else None if calls else Decimal(0)
    return Run(
        run_id=row[0],
        started_at=EPOCH + timedelta(microseconds=row[1]),
        ended_at=EPOCH + timedelta(microseconds=row[2]),
        events=row[3],
        prompt_calls=calls,
        agent_steps=row[5],
        errors=row[6],
        tokens_input=total(row[7]),
        tokens_output=total(row[8]),
        cost_usd=cost,
        unpriced_calls=row[10],
        latency_p50_ms=row[11],
        models=row[12],
        users=row[13],
        tags=row[14],
        releases=row[15],
        env=row[16],
        status=row[17],
        first_prompt=row[18],
    )
