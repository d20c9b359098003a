"""From what is known to have been right and wrong to what may be served: pure, and no clock.

A confidence is trusted at one of a few levels. For each level a test is running: that of all hits
at or above it, `max_error_rate` or more are wrong. Each comparison is a fair bet against that:
money that grows to a hundredfold is what, if it were true, happens in one of a hundred runs. The
test may be looked at after every comparison (Ville's inequality, 1939; betting after Waudby-Smith
and Ramdas, 2023), so that a level can be opened as soon as it has earned it.

A second bet runs the other way on what is served: when hits begin to be wrong, it grows, the level
is closed, and all evidence from before that moment is dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LEVELS: Final = (0.97, 0.96, 0.95, 0.935, 0.92, 0.91, 0.90, 0.88, 0.86, 0.84)
"""The confidences from which on hits may be served, the strictest first."""
NEVER: Final = 2.0
"""A threshold that no confidence reaches."""
ALPHA: Final = 0.01
"""How often, over all levels and all time, a level may be opened that has not deserved it."""
# Shares of the most that can be bet: how large the best bet is depends on the unknown error.
_STAKES: Final = (0.95, 0.6, 0.3, 0.1, 0.03)
# A long good past does not excuse a bad present: no bet grows beyond what opens a level by more
# than this, so that a few wrong hits close it.
_SPARE: Final = 2.0
# The stakes of the bets that hits have become wrong: the first notices much soon, the other little.
_ALARM_STAKES: Final = (15.0, 3.0)
_ALARM: Final = math.log(100)


class Comparison(NamedTuple):
    """What one would-be hit turned out to be.

    `weight` is in (0, 1] and proportional to 1 / the share of such hits that is compared: 1 where
    few are, less where more are. `served` says whether the stored answer was given out.
    """

    confidence: float
    wrong: bool
    weight: float = 1.0
    served: bool = False


@dataclass(slots=True)
class Level:
    """The evidence about hits at or above a confidence."""

    least: float
    right: float = 0.0
    wrong: float = 0.0
    compared: int = 0
    bets: list[float] = field(default_factory=lambda: [0.0] * len(_STAKES))
    alarms: list[float] = field(default_factory=lambda: [0.0] * len(_ALARM_STAKES))

    @property
    def evidence(self) -> float:
        """Return the logarithm of the money that betting against too many errors has made."""
        highest = max(self.bets)
        return highest + math.log(
            sum(math.exp(bet - highest) for bet in self.bets) / len(self.bets)
        )


class Calibration:
    """Decide from which confidence on a group of like requests is served.

    `max_error_rate` is the share of hits that may be wrong. What it decides follows from the
    comparisons alone, in their order: fed again, they lead to the same. Not thread-safe.
    """

    def __init__(self, max_error_rate: float, *, alpha: float = ALPHA) -> None:
        if not 0 < max_error_rate < 1:
            raise ValueError("max_error_rate is between 0 and 1")
        self.max_error_rate = max_error_rate
        self.needed = math.log(len(LEVELS) / alpha)
        self.floor = 0.0
        """What is at or below it is not served: a hit of this confidence was reported as wrong."""
        self.restarts = 0
        self.levels = [Level(least) for least in LEVELS]

    def threshold(self) -> float:
        """Return the confidence from which on hits may be served; NEVER while none may."""
        opened = [
            level.least
            for level in self.levels
            if level.evidence >= self.needed and level.least > self.floor
        ]
        return min(opened, default=NEVER)

    def take(self, comparison: Comparison) -> None:
        """Take the next comparison into account."""
        rate, weight = self.max_error_rate, min(1.0, max(0.0, comparison.weight))
        gain = weight * (rate - comparison.wrong)
        alarmed = False
        for level in self.levels:
            if comparison.confidence < level.least:
                continue
            level.compared += 1
            level.wrong += weight * comparison.wrong
            level.right += weight * (not comparison.wrong)
            for n, stake in enumerate(_STAKES):
                grown = level.bets[n] + math.log1p(stake / (1 - rate) * gain)
                level.bets[n] = min(grown, self.needed + _SPARE)
            if comparison.served:
                for n, stake in enumerate(_ALARM_STAKES):
                    grown = level.alarms[n] + math.log1p(min(stake, 0.5 / rate) * -gain)
                    level.alarms[n] = max(0.0, grown)
                alarmed = alarmed or max(level.alarms) >= _ALARM
        if alarmed:
            self._restart()

    def report(self, confidence: float) -> None:
        """Take a user's word that a hit of this confidence was wrong: it tightens at once."""
        self.floor = max(self.floor, confidence)
        self.take(Comparison(confidence, wrong=True, served=True))

    def _restart(self) -> None:
        """Forget the evidence: it was about a time when fewer hits were wrong."""
        self.restarts += 1
        self.levels = [Level(least) for least in LEVELS]


def pooled(groups: Sequence[Calibration], *, thin: int = 300) -> tuple[float, int]:
    """Return the threshold of a request, and which of its groups decided, the narrowest first.

    The narrowest group decides that knows enough: `thin` comparisons or more at some level. What
    was reported as wrong in a narrower one is not served on the word of a wider one.
    """
    if not groups:
        return NEVER, 0
    floor = 0.0
    for place, group in enumerate(groups):
        floor = max(floor, group.floor)
        last = place == len(groups) - 1
        if last or max(level.compared for level in group.levels) >= thin:
            found = group.threshold()
            if found <= floor:
                found = min((least for least in LEVELS if least > floor), default=NEVER)
            return found, place
    return NEVER, 0


class Estimate(NamedTuple):
    """A share that was measured, with the bounds between which it is in 95 of 100 cases."""

    share: float
    low: float
    high: float
    compared: float


def estimate(wrong: float, compared: float, *, confidence: float = 0.95) -> Estimate:
    """Return the share of wrong ones with its interval (Clopper and Pearson, 1934).

    Counts may be sums of weights; with nothing compared the share is anywhere between 0 and 1.
    """
    if compared <= 0:
        return Estimate(0.0, 0.0, 1.0, 0.0)
    wrong = min(max(wrong, 0.0), compared)
    tail = (1 - confidence) / 2
    low = 0.0 if wrong == 0 else _beta_quantile(tail, wrong, compared - wrong + 1)
    high = 1.0 if wrong == compared else _beta_quantile(1 - tail, wrong + 1, compared - wrong)
    return Estimate(wrong / compared, low, high, compared)


def _beta_quantile(share: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _beta_below(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_below(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_below(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return front * _fraction(_terms(x, a, b)) / a


def _terms(x: float, a: float, b: float) -> Iterable[float]:
    for m in range(300):
        yield -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        n = m + 1
        yield n * (b - n) * x / ((a + 2 * n - 1) * (a + 2 * n))


def _fraction(terms: Iterable[float]) -> float:
    """Return 1 / (1 + t1 / (1 + t2 / (1 + …))) (Lentz's method)."""
    tiny = 1e-300
    value, c, d = 1.0, 1.0, 0.0
    for term in terms:
        d = 1 / ((1 + term * d) or tiny)
        c = (1 + term / c) or tiny
        value *= c * d
        if abs(c * d - 1) < 1e-12:  # noqa: PLR2004 - as exact as needed
            break
    return 1 / value
