"""What a month will have cost: the mean, the interval, and how often that holds."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.query.forecast import SHARE, forecast

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = NOON.date()
ONE = timedelta(days=1)
COSTS = st.lists(st.floats(0, 1e6), min_size=4, max_size=80)


def ending_today(values: list[float]) -> dict[date, float]:
    """Return what each of the last days cost, today's the last."""
    return {TODAY - number * ONE: value for number, value in enumerate(reversed(values))}


@given(COSTS, st.datetimes(datetime(2026, 11, 20), datetime(2026, 11, 20, 23, 59)))  # noqa: DTZ001 - given UTC below
def test_a_forecast_is_in_order(values: list[float], moment: datetime) -> None:
    """What is expected lies between low and high, and nothing lies below what is spent."""
    found = forecast(ending_today(values), moment.replace(tzinfo=UTC))

    assert found is None or 0 <= found.spent <= found.low <= found.high
    assert found is None or found.low - 1e-6 <= found.expected <= found.high + 1e-6


@given(COSTS, st.floats(0.01, 100))
def test_a_forecast_has_no_unit(values: list[float], factor: float) -> None:
    """Ten times the costs are ten times the forecast."""
    daily = ending_today([round(value, 3) + 1 for value in values])

    found, larger = forecast(daily, NOON), forecast({d: v * factor for d, v in daily.items()}, NOON)

    assert found is not None
    assert larger is not None
    assert larger.expected == pytest.approx(found.expected * factor)
    assert larger.high == pytest.approx(found.high * factor)


@pytest.mark.parametrize("days", [5, 40])
def test_days_that_are_alike_leave_no_doubt(days: int) -> None:
    """If each day costs the same, the rest of the month does: ten days and a half are left."""
    found = forecast(ending_today([2.0] * days + [1.0]), NOON)

    assert found is not None
    assert (found.days, found.by_weekday) == (days, days >= 14)
    assert found.expected == pytest.approx(found.spent + 10.5 * 2)
    assert found.low == pytest.approx(found.high)


def test_weekdays_have_costs_of_their_own() -> None:
    """After two weeks of which only Mondays cost, the days to come cost as their weekdays did."""
    daily = {TODAY - n * ONE: 7.0 for n in range(1, 29) if (TODAY - n * ONE).weekday() == 0}

    found = forecast(daily, NOON)

    assert found is not None
    # The 23rd and the 30th of November 2026 are Mondays.
    assert found.expected == pytest.approx(found.spent + 14)


@pytest.mark.parametrize("values", [[], [5.0], [1.0, 2.0, 3.0], [0.0] * 30 + [1.0, 1.0, 1.0]])
def test_too_few_days_are_no_forecast(values: list[float]) -> None:
    """There is no forecast before there are three whole days from the first cost on."""
    assert forecast(ending_today(values), NOON) is None


def test_days_before_eight_weeks_do_not_count() -> None:
    """What is older than eight weeks changes nothing."""
    recent = ending_today([3.0] * 56 + [0.0])
    older = {TODAY - n * ONE: 1_000.0 for n in range(57, 90)}

    assert forecast(recent | older, NOON) == forecast(recent, NOON)


def test_a_month_ends_within_the_interval_as_often_as_it_says() -> None:
    """Of many made-up months, about eight in ten end within the interval, by weekdays and not."""
    seed = random.Random(5)  # noqa: S311 - made-up costs, no secrets
    for history in (10, 40):
        within = 0
        for _ in range(400):
            days = {
                TODAY + n * ONE: max(0.0, seed.gauss(20 if n % 7 < 5 or history < 14 else 5, 3))
                for n in range(-history, 11)
            }
            midnight = datetime(2026, 11, 20, tzinfo=UTC)
            known = {day: usd for day, usd in days.items() if day < TODAY}
            end = sum(usd for day, usd in days.items() if day.month == 11)
            found = forecast(known, midnight)
            assert found is not None
            within += found.low <= end <= found.high
        assert within / 400 == pytest.approx(SHARE, abs=0.06)
