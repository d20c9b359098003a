"""Answer which runs there are, and how each went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from watchllm_server.events import EPOCH, micros
from watchllm_server.query.cursor import decode_cursor, encode_cursor
from watchllm_server.query.errors import IS_ERROR
from watchllm_server.query.events import sort_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from watchllm_server.query.events import SortOrder
    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore, Value

RunStatus = Literal["success", "warning", "error"]
RunSort = Literal["started", "duration", "events", "errors", "cost"]

_QUESTION = "runs"
_MANY = 100
# Runs of more events than this, on average, are not looked for among the newest events.
_EVENTS_OF_A_RUN = 200
# So many of them may go on that began before. Each one more is looked up in all events.
_GOING_ON = 10
_ERRORS = f"countIf({IS_ERROR})"
_WARNINGS = (
    "countIf(status IN ('warning', 'assertion_failed') OR event_type IN "
    "('assertion_failed', 'hallucination_detected', 'performance_alert'))"
)
_UNTIL = "ts <= fromUnixTimestamp64Micro({before_us:Int64}, 'UTC')"
_MATCHING = (
    "SELECT run_id FROM events WHERE project_id = {project_id:String} "
    "AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')"
)
_STARTED = "toUnixTimestamp64Micro(min(ts))"
# An event is logged when its work has ended. Beyond 1,000 years a latency is no time any more.
_DURATION = (
    "toUnixTimestamp64Micro(max(ts)) - "
    "min(toUnixTimestamp64Micro(ts) - toInt64(least(ifNull(latency_ms, 0), 3e13) * 1000))"
)
_COST = "ifNull(sum(cost), toDecimal128(-1, 12))"
# An unknown cost sorts below every known one.
_KEYS: Final[Mapping[RunSort, str]] = {
    "started": _STARTED,
    "duration": _DURATION,
    "events": "toInt64(count())",
    "errors": f"toInt64({_ERRORS})",
    "cost": _COST,
}
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
    argMinIf(prompt_head, (ts, event_id), event_type = 'prompt_call'),
    {_DURATION}
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
    duration_ms: float
    """From the beginning of the first work that is known to the newest event."""


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of runs, and where the next one begins."""

    runs: list[Run]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Whole:
    """What a run as a whole must be; an empty value admits all."""

    statuses: tuple[RunStatus, ...] = ()
    least_cost: Decimal = Decimal(0)
    """US dollars, of the costs that are known."""
    least_ms: float = 0
    """Of its duration."""

    def condition(self) -> str:
        """Return the condition on a run as SQL."""
        parts = ["1"]
        if self.statuses:
            parts.append(f"{_STATUS} IN {{run_statuses:Array(String)}}")
        if self.least_cost:
            parts.append(f"{_COST} >= {{run_cost:Decimal(38, 12)}}")
        if self.least_ms:
            parts.append(f"{_DURATION} >= {{run_us:Float64}}")
        return " AND ".join(parts)

    def parameters(self) -> dict[str, Value]:
        """Return the parameters of the condition."""
        return {
            "run_statuses": self.statuses,
            "run_cost": f"{self.least_cost:f}",
            "run_us": self.least_ms * 1_000,
        }


_ANY: Final = Whole()


def page_of_runs(
    store: EventStore,
    where: Filter,
    whole: Whole = _ANY,
    *,
    limit: int,
    cursor: str | None = None,
    sort_by: RunSort = "started",
    sort_order: SortOrder = "desc",
) -> RunPage:
    """Return the runs of which an event matches, a page at a time.

    The stretch of time is about their beginnings. A page may be shorter than `limit` though there
    are more. Raises CursorError when the cursor belongs to another order.
    """
    question = f"{_QUESTION}/{sort_by}/{sort_order}"
    key, condition, until = _KEYS[sort_by], where.condition(), micros(where.until)
    parameters: dict[str, Value] = {
        **where.parameters(),
        **whole.parameters(),
        "before_us": until,
        "limit": limit + 1,
    }
    after = "1"
    if cursor is not None:
        key_text, started_us, run_id = decode_cursor(question, cursor, str, int, str)
        by = "<" if sort_order == "desc" else ">"
        kind = "Decimal(38, 12)" if sort_by == "cost" else "Int64"
        after = (
            f"({key}, started_us, run_id) {by} "
            f"({{after_key:{kind}}}, {{after_us:Int64}}, {{after_id:String}})"
        )
        parameters |= {
            "after_key": sort_value(kind, key_text),
            "after_us": started_us,
            "after_id": run_id,
        }
        if sort_by == "started" and sort_order == "desc":
            parameters["before_us"] = min(started_us, until)
    # What a run is as a whole depends on all of its events, its beginning on none after the place.
    early = whole == _ANY and sort_by == "started"
    direction = sort_order.upper()
    fragments = {
        "key": key,
        "matching": "1" if condition == "1" else f"run_id IN ({_MATCHING} AND {condition})",
        "until": _UNTIL if early else "1",
        "after": after,
        "whole": whole.condition(),
        "order": f"sort_key {direction}, started_us {direction}, run_id {direction}",
    }
    newest_first = early and sort_order == "desc" and condition == "1"
    found = _newest(store, parameters, fragments, limit + 1) if newest_first else []
    shown = found[:limit]
    if not found:
        found = store.query("runs_page", parameters, fragments)
        shown = _begun(store, where, found[:limit])
    runs = _summaries(store, where.project_id, shown)
    if len(found) <= limit:
        return RunPage(runs, None)
    last_id, last_us, last_key = found[limit - 1]
    return RunPage(runs, encode_cursor(question, str(last_key), last_us, last_id))


def run_by_id(store: EventStore, project_id: str, run_id: str) -> Run | None:
    """Return the summary of one run, or None when the project has no event of it."""
    return next(iter(_summaries(store, project_id, [(run_id, 0)])), None)


def beginnings_of_runs(
    store: EventStore, project_id: str, run_ids: Sequence[str]
) -> dict[str, int]:
    """Return when runs began, in microseconds since 1970, by their ids."""
    if not run_ids:
        return {}
    return dict(store.query("run_beginnings", {"project_id": project_id, "run_ids": run_ids}))


def _newest(
    store: EventStore, parameters: Mapping[str, Value], fragments: Mapping[str, str], wanted: int
) -> list[list[Any]]:
    """Return the runs that began last, if so many did among the newest events, or nothing.

    A run that began among them has no event before them, so that none of the others is read.
    """
    events = {**parameters, "events": _EVENTS_OF_A_RUN * wanted}
    for (from_us,) in store.query("runs_since", events):
        recent = {**parameters, "from_us": from_us, "limit": wanted + _GOING_ON}
        rows = store.query("runs_page", recent, fragments)
        found = _only_begun(store, str(parameters["project_id"]), rows)
        if len(found) >= wanted:
            return found[:wanted]
    return []


def _begun(store: EventStore, where: Filter, found: list[list[Any]]) -> list[list[Any]]:
    """Leave out what began before the stretch of time, of which only that stretch was read."""
    return found if where.date_from <= EPOCH else _only_begun(store, where.project_id, found)


def _only_begun(store: EventStore, project_id: str, found: list[list[Any]]) -> list[list[Any]]:
    """Leave out the runs that have an event before the first that was read of them."""
    began = beginnings_of_runs(store, project_id, [run_id for run_id, *_ in found])
    return [row for row in found if began.get(row[0]) == row[1]]


def _summaries(store: EventStore, project_id: str, found: Sequence[Sequence[Any]]) -> list[Run]:
    """Sum up runs that are given by their ids and beginnings, in their order."""
    if not found:
        return []
    parameters: dict[str, Value] = {
        "project_id": project_id,
        "run_ids": [run_id for run_id, *_ in found],
        "from_us": min(started_us for _, started_us, *_ in found),
    }
    rows = store.query("run_summaries", parameters, {"summary": _SUMMARY})
    runs = {row[0]: _run(row) for row in rows}
    # What is erased between the two questions is gone.
    return [runs[run_id] for run_id, *_ in found if run_id in runs]


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
        duration_ms=row[19] / 1_000,
    )
