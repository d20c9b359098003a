"""Delete the events that are older than their project keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from watchllm_server.events import EPOCH
from watchllm_server.store.deletion import delete_before, drop_months

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watchllm_server.metadata import Project
    from watchllm_server.store.base import EventStore


@dataclass(frozen=True, slots=True)
class Expired:
    """What a round of retention did: months dropped whole, and events deleted one by one."""

    months: int
    events: int


def cutoff(project: Project, default_days: int, now: datetime) -> datetime | None:
    """Return the moment before which a project's events are too old, or None when none are.

    It moves once a day, at midnight UTC, so that a day's deletions are one piece of work.
    """
    days = default_days if project.retention_days is None else project.retention_days
    if days == 0:
        return None
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC)
    return max(midnight - timedelta(days=days), EPOCH)


def expire(
    store: EventStore, projects: Sequence[Project], *, default_days: int, now: datetime
) -> Expired:
    """Delete what is too old in every project; call `purge` then to take it off the disk.

    Months that are too old for all projects are dropped whole, off the disk at once and at no cost.
    Raises StoreError.
    """
    cutoffs = {
        project.id: moment
        for project in projects
        if (moment := cutoff(project, default_days, now)) is not None
    }
    months = drop_months(store, cutoffs)
    return Expired(months, delete_before(store, cutoffs))
