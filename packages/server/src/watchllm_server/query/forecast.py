"""From the costs of past days to what the month will have cost at its end: pure, and no clock."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HISTORY: Final = timedelta(days=56)
"""How far back days count: eight weeks, of which each weekday has eight."""
SHARE: Final = 0.8
"""How often the month's end lies within the interval, if days go on as before."""

_LEAST_DAYS: Final = 3
# From two of each weekday on, a weekday has a mean of its own.
_WEEKDAYS_FROM: Final = 14
_DAY: Final = timedelta(days=1)
_Z: Final = NormalDist().inv_cdf((1 + SHARE) / 2)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a month will have cost, in US dollars."""

    spent: float
    """From the month's beginning until now."""
    expected: float
    low: float
    """The month's end lies between this and `high` in `SHARE` of cases."""
    high: float
    days: int
    """Whole days that the forecast rests on."""
    by_weekday: bool
    """Whether weekdays have means of their own; it takes two weeks."""


def forecast(daily: Mapping[date, float], now: datetime) -> Forecast | None:
    """Return what the month of a moment, in UTC, will have cost; None with less than three days.

    `daily` holds what each day cost, today's until now; a day that is missing cost nothing. What is
    to come is the mean of the past eight weeks since the first cost: of each weekday by itself from
    two weeks on, of all days before. Its variance is that of days about their mean, as often as
    there are days to come, and that of the means themselves; Student's t spans the interval. It
    knows nothing of growth: where costs rise from week to week, more will be spent than expected.
    """
    today = now.date()
    first = today.replace(day=1)
    spent = sum(usd for day, usd in daily.items() if first <= day <= today)
    begun = min((day for day, usd in daily.items() if usd > 0), default=today)
    past = _days(max(begun, today - HISTORY), today)
    if len(past) < _LEAST_DAYS:
        return None
    by_weekday = len(past) >= _WEEKDAYS_FROM
    # Groups of days that have a mean in common.
    groups: dict[int, list[float]] = defaultdict(list)
    for day in past:
        groups[day.weekday() if by_weekday else 0].append(daily.get(day, 0.0))
    means = {group: fmean(values) for group, values in groups.items()}
    freedom = len(past) - len(groups)
    scatter = sum((usd - means[group]) ** 2 for group, values in groups.items() for usd in values)
    # How many days of each group are to come; of today, what is left of it.
    left = 1 - (now - datetime.combine(today, datetime.min.time(), now.tzinfo)) / _DAY
    to_come: dict[int, float] = defaultdict(float)
    to_come[today.weekday() if by_weekday else 0] += left
    for day in _days(today + _DAY, (first + 32 * _DAY).replace(day=1)):
        to_come[day.weekday() if by_weekday else 0] += 1
    expected = spent + sum(means[group] * count for group, count in to_come.items())
    spread = sum(count + count**2 / len(groups[group]) for group, count in to_come.items())
    margin = _student(freedom) * math.sqrt(scatter / freedom * spread)
    return Forecast(
        spent=spent,
        expected=expected,
        low=max(spent, expected - margin),
        high=expected + margin,
        days=len(past),
        by_weekday=by_weekday,
    )


def _days(start: date, end: date) -> Sequence[date]:
    return [start + number * _DAY for number in range((end - start).days)]


def _student(freedom: int) -> float:
    """Return the quantile of Student's t for `SHARE`, within 0.5 % (Cornish and Fisher, 1938)."""
    z = _Z
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
