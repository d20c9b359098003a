"""Calibration: what may be served follows from what was compared, and the error stays in bounds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.cache.calibrate import (
    LEVELS,
    NEVER,
    Calibration,
    Comparison,
    estimate,
    pooled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

AUDITED = 0.1


class Run(NamedTuple):
    """What a simulated stretch of traffic came to."""

    served: int
    wrong: int
    broken: bool
    """Whether a threshold was ever open at which more hits than allowed are truly wrong."""
    opened: bool
    last: float


def simulate(
    seed: int, error: Callable[[float, int], float], requests: int = 20_000, rate: float = 0.01
) -> Run:
    """Send would-be hits whose confidences are spread evenly through a calibration.

    What is not served goes to the provider anyway and is compared; of what is served, a tenth is.
    """
    chance, calibration = random.Random(seed), Calibration(rate)  # noqa: S311 - a simulation
    served = wrong = 0
    broken = opened = False
    threshold = NEVER
    for number in range(requests):
        confidence = chance.uniform(0.8, 1.0)
        is_wrong = chance.random() < error(confidence, number)
        weight = 1.0 if threshold == NEVER else AUDITED
        if confidence < threshold:
            calibration.take(Comparison(confidence, is_wrong, weight))
        else:
            served += 1
            wrong += is_wrong
            if chance.random() < AUDITED:
                calibration.take(Comparison(confidence, is_wrong, served=True))
        if number % 20 == 0:
            threshold = calibration.threshold()
            opened = opened or threshold < NEVER
            broken = broken or (threshold < NEVER and true_error(error, threshold, number) > rate)
    return Run(served, wrong, broken, opened, calibration.threshold())


def true_error(error: Callable[[float, int], float], threshold: float, number: int) -> float:
    """Return which share of all hits above a threshold is wrong."""
    steps = [threshold + (1 - threshold) * (n + 0.5) / 200 for n in range(200)]
    return sum(error(confidence, number) for confidence in steps) / len(steps)


def test_a_threshold_that_errs_too_much_is_not_opened() -> None:
    """Where the error is just above the bound at every level, none opens in 99 of 100 runs."""
    broken = sum(simulate(seed, lambda _, __: 0.0105, 4_000).opened for seed in range(100))

    assert broken <= 1 + 3  # of 100 runs 1 is allowed on average; more than 4 in 1 of 270 times


def test_the_error_stays_within_the_bound_where_it_grows_with_doubt() -> None:
    """Where hits are the more wrong the less sure they are, some are served, within the bound."""
    runs = [simulate(seed, lambda c, _: 0.0005 + 1.5 * (1 - c) ** 2, 15_000) for seed in range(20)]

    assert sum(run.broken for run in runs) <= 1
    assert all(run.opened for run in runs)
    assert sum(run.wrong for run in runs) <= 0.01 * sum(run.served for run in runs)


@pytest.mark.parametrize("later", [0.05, 0.3])
def test_when_hits_begin_to_be_wrong_serving_ends_in_time(later: float) -> None:
    """A drift ends serving while the error of all that the runs served is within the bound."""
    runs = [
        simulate(seed, lambda _, n: 0.002 if n < 6_000 else later, 12_000) for seed in range(20)
    ]

    assert all(run.last == NEVER for run in runs)
    assert sum(run.served for run in runs) > 20 * 1_000
    assert sum(run.wrong for run in runs) <= 0.01 * sum(run.served for run in runs)


@given(
    taken=st.lists(
        st.builds(
            Comparison, st.floats(0, 1), st.booleans(), st.sampled_from([0.1, 1.0]), st.booleans()
        ),
        max_size=80,
    )
)
def test_the_same_comparisons_decide_the_same(taken: list[Comparison]) -> None:
    """Fed again in their order, comparisons lead to the same evidence and the same threshold."""
    first, second = Calibration(0.01), Calibration(0.01)
    for comparison in taken:
        first.take(comparison)
        second.take(comparison)

    assert first.threshold() == second.threshold()
    assert [level.evidence for level in first.levels] == [level.evidence for level in second.levels]


@given(confidences=st.lists(st.floats(0.5, 1), min_size=1, max_size=60))
def test_nothing_is_served_on_little_evidence(confidences: list[float]) -> None:
    """Sixty right comparisons cannot show that less than one in a hundred is wrong."""
    calibration = Calibration(0.01)
    for confidence in confidences:
        calibration.take(Comparison(confidence, wrong=False))

    assert calibration.threshold() == NEVER


def opened(confidence: float = 1.0, right: int = 1_500) -> Calibration:
    """Return a calibration that has seen nothing but right hits."""
    calibration = Calibration(0.01)
    for _ in range(right):
        calibration.take(Comparison(confidence, wrong=False))
    return calibration


def test_enough_right_comparisons_open_all_levels_that_they_were_made_at() -> None:
    """Hits of .9 say nothing of hits of .85 but that none was wrong among those above it."""
    assert opened().threshold() == LEVELS[-1]
    assert opened(0.2).threshold() == NEVER


def test_a_reported_hit_tightens_at_once() -> None:
    """After one report, nothing as unsure as the reported hit is served."""
    calibration = opened()
    calibration.report(0.97)

    assert calibration.threshold() > 0.97


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0])
def test_a_bound_is_a_share(rate: float) -> None:
    """No other number bounds an error."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        Calibration(rate)


def test_a_thin_group_is_decided_by_the_wider_one() -> None:
    """A new scope is served on the evidence of its project, and not what was reported in it."""
    wide, thin = opened(), Calibration(0.01)

    assert pooled([thin, wide]) == (LEVELS[-1], 1)

    thin.report(0.955)
    found, place = pooled([thin, wide])
    assert place == 1
    assert found > 0.955


def test_a_group_that_knows_enough_decides_alone() -> None:
    """A scope in which a tenth is wrong is not served, whatever its project says."""
    wide, narrow = opened(), Calibration(0.01)
    for n in range(600):
        narrow.take(Comparison(1.0, wrong=n % 10 == 0))

    assert pooled([narrow, wide]) == (NEVER, 0)
    assert pooled([]) == (NEVER, 0)


@pytest.mark.parametrize(
    ("wrong", "compared", "low", "high"),
    [
        # Tables of Clopper and Pearson's limits, as any textbook of statistics has them.
        (0, 10, 0.0, 0.3085), (1, 10, 0.0025, 0.4450), (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0), (3, 100, 0.0062, 0.0852), (0, 300, 0.0, 0.0122),
    ],
)  # fmt: skip
def test_the_interval_of_a_share_is_that_of_the_tables(
    wrong: int, compared: int, low: float, high: float
) -> None:
    """The bounds agree with published ones."""
    found = estimate(wrong, compared)

    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert found.share == wrong / compared


@given(compared=st.floats(0.1, 1e5), share=st.floats(0, 1))
def test_a_share_is_within_its_interval(compared: float, share: float) -> None:
    """Whatever the sums of weights are, the interval holds the share."""
    found = estimate(share * compared, compared)

    assert 0 <= found.low <= found.share + 1e-9
    assert found.share - 1e-9 <= found.high <= 1


def test_nothing_compared_is_no_knowledge() -> None:
    """Without comparisons the error may be anything."""
    assert estimate(0, 0)[:3] == (0.0, 0.0, 1.0)
