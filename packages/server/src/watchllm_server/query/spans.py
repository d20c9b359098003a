"""Where in time a question looks, and whether the sums by the hour can answer it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from watchllm_server.events import EPOCH

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import Value

_HOUR: Final = timedelta(hours=1)
_MICROSECOND: Final = timedelta(microseconds=1)
# As the projection by_hour has it.
_HOUR_SQL: Final = "intDiv(toUnixTimestamp64Micro(ts), 3600000000)"
_BY_HOUR: Final = (
    f"({_HOUR_SQL} >= {{{{{{name}}from_hour:Int64}}}}"
    f" AND {_HOUR_SQL} < {{{{{{name}}until_hour:Int64}}}})"
)
_BY_TIME: Final = (
    "(ts >= fromUnixTimestamp64Micro({{{name}from_us:Int64}}, 'UTC')"
    " AND ts < fromUnixTimestamp64Micro({{{name}until_us:Int64}}, 'UTC'))"
)
BEFORE: Final = -1
"""The number of the bucket in which all of the time before is."""
# What the projections by_hour and by_tags keep apart.
_KEPT: Final = (frozenset({"model", "release", "env"}), frozenset({"tag", "env"}))
# What a condition of a filter asks for; those on the type and the status are kept by all.
_NARROWED: Final[Mapping[str, str]] = {
    "run_id": "run",
    "user_id": "user",
    "models": "model",
    "tags": "tag",
    "env": "env",
    "release": "release",
    "least_cost": "cost",
    "least_ms": "latency",
    "text": "text",
}


class Span(NamedTuple):
    """A stretch of time as SQL: the condition, the number of a bucket, and their parameters."""

    condition: str
    bucket: str
    parameters: dict[str, Value]


def span_of(
    where: Filter,
    width: timedelta | None = None,
    *,
    by: Collection[str | None] = (),
    before: Filter | None = None,
) -> Span:
    """Return where a question looks; in buckets that are `width` long, counted from 1970.

    Without a width all is in bucket 0. `before` has an earlier stretch of time, which is looked at
    as well and is in the bucket BEFORE. `by` names what events are told apart by. Sums by the hour
    answer if one of them keeps all of that and what the filter narrows by, and if all is of whole
    hours.
    """
    stretches = {"": where} if before is None else {"": where, "before_": before}
    wanted = {name for name in by if name}
    wanted |= {name for field, name in _NARROWED.items() if getattr(where, field)}
    by_hour = (
        any(wanted <= kept for kept in _KEPT)
        and all(
            not (at - EPOCH) % _HOUR
            for each in stretches.values()
            for at in (each.date_from, each.until)
        )
        and (width is None or not width % _HOUR)
    )
    parameters: dict[str, Value] = {}
    unit, unit_name = (_HOUR, "hour") if by_hour else (_MICROSECOND, "us")
    moment = _HOUR_SQL if by_hour else "toUnixTimestamp64Micro(ts)"
    bucket = "0"
    if width is not None:
        parameters["width"] = width // unit
        bucket = f"intDiv({moment}, {{width:Int64}})"
    if before is not None:
        bucket = f"if({moment} < {{from_{unit_name}:Int64}}, {BEFORE}, {bucket})"
    conditions = []
    for name, each in stretches.items():
        parameters[f"{name}from_{unit_name}"] = (each.date_from - EPOCH) // unit
        parameters[f"{name}until_{unit_name}"] = (each.until - EPOCH) // unit
        conditions.append((_BY_HOUR if by_hour else _BY_TIME).format(name=name))
    return Span(f"({' OR '.join(conditions)})", bucket, parameters)
