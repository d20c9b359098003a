"""What is known of groups of like requests, in memory: comparisons, and what follows from them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Final, NamedTuple

from watchllm_server.cache.calibrate import Calibration, Estimate, estimate, pooled
from watchllm_server.cache.judgements import KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from watchllm_server.cache.judgements import Judged

# Of groups that are asked about: one that was put away is made anew from its comparisons.
_CALIBRATIONS: Final = 2_000


class Group(NamedTuple):
    """What is known of a group of requests, for those who ask why something was served or not.

    `error` is that of what would be served at the threshold; while nothing would be, of all that
    was compared. `reported` is the highest confidence of a hit that was reported as wrong. `curve`
    has each level, the strictest first: the confidence from which on it counts, how many were wrong
    and how many compared, in sums of weights.
    """

    name: str
    threshold: float
    error: Estimate
    reported: float
    restarts: int
    curve: tuple[tuple[float, float, float], ...]


class Evidence:
    """Hold the newest `kept` comparisons of each project, by group. Not thread-safe.

    What follows from them depends on the share of hits that may be wrong, and is worked out for
    each share that is asked for.
    """

    def __init__(self, kept: int = KEPT, calibrations: int = _CALIBRATIONS) -> None:
        self._kept = kept
        self._most = calibrations
        self._of_project: defaultdict[str, deque[Judged]] = defaultdict(deque)
        self._of_group: defaultdict[str, deque[Judged]] = defaultdict(deque)
        # By group, and by the share of hits that may be wrong.
        self._calibrations: OrderedDict[str, dict[float, Calibration]] = OrderedDict()

    def take(self, judged: Judged) -> None:
        """Take the next comparison."""
        kept = self._of_project[judged.groups[-1]]
        if len(kept) >= self._kept:
            for name in kept.popleft().groups:
                self._of_group[name].popleft()
                if not self._of_group[name]:
                    del self._of_group[name]
        kept.append(judged)
        for name in judged.groups:
            self._of_group[name].append(judged)
            for calibration in self._calibrations.get(name, {}).values():
                _feed(calibration, name, judged)

    def threshold(self, groups: Sequence[str], rate: float) -> tuple[float, str]:
        """Return the confidence from which on a request is served, and the group that decided."""
        threshold, place = pooled([self._calibration(name, rate) for name in groups])
        return threshold, groups[place]

    def explain(self, names: Iterable[str], rate: float) -> list[Group]:
        """Return what is known of groups, and what follows from it."""
        return [self._explained(name, rate) for name in names]

    def names(self, project: str) -> list[str]:
        """Return the groups of a project's group that something is known of."""
        found = {name for judged in self._of_project.get(project, ()) for name in judged.groups}
        return sorted(found, key=lambda name: -len(self._of_group[name]))

    def _calibration(self, name: str, rate: float) -> Calibration:
        by_rate = self._calibrations.setdefault(name, {})
        self._calibrations.move_to_end(name)
        if len(self._calibrations) > self._most:
            self._calibrations.popitem(last=False)
        found = by_rate.get(rate)
        if found is None:
            found = by_rate[rate] = Calibration(rate)
            for judged in self._of_group.get(name, ()):
                _feed(found, name, judged)
        return found

    def _explained(self, name: str, rate: float) -> Group:
        group = self._calibration(name, rate)
        threshold = group.threshold()
        level = next((each for each in group.levels if each.least == threshold), group.levels[-1])
        error = estimate(level.wrong, level.wrong + level.right)
        curve = tuple((each.least, each.wrong, each.wrong + each.right) for each in group.levels)
        return Group(name, threshold, error, group.floor, group.restarts, curve)


def _feed(calibration: Calibration, name: str, judged: Judged) -> None:
    # What is said of a hit tightens the narrowest group alone; evidence counts in all of them.
    if judged.reported and name == judged.groups[0]:
        calibration.report(judged.comparison.confidence)
    else:
        calibration.take(judged.comparison)
