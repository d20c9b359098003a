"""Answer how much there was: calls, errors, tokens, cost and latency, in sum and over time.

Where events were sampled, each stands for 1 / sample_rate of its like, and every sum says so.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from watchllm_server.events import EPOCH, micros
from watchllm_server.query.errors import IS_ERROR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore, Value

GroupBy = Literal["model", "user", "tag", "release", "env"]
Metric = Literal[
    "requests", "events", "errors", "error_rate", "cost", "tokens", "tokens_input",
    "tokens_output", "latency_avg", "latency_p50", "latency_p95", "latency_p99",
]  # fmt: skip

_HOUR: Final = timedelta(hours=1)
_MANY_ROWS: Final = 1_000_000
# The three expressions of the projection by_hour that are not a column's name.
_HOUR_SQL: Final = "intDiv(toUnixTimestamp64Micro(ts), 3600000000)"
_DIGEST: Final = (
    "quantilesTDigestWeightedState(0.5, 0.95, 0.99)"
    "(latency_ms, toUInt32(least(100 / sample_rate, 4e9)))"
)
_PERCENTILES: Final = (
    "quantilesTDigestWeightedMergeIf(0.5, 0.95, 0.99)(latencies, event_type = 'prompt_call')"
)
_BY_HOUR: Final = f"{_HOUR_SQL} >= {{from_hour:Int64}} AND {_HOUR_SQL} < {{until_hour:Int64}}"
_BY_TIME: Final = (
    "ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC') "
    "AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')"
)
_GROUPS: Final[Mapping[GroupBy, str]] = {
    "model": "toString(model)",
    "user": "user_id",
    "tag": "arrayJoin(if(empty(tags), [''], arrayMap(tag -> toString(tag), tags)))",
    "release": "toString(release)",
    "env": "toString(env)",
}
_ROLLED_UP: Final = frozenset({None, "model", "release", "env"})
_MOST_FIRST: Final = "sum(events * weight) DESC, group_value, bucket"


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over events. Counts are estimates where events were sampled; None is not known."""

    events: int
    requests: int
    """Prompt calls."""
    errors: int
    """Error events, and calls or steps whose status is error or timeout."""
    error_rate: float | None
    """The share of prompt calls that failed; None without calls."""
    tokens_input: int | None
    tokens_output: int | None
    cost_usd: Decimal | None
    """The sum of the costs that are known; None when there are calls and none could be priced."""
    unpriced_requests: int
    """Prompt calls whose cost is not known."""
    latency_avg_ms: float | None
    """Of the prompt calls whose latency is known, like the percentiles."""
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None


@dataclass(frozen=True, slots=True)
class GroupTotals:
    """The totals of a group; `group` is None for what has no model, user, tag or release."""

    group: str | None
    totals: Totals


@dataclass(frozen=True, slots=True)
class Point:
    """A metric's value in the stretch of time that begins at `timestamp`, in UTC."""

    timestamp: datetime
    value: int | float | Decimal | None


@dataclass(frozen=True, slots=True)
class Series:
    """A metric of a group over time. Stretches in which nothing happened are there as well."""

    group: str | None
    value: int | float | Decimal | None
    """Over the whole time."""
    data: list[Point]


def totals(store: EventStore, where: Filter) -> Totals:
    """Return the totals of the events that match."""
    rows = _ask(store, where, percentiles=True, limit=1)
    return _totals(rows[0]) if rows else _NOTHING


def totals_by_group(
    store: EventStore, where: Filter, group_by: GroupBy, *, limit: int
) -> list[GroupTotals]:
    """Return the totals of each group, those with the most events first.

    An event counts in each of its tags.
    """
    rows = _ask(store, where, group_by=group_by, percentiles=True, limit=limit)
    return [GroupTotals(row[0] or None, _totals(row)) for row in rows]


def series(
    store: EventStore,
    where: Filter,
    metric: Metric,
    *,
    width: timedelta,
    group_by: GroupBy | None = None,
    limit: int = 1,
) -> list[Series]:
    """Return a metric over time, for the `limit` groups with the most events.

    `where` must begin and end at multiples of `width` since 1970, in UTC.
    """
    percentiles = metric in _PERCENTILE_METRICS
    wholes = _ask(store, where, group_by=group_by, percentiles=percentiles, limit=limit)
    if not wholes and group_by is not None:
        return []
    rows = _ask(
        store,
        where,
        group_by=group_by,
        width=width,
        percentiles=percentiles,
        chosen=[row[0] for row in wholes] if group_by else None,
        limit=_MANY_ROWS,
    )
    found: defaultdict[str, dict[int, Totals]] = defaultdict(dict)
    for row in rows:
        found[row[0]][row[1]] = _totals(row)
    step = width // timedelta(microseconds=1)
    buckets = range(micros(where.date_from) // step, micros(where.until) // step)
    return [
        Series(
            group=whole[0] or None,
            value=_value(metric, _totals(whole)),
            data=[
                Point(
                    EPOCH + timedelta(microseconds=bucket * step),
                    _value(metric, found[whole[0]].get(bucket, _NOTHING)),
                )
                for bucket in buckets
            ],
        )
        for whole in wholes or [["", 0, *_EMPTY]]
    ]


def _ask(
    store: EventStore,
    where: Filter,
    *,
    group_by: GroupBy | None = None,
    width: timedelta | None = None,
    percentiles: bool,
    chosen: Sequence[str] | None = None,
    limit: int,
) -> list[Any]:
    """Return a row a group and stretch of time: group, number of the stretch, and the sums."""
    parameters: dict[str, Value] = {**where.parameters(), "limit": limit}
    rolled_up = _is_rolled_up(where, group_by, width)
    bucket = "0"
    if width is not None:
        parameters["width"] = width // (_HOUR if rolled_up else timedelta(microseconds=1))
        moment = _HOUR_SQL if rolled_up else "toUnixTimestamp64Micro(ts)"
        bucket = f"intDiv({moment}, {{width:Int64}})"
    if rolled_up:
        parameters["from_hour"] = (where.date_from - EPOCH) // _HOUR
        parameters["until_hour"] = (where.until - EPOCH) // _HOUR
    if chosen is not None:
        parameters["chosen"] = chosen
    return store.query(
        "totals",
        parameters,
        {
            "group": _GROUPS[group_by] if group_by else "''",
            "bucket": bucket,
            "is_error": IS_ERROR,
            "digest": _DIGEST if percentiles else "0",
            "percentiles": _PERCENTILES if percentiles else "[]",
            "span": _BY_HOUR if rolled_up else _BY_TIME,
            "condition": where.condition(),
            "chosen": "1" if chosen is None else "group_value IN {chosen:Array(String)}",
            "order": _MOST_FIRST,
        },
    )


def _is_rolled_up(where: Filter, group_by: GroupBy | None, width: timedelta | None) -> bool:
    """Tell whether sums by the hour can answer: whole hours, and nothing that they do not keep."""
    return (
        group_by in _ROLLED_UP
        and not (where.run_id or where.user_id or where.tags or where.text)
        and all(not (at - EPOCH) % _HOUR for at in (where.date_from, where.until))
        and (width is None or not width % _HOUR)
    )


def _totals(row: Sequence[Any]) -> Totals:
    (
        events, requests, errors, failed, input_exact, input_weighed, input_known, output_exact,
        output_weighed, output_known, cost_exact, cost_weighed, cost_known, unpriced, latency_sum,
        latency_known, percentiles,
    ) = row[2:]  # fmt: skip
    calls = round(requests)
    p50, p95, p99 = percentiles or (None, None, None)
    cost = Decimal(cost_exact or 0) + Decimal(repr(cost_weighed or 0))

    def tokens(exact: str | None, weighed: float | None, known: int) -> int | None:
        if calls and not known:
            return None
        return int(exact or 0) + round(weighed or 0)

    return Totals(
        events=round(events),
        requests=calls,
        errors=round(errors),
        error_rate=failed / requests if requests else None,
        tokens_input=tokens(input_exact, input_weighed, input_known),
        tokens_output=tokens(output_exact, output_weighed, output_known),
        cost_usd=cost if cost_known or not calls else None,
        unpriced_requests=round(unpriced),
        latency_avg_ms=latency_sum / latency_known if latency_known else None,
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        latency_p99_ms=p99,
    )


_EMPTY: Final = (0, 0, 0, 0, "0", 0, 0, "0", 0, 0, None, 0, 0, 0, 0, 0, None)
_NOTHING: Final = _totals(("", 0, *_EMPTY))
_PERCENTILE_METRICS: Final = frozenset({"latency_p50", "latency_p95", "latency_p99"})
_FIELDS: Final[Mapping[Metric, str]] = {
    "requests": "requests",
    "events": "events",
    "errors": "errors",
    "error_rate": "error_rate",
    "cost": "cost_usd",
    "tokens_input": "tokens_input",
    "tokens_output": "tokens_output",
    "latency_avg": "latency_avg_ms",
    "latency_p50": "latency_p50_ms",
    "latency_p95": "latency_p95_ms",
    "latency_p99": "latency_p99_ms",
}


def _value(metric: Metric, found: Totals) -> int | float | Decimal | None:
    if metric == "tokens":
        if found.tokens_input is None or found.tokens_output is None:
            return None
        return found.tokens_input + found.tokens_output
    value: int | float | Decimal | None = getattr(found, _FIELDS[metric])
    return value
