"""Answer which errors there are, those that differ only in numbers and ids as one.

Failed assertions and detected hallucinations are grouped alike: by the assertion's name, and by how
they were detected.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from watchllm_server.events import EPOCH, micros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore

Trouble = Literal["error", "assertion", "hallucination"]
"""What is looked for: errors, failed assertions or detected hallucinations."""

IS_ERROR: Final = "(event_type = 'error' OR status IN ('error', 'timeout'))"
"""What counts as an error, as SQL: error events, and calls or steps that failed."""


class _Grouping(NamedTuple):
    """As SQL: which events are meant, and what their group and their words are."""

    which: str
    kind: str
    pattern: str
    message: str


_GROUPINGS: Final[Mapping[Trouble, _Grouping]] = {
    "error": _Grouping(
        IS_ERROR,
        "if(error_type = '' AND error_pattern = '' AND status != '', "
        "toString(status), toString(error_type))",
        "error_pattern",
        "error_message",
    ),
    "assertion": _Grouping(
        "event_type = 'assertion_failed'",
        "JSONExtractString(attributes, 'assertion_name')",
        "JSONExtractString(attributes, 'assertion_type')",
        "concat('expected ', substringUTF8(JSONExtractRaw(attributes, 'expected'), 1, 230), "
        "', got ', substringUTF8(JSONExtractRaw(attributes, 'actual'), 1, 230))",
    ),
    "hallucination": _Grouping(
        "event_type = 'hallucination_detected'",
        "JSONExtractString(attributes, 'detection_method')",
        "''",
        "substringUTF8(JSONExtractString(attributes, 'flagged_content'), 1, 500)",
    ),
}
_FINGERPRINT: Final = "lower(hex(sipHash64({kind}, {pattern})))"
_TREND: Final = (
    "sumMap([intDiv(toUnixTimestamp64Micro(ts) - {from_us:Int64}, {width:Int64})],"
    " [1 / greatest(sample_rate, 1e-6)])"
)
_MICROSECOND: Final = timedelta(microseconds=1)


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


class NewError(NamedTuple):
    """A kind of errors that was not there before. Its words and its run are those of the newest."""

    type: str
    message: str
    run_id: str
    occurrences: int
    """Sampled events count 1 / sample_rate-fold."""


class Affected(NamedTuple):
    """How many errors of one kind something had: a model, a release, a user or an environment."""

    name: str
    occurrences: int


class ErrorEvent(NamedTuple):
    """One error, without its words. Its time is UTC; what is not known is empty."""

    event_id: str
    run_id: str
    at: datetime
    user_id: str
    release: str
    env: str
    model: str


def error_groups(
    store: EventStore,
    where: Filter,
    *,
    limit: int,
    trouble: Trouble = "error",
    fingerprint: str = "",
) -> list[ErrorGroup]:
    """Return the kinds of errors that match, the most frequent first, or the one that is named."""
    rows = _groups(store, where, limit=limit, trouble=trouble, fingerprint=fingerprint)
    return [group for group, _ in rows]


def error_trends(
    store: EventStore,
    where: Filter,
    *,
    limit: int,
    width: timedelta,
    trouble: Trouble = "error",
    fingerprint: str = "",
) -> list[tuple[ErrorGroup, list[int]]]:
    """Return the kinds of errors as `error_groups` does, and how many there were in each step.

    Steps are `width` long, the oldest first, and the first begins at `where.date_from`.
    """
    step = width // _MICROSECOND
    steps = -(-(micros(where.until) - micros(where.date_from)) // step)
    found = []
    rows = _groups(store, where, limit=limit, trouble=trouble, fingerprint=fingerprint, step=step)
    for group, counts in rows:
        trend = [0] * steps
        for place, number in zip(*counts, strict=True):
            trend[place] = round(number)
        found.append((group, trend))
    return found


def _groups(
    store: EventStore,
    where: Filter,
    *,
    limit: int,
    trouble: Trouble,
    fingerprint: str,
    step: int = 0,
) -> list[tuple[ErrorGroup, list[list[float]]]]:
    """Return kinds of errors, each with the numbers of steps and how many there were in each."""
    fragments = {
        **_fragments(where, trouble),
        "trend": _TREND if step else "([], [])",
        # The engine works a condition on keys out for every error, before it groups them.
        "named": "fingerprint = {fingerprint:String}" if fingerprint else "1",
    }
    parameters = {**where.parameters(), "fingerprint": fingerprint, "width": step}
    rows = store.query("error_groups", {**parameters, "limit": limit}, fragments)
    newest = _newest(store, where, fragments, [row[7] for row in rows])
    # What is erased between the two questions has no example left.
    return [
        (_group(row, newest[row[1], row[2]]), row[10]) for row in rows if (row[1], row[2]) in newest
    ]


def new_errors(store: EventStore, where: Filter, *, since: datetime, limit: int) -> list[NewError]:
    """Return the kinds of errors that were not there from `since` until `where` begins.

    The most frequent come first.
    """
    fragments = _fragments(where, "error")
    parameters = {**where.parameters(), "since_us": micros(since), "limit": limit}
    rows = store.query("error_news", parameters, fragments)
    newest = _newest(store, where, fragments, [last for *_, last in rows])
    return [
        NewError(kind, message=example[0], run_id=example[2], occurrences=round(occurrences))
        for kind, pattern, occurrences, _ in rows
        if (example := newest.get((kind, pattern)))
    ]


def _newest(
    store: EventStore, where: Filter, fragments: Mapping[str, str], moments: Sequence[int]
) -> dict[tuple[str, str], list[str]]:
    """Return words, id and run of the newest of each kind, which are known to be of moments."""
    if not moments:
        return {}
    parameters = {**where.parameters(), "moments": [str(moment) for moment in moments]}
    rows = store.query("error_examples", parameters, fragments)
    return {(kind, pattern): example for kind, pattern, example in rows}


def error_affected(
    store: EventStore, where: Filter, fingerprint: str, *, trouble: Trouble = "error"
) -> dict[str, list[Affected]]:
    """Return whom errors of one kind hit most: ten each of `model`, `release`, `user`, `env`."""
    parameters = {**where.parameters(), "fingerprint": fingerprint}
    rows = store.query("error_affected", parameters, _fragments(where, trouble))
    found: dict[str, list[Affected]] = {"model": [], "release": [], "user": [], "env": []}
    for dimension, name, occurrences in rows:
        found[dimension].append(Affected(name, round(occurrences)))
    return found


def error_events(
    store: EventStore,
    where: Filter,
    fingerprint: str,
    *,
    limit: int,
    trouble: Trouble = "error",
) -> list[ErrorEvent]:
    """Return the newest errors of one kind, the newest first."""
    parameters = {**where.parameters(), "fingerprint": fingerprint, "limit": limit}
    rows = store.query("error_events", parameters, _fragments(where, trouble))
    return [
        ErrorEvent(event_id, run_id, EPOCH + timedelta(microseconds=at), *others)
        for event_id, run_id, at, *others in rows
    ]


def _fragments(where: Filter, trouble: Trouble) -> dict[str, str]:
    grouping = _GROUPINGS[trouble]
    return {
        "condition": where.condition(),
        "is_error": grouping.which,
        "kind": grouping.kind,
        "pattern": grouping.pattern,
        "message": grouping.message,
        "fingerprint": _FINGERPRINT.format(kind=grouping.kind, pattern=grouping.pattern),
    }


def _group(row: list[Any], newest: list[str]) -> ErrorGroup:
    fingerprint, kind, pattern, occurrences, runs, users, first, last, models, releases = row[:10]
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
