"""Answer how much there was: calls, errors, tokens, cost and latency, in sum and over time.

Where events were sampled, each stands for 1 / sample_rate of its like, and every sum says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from watchllm_server.events import EPOCH, micros
from watchllm_server.query.errors import IS_ERROR
from watchllm_server.query.spans import BEFORE, span_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore, Value

GroupBy = Literal["model", "user", "tag", "release", "env"]
Metric = Literal[
    "requests", "events", "errors", "error_rate", "cost", "tokens", "tokens_input",
    "tokens_output", "latency_avg", "latency_p50", "latency_p95", "latency_p99",
]  # fmt: skip

_MICROSECOND: Final = timedelta(microseconds=1)
_KEYS: Final[Mapping[GroupBy | None, str]] = {
    None: "''",
    "model": "model",
    "user": "user_id",
    "tag": "tags",
    "release": "release",
    "env": "env",
}
_TAG: Final = "arrayJoin(emptyArrayToSingle({}))"
# Few enough that to sum up all of them, and the whole with them, is cheaper than to choose first.
_FEW: Final = frozenset({"model", "release", "env"})
# The sums by the hour answer a count by the sample rate, but keep no users: of these a count that
# is weighed at once has one key less to group by.
_COUNTED: Final = ("sample_rate", "count()")
_WEIGHED: Final = ("1", "sum(1 / greatest(sample_rate, 1e-6))")


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
class Compared:
    """The totals of a stretch of time, of its steps, and of the time before."""

    now: Totals
    before: Totals
    steps: list[tuple[datetime, Totals]]
    """Each with its beginning in UTC; steps in which nothing happened are there as well."""


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
    ask = _Ask(store, where)
    return _totals(ask.sums().get(_ALL), ask.percentiles().get(_ALL))


def compared(store: EventStore, where: Filter, before: Filter, *, width: timedelta) -> Compared:
    """Return the totals of a stretch of time and of its steps, beside those of the time before.

    `where` must begin and end at multiples of `width` since 1970, in UTC; `before` is the same but
    for its time, which ends no later than that begins.
    """
    ask = _Ask(store, where, before=before)
    # Sums of the steps add up to that of the whole. Percentiles do not, and are asked for twice.
    sums, percentiles, wholes = ask.sums(width), ask.percentiles(width), ask.percentiles()
    steps = [("", bucket) for bucket in _buckets(where, width)]
    return Compared(
        now=_totals(_sum(sums[step] for step in steps if step in sums), wholes.get(_ALL)),
        before=_totals(sums.get(_BEFORE), wholes.get(_BEFORE)),
        steps=[
            (EPOCH + step[1] * width, _totals(sums.get(step), percentiles.get(step)))
            for step in steps
        ],
    )


def totals_by_group(
    store: EventStore, where: Filter, group_by: GroupBy, *, limit: int
) -> list[GroupTotals]:
    """Return the totals of each group, those with the most events first.

    An event counts in each of its tags.
    """
    return _by_group(store, where, group_by, limit)[1]


def totals_with_groups(
    store: EventStore, where: Filter, group_by: GroupBy, *, limit: int
) -> tuple[Totals, list[GroupTotals]]:
    """Return what `totals` and `totals_by_group` do, of one pass over the events if it can be."""
    whole, groups = _by_group(store, where, group_by, limit)
    return whole or totals(store, where), groups


def _by_group(
    store: EventStore, where: Filter, group_by: GroupBy, limit: int
) -> tuple[Totals | None, list[GroupTotals]]:
    """Return the totals of each group, and before them those of all where they come for nothing."""
    ask = _Ask(store, where, group_by=group_by)
    if few := group_by in _FEW:
        sums = ask.sums_of_most(limit)
        groups = [group for group, part in sums if (group, part) != _WHOLE]
    else:
        groups = ask.choose(limit)
        sums = ask.sums()
    percentiles = ask.percentiles()

    def of(place: _Place) -> Totals:
        return _totals(sums.get(place), percentiles.get(place))

    found = [GroupTotals(group or None, of((group, 0))) for group in groups]
    return of(_WHOLE) if few else None, found


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
    ask = _Ask(store, where, group_by=group_by)
    groups = [""] if group_by is None else ask.choose(limit)
    sums, percentiles, whole_percentiles = {}, {}, {}
    if metric in _PERCENTILES:
        percentiles, whole_percentiles = ask.percentiles(width), ask.percentiles()
    else:
        sums = ask.sums(width)
    buckets = _buckets(where, width)
    found = []
    for group in groups:
        places = [(group, bucket) for bucket in buckets]
        whole = _sum(sums[place] for place in places if place in sums)
        data = [
            Point(
                EPOCH + bucket * width,
                _value(metric, _totals(sums.get(place), percentiles.get(place))),
            )
            for place, bucket in zip(places, buckets, strict=True)
        ]
        total = _totals(whole, whole_percentiles.get((group, 0)))
        found.append(Series(group or None, _value(metric, total), data))
    return found


def _buckets(where: Filter, width: timedelta) -> range:
    step = width // _MICROSECOND
    return range(micros(where.date_from) // step, micros(where.until) // step)


_Place = tuple[str, int]
"""A group and the number of a stretch of time."""
_ALL: Final[_Place] = ("", 0)
_BEFORE: Final[_Place] = ("", BEFORE)
_WHOLE: Final[_Place] = ("", 1)
"""All groups together, as the engine numbers what it rolls up."""
_IS_WHOLE: Final = "grouping(group_value)"
_MOST: Final = (
    f"ORDER BY {_IS_WHOLE} DESC, sum(events * weight) DESC, group_value LIMIT {{limit:UInt32}}"
)


class _Sums(NamedTuple):
    """What totals.sql sums up, of unsampled events exactly and of sampled ones weighed."""

    events: float = 0
    requests: float = 0
    errors: float = 0
    failed_requests: float = 0
    input_exact: int = 0
    input_weighed: float = 0
    input_known: int = 0
    output_exact: int = 0
    output_weighed: float = 0
    output_known: int = 0
    cost_exact: Decimal = Decimal(0)
    cost_weighed: float = 0
    cost_known: int = 0
    unpriced: float = 0
    latency_sum: float = 0
    latency_known: float = 0


class _Ask:
    """Ask the store for what one answer is made of."""

    def __init__(
        self,
        store: EventStore,
        where: Filter,
        *,
        group_by: GroupBy | None = None,
        before: Filter | None = None,
    ) -> None:
        self._store = store
        self._where = where
        self._before = before
        self._group_by = group_by
        self._parameters: dict[str, Value] = dict(where.parameters())
        self._chosen: str | None = None
        self._rolled = False

    def choose(self, limit: int) -> list[str]:
        """Return the groups with the most events; what is asked next is about them alone."""
        parameters = {**self._parameters, "limit": limit}
        rows = self._query("top_groups", None, parameters)
        groups = [group for (group,) in rows]
        self._take(groups)
        return groups

    def sums_of_most(self, limit: int) -> dict[_Place, _Sums]:
        """Return the sums of all events, and of the groups with the most, in the order of these.

        What is asked next is about the same.
        """
        self._rolled = True
        sums = self._sums(None, {**self._parameters, "limit": limit + 1})
        self._take([group for group, _ in sums])
        return sums

    def sums(self, width: timedelta | None = None) -> dict[_Place, _Sums]:
        """Return the sums of each group and, with a width, of each stretch of time."""
        return self._sums(width, self._parameters)

    def percentiles(self, width: timedelta | None = None) -> dict[_Place, list[float | None]]:
        """Return the 50th, 95th and 99th percentile of the latency of calls, likewise."""
        name = "percentiles_by_tag" if self._group_by == "tag" else "percentiles"
        rows = self._query(name, width, self._parameters)
        return {(row[0], row[1]): row[2] for row in rows}

    def _take(self, groups: Sequence[str]) -> None:
        self._parameters["chosen"] = groups
        self._chosen = "group_value IN {chosen:Array(String)}"

    def _sums(
        self, width: timedelta | None, parameters: Mapping[str, Value]
    ) -> dict[_Place, _Sums]:
        rows = self._query("totals", width, parameters)
        return {(row[0], row[1]): _read(row[2:]) for row in rows}

    def _query(self, name: str, width: timedelta | None, parameters: Mapping[str, Value]) -> Any:
        where = self._where
        key, by_tag, rolled = _KEYS[self._group_by], self._group_by == "tag", self._rolled
        chosen = self._chosen or "1"
        sampled, counted = _WEIGHED if self._group_by == "user" else _COUNTED
        span = span_of(where, width, by=[self._group_by], before=self._before)
        return self._store.query(
            name,
            {**parameters, **span.parameters},
            {
                "key": key,
                # Events with the same tags are summed up before each tag takes its share.
                "member": _TAG.format("key") if by_tag else "key",
                "group": key,
                "bucket": span.bucket,
                "is_error": IS_ERROR,
                "span": span.condition,
                "condition": where.condition(),
                "sampled": sampled,
                "counted": counted,
                # The whole is of all groups, of which only the chosen are shown.
                "chosen": "1" if rolled else chosen,
                "chosen_keys": "1" if by_tag or rolled else chosen.replace("group_value", "key"),
                "shown": f"({_IS_WHOLE} OR {chosen})" if rolled else "1",
                "place": _IS_WHOLE if rolled else "bucket",
                "by": "group_value WITH ROLLUP" if rolled else "group_value, bucket",
                "most": _MOST if rolled else "",
            },
        )


def _read(values: Sequence[Any]) -> _Sums:
    sums = _Sums._make(0 if value is None else value for value in values)
    return sums._replace(
        input_exact=int(sums.input_exact),
        output_exact=int(sums.output_exact),
        cost_exact=Decimal(sums.cost_exact),
    )


def _sum(parts: Iterable[_Sums]) -> _Sums:
    together = list(parts)
    if not together:
        return _Sums()
    return _Sums._make(sum(values) for values in zip(*together, strict=True))


def _totals(sums: _Sums | None, percentiles: Sequence[float | None] | None) -> Totals:
    found = sums or _Sums()
    p50, p95, p99 = percentiles or (None, None, None)
    calls = found.requests > 0
    cost = found.cost_exact + Decimal(repr(found.cost_weighed))
    tokens_input = found.input_exact + round(found.input_weighed)
    tokens_output = found.output_exact + round(found.output_weighed)
    return Totals(
        events=round(found.events),
        requests=round(found.requests),
        errors=round(found.errors),
        error_rate=found.failed_requests / found.requests if calls else None,
        tokens_input=tokens_input if found.input_known or not calls else None,
        tokens_output=tokens_output if found.output_known or not calls else None,
        cost_usd=cost if found.cost_known or not calls else None,
        unpriced_requests=round(found.unpriced),
        latency_avg_ms=found.latency_sum / found.latency_known if found.latency_known else None,
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        latency_p99_ms=p99,
    )


_PERCENTILES: Final = frozenset({"latency_p50", "latency_p95", "latency_p99"})
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
