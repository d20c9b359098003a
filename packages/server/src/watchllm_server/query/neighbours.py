"""Answer which runs began right before and right after a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from watchllm_server.events import EPOCH, micros
from watchllm_server.query.runs import beginnings_of_runs

if TYPE_CHECKING:
    from watchllm_server.query.runs import Run
    from watchllm_server.store.base import EventStore

_SECOND: Final = 1_000_000
# A neighbour is mostly near: a longer stretch is looked at only when a shorter one has none.
_STRETCHES: Final = (3_600 * _SECOND, 86_400 * _SECOND, 300 * 366 * 86_400 * _SECOND)
_CANDIDATES: Final = 8


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The ids of the runs beside a run, in the order of their beginnings and then of their ids."""

    older: str | None
    newer: str | None


def neighbours_of_run(store: EventStore, project_id: str, run: Run) -> Neighbours:
    """Return the runs of the project that began right before and right after a run."""
    return Neighbours(
        older=_nearest(store, project_id, run, "DESC"),
        newer=_nearest(store, project_id, run, "ASC"),
    )


def _nearest(
    store: EventStore, project_id: str, run: Run, direction: Literal["ASC", "DESC"]
) -> str | None:
    started = micros(run.started_at)
    for length in _STRETCHES:
        after: tuple[int, str] | None = None
        span = (
            (started, started + length) if direction == "ASC" else (started - length, started + 1)
        )
        while True:
            found = _candidates(store, project_id, span, after or (started, run.run_id), direction)
            began = beginnings_of_runs(store, project_id, [run_id for run_id, _ in found])
            for run_id, first in found:
                # One that began before the stretch is not in its place in this order.
                if began.get(run_id) == first:
                    return run_id
            if len(found) < _CANDIDATES:
                break
            run_id, first = found[-1]
            after = (first, run_id)
    return None


def _candidates(
    store: EventStore,
    project_id: str,
    span: tuple[int, int],
    after: tuple[int, str],
    direction: str,
) -> list[tuple[str, int]]:
    by = ">" if direction == "ASC" else "<"
    rows = store.query(
        "run_candidates",
        {
            "project_id": project_id,
            "from_us": max(span[0], micros(EPOCH)),
            "until_us": span[1],
            "after_us": after[0],
            "after_id": after[1],
            "limit": _CANDIDATES,
        },
        {
            "beside": f"(first_us, run_id) {by} ({{after_us:Int64}}, {{after_id:String}})",
            "direction": direction,
        },
    )
    return [(run_id, first) for run_id, first in rows]
