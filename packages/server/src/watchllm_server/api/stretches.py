"""Which stretches of time a question about a time series is answered for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from watchllm_server.errors import invalid_query
from watchllm_server.events import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.api.params import Period, Question

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_PERIODS: Final[Mapping[Period, tuple[timedelta, timedelta]]] = {
    "1h": (_HOUR, 5 * _MINUTE),
    "6h": (6 * _HOUR, 30 * _MINUTE),
    "24h": (_DAY, _HOUR),
    "7d": (7 * _DAY, 6 * _HOUR),
    "30d": (30 * _DAY, _DAY),
}
_WIDTHS: Final = (_MINUTE, 5 * _MINUTE, 30 * _MINUTE, _HOUR, 6 * _HOUR, _DAY)
_WANTED: Final = 200
_MOST: Final = 1_000
_DEFAULT: Final = 30 * _DAY


class Stretches(NamedTuple):
    """Stretches of one width, from a time to a time, both multiples of the width since 1970."""

    date_from: datetime
    date_to: datetime
    width: timedelta


def stretches(question: Question, now: datetime) -> Stretches:
    """Return the stretches of a period that ends now, or of the time that is asked for."""
    if "date_from" not in question:
        if "date_to" in question:
            raise invalid_query("`date_to` needs `date_from`; without both, `period` counts.")
        length, width = _PERIODS[question["period"]]
        end = _floor(now, width) + width
        return Stretches(end - length, end, width)
    if "period" in question:
        raise invalid_query("Give either `period` or `date_from`, not both.")
    start, end = max(question["date_from"], EPOCH), question["date_to"] or now
    if start >= end:
        raise invalid_query("`date_from` must be before `date_to`, which is now if not given.")
    width = next((each for each in _WIDTHS if (end - start) / each <= _WANTED), _WIDTHS[-1])
    if (end - start) / width > _MOST:
        raise invalid_query(f"A time series can show {_MOST} days: ask for less time.")
    return Stretches(_floor(start, width), EPOCH - (EPOCH - end) // width * width, width)


def recently(now: datetime) -> datetime:
    """Return where totals begin when no time is asked for: 30 days ago, at a whole hour."""
    return _floor(now, _HOUR) - _DEFAULT


def _floor(moment: datetime, width: timedelta) -> datetime:
    return EPOCH + (moment - EPOCH) // width * width
