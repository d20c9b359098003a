"""Delete events: out of every answer at once, then off the disk."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from watchllm_server.events import micros

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.store.base import EventStore, Value

Subject = Literal["user", "run", "project"]
"""Whose events may be erased."""

_OF_PROJECT: Final = "project_id = {project_id:String}"
_CONDITIONS: Final[Mapping[Subject, str]] = {
    "user": f"{_OF_PROJECT} AND user_id = {{subject:String}}",
    "run": f"{_OF_PROJECT} AND run_id = {{subject:String}}",
    "project": f"{_OF_PROJECT} AND project_id = {{subject:String}}",
}
# The first line lets the engine leave out the months that are young enough for all.
_EXPIRED: Final = """
    ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
    AND project_id IN {projects:Array(String)}
    AND toUnixTimestamp64Micro(ts) < toInt64(transform(
        toString(project_id), {projects:Array(String)}, {moments:Array(String)}, '0'))
"""
_MONTH = re.compile(r"\d{6}", re.ASCII)
_DECEMBER: Final = 12


def erase(store: EventStore, project_id: str, subject: Subject, name: str) -> int:
    """Delete what a project holds of a user or a run, or all of it; return how many events.

    Once it returns, no list, total or search knows them. Call `purge` to take them off the disk.
    Raises StoreError.
    """
    parameters = {"project_id": project_id, "subject": name}
    return _delete(store, parameters, _CONDITIONS[subject])


def delete_before(store: EventStore, cutoffs: Mapping[str, datetime]) -> int:
    """Delete of each project what happened before its moment; return how many events.

    It is one statement for all projects, because each rewrites a little of every month.
    Raises StoreError.
    """
    if not cutoffs:
        return 0
    parameters: dict[str, Value] = {
        "until_us": micros(max(cutoffs.values())),
        "projects": list(cutoffs),
        "moments": [str(micros(moment)) for moment in cutoffs.values()],
    }
    return _delete(store, parameters, _EXPIRED)


def purge(store: EventStore, *, wait: bool) -> bool:
    """Take deleted events off the disk by writing anew what lies beside them.

    Returns whether there are none left. Without `wait` the engine works on by itself, also after a
    restart, and the answer tells the state before. Raises StoreError.
    """
    months = store.query("deletion_unpurged", {})
    for month, at_work in months:
        if wait or not at_work:
            store.run("deletion_purge", {"wait": int(wait)}, {"partition": checked_month(month)})
    return wait or not months


def drop_months(store: EventStore, cutoffs: Mapping[str, datetime]) -> int:
    """Drop the months of which every event is older than its project's moment; return how many.

    A month stays that holds an event of a project that is not named. Raises StoreError.
    """
    if not cutoffs:
        return 0
    until = micros(max(cutoffs.values()))
    dropped = 0
    for month, projects in store.query("deletion_months", {"until_us": until}):
        end = _end(checked_month(month))
        if all(project in cutoffs and end <= cutoffs[project] for project in projects):
            store.run("deletion_drop_month", {}, {"partition": month})
            dropped += 1
    return dropped


def _delete(store: EventStore, parameters: Mapping[str, Value], condition: str) -> int:
    found: int = store.query("deletion_count", parameters, {"condition": condition})[0][0]
    if found:
        store.run("deletion", parameters, {"condition": condition})
    return found


def checked_month(month: str) -> str:
    """Return a month as the engine names it, such as 202611; raise ValueError for other text."""
    if not _MONTH.fullmatch(month):
        raise ValueError(month)
    return month


def _end(month: str) -> datetime:
    year, number = int(month[:4]), int(month[4:])
    if number == _DECEMBER:
        return datetime(year + 1, 1, 1, tzinfo=UTC)
    return datetime(year, number + 1, 1, tzinfo=UTC)
