"""Where in time a question looks, and whether the sums by the hour can answer it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from watchllm_server.events import EPOCH

if TYPE_CHECKING:
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


class Span(NamedTuple):
    """A stretch of time as SQL: the condition, the number of a bucket, and their parameters."""

    condition: str
    bucket: str
    parameters: dict[str, Value]


def span_of(where: Filter, width: timedelta | None = None, *, by_hour: bool) -> Span:
    """Return where a question looks; in buckets that are `width` long, counted from 1970.

    `by_hour` says that what is asked for is among what the sums by the hour keep. They answer then
    if the filter asks for no more and all is of whole hours.
    """
    by_hour = (
        by_hour
        and not (where.run_id or where.user_id or where.tags or where.text)
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
