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
_BY_HOUR: Final = f"{_HOUR_SQL} >= {{from_hour:Int64}} AND {_HOUR_SQL} < {{until_hour:Int64}}"
_BY_TIME: Final = (
    "ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC') "
    "AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')"
)
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
    where: Filter, width: timedelta | None = None, *, by: Collection[str | None] = ()
) -> Span:
    """Return where a question looks; in buckets that are `width` long, counted from 1970.

    `by` names what events are told apart by. Sums by the hour answer if one of them keeps all of
    that and what the filter narrows by, and if all is of whole hours.
    """
    wanted = {name for name in by if name}
    wanted |= {name for field, name in _NARROWED.items() if getattr(where, field)}
    by_hour = (
        any(wanted <= kept for kept in _KEPT)
        and all(not (at - EPOCH) % _HOUR for at in (where.date_from, where.until))
        and (width is None or not width % _HOUR)
    )
    parameters: dict[str, Value] = {}
    bucket = "0"
    if width is not None:
        parameters["width"] = width // (_HOUR if by_hour else _MICROSECOND)
        moment = _HOUR_SQL if by_hour else "toUnixTimestamp64Micro(ts)"
        bucket = f"intDiv({moment}, {{width:Int64}})"
    if by_hour:
        parameters["from_hour"] = (where.date_from - EPOCH) // _HOUR
        parameters["until_hour"] = (where.until - EPOCH) // _HOUR
    return Span(_BY_HOUR if by_hour else _BY_TIME, bucket, parameters)
