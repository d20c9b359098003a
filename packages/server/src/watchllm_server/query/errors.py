"""Answer which errors there are, those that differ only in numbers and ids as one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from watchllm_server.events import EPOCH

if TYPE_CHECKING:
    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore

IS_ERROR: Final = "(event_type = 'error' OR status IN ('error', 'timeout'))"
"""What counts as an error, as SQL: error events, and calls or steps that failed."""

_KIND: Final = (
    "if(error_type = '' AND error_message = '' AND status != '', "
    "toString(status), toString(error_type))"
)


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Errors of one kind. Times are UTC; lists hold at most 100 values."""

    fingerprint: str
    """16 hexadecimal digits; the same for the same type and pattern, in every project."""
    type: str
    """As the sender named it; without a name and a message, the status of what failed."""
    pattern: str
    """The message, of which only the first 500 characters count, with # for what varies."""
    message: str
    """Of the newest."""
    event_id: str
    """Of the newest."""
    run_id: str
    """Of the newest."""
    occurrences: int
    """Sampled events count 1 / sample_rate-fold."""
    runs: int
    """That are stored with such an error."""
    users: int
    """That are stored with such an error."""
    first_seen: datetime
    last_seen: datetime
    models: list[str]
    releases: list[str]


def error_groups(store: EventStore, where: Filter, *, limit: int) -> list[ErrorGroup]:
    """Return the kinds of errors that match, the most frequent first."""
    fragments = {"condition": where.condition(), "is_error": IS_ERROR, "kind": _KIND}
    parameters = where.parameters()
    rows = store.query("error_groups", {**parameters, "limit": limit}, fragments)
    if not rows:
        return []
    moments = [str(last) for *_, last, _, _ in rows]
    found = store.query("error_examples", {**parameters, "moments": moments}, fragments)
    newest = {(kind, pattern): example for kind, pattern, example in found}
    # What is erased between the two questions has no example left.
    return [_group(row, newest[row[1], row[2]]) for row in rows if (row[1], row[2]) in newest]


def _group(row: list[Any], newest: list[str]) -> ErrorGroup:
    fingerprint, kind, pattern, occurrences, runs, users, first, last, models, releases = row
    message, event_id, run_id = newest
    return ErrorGroup(
        fingerprint=fingerprint,
        type=kind,
        pattern=pattern,
        message=message,
        event_id=event_id,
        run_id=run_id,
        occurrences=round(occurrences),
        runs=runs,
        users=users,
        first_seen=EPOCH + timedelta(microseconds=first),
        last_seen=EPOCH + timedelta(microseconds=last),
        models=models,
        releases=releases,
    )
