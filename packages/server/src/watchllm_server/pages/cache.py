"""The page of the gateway's cache: what it saved and could have, its answers, forgetting them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

from watchllm_server.cache.entry import Chosen
from watchllm_server.errors import Problem, invalid_query
from watchllm_server.events import parse_timestamp
from watchllm_server.pages import format as show
from watchllm_server.pages.cache_evidence import evidence_of, take_feedback
from watchllm_server.pages.charts import Chart, Line, number
from watchllm_server.pages.narrowing import values_of
from watchllm_server.pages.site import Page, Visit
from watchllm_server.query.cached import (
    CacheTotals,
    Which,
    cache_totals,
    matches,
    sum_of_totals,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.responses import Response

    from watchllm_server.cache.disk import Sums
    from watchllm_server.pages.cache_evidence import Evidence
    from watchllm_server.pages.narrowing import Values
    from watchllm_server.query.cached import Match

_MATCHES: Final = 20
_ENTRIES: Final = 50
_WHICH: Final[Mapping[Which, str]] = {
    "served": "Given out",
    "would": "Would have been given out",
    "unsure": "Not sure enough",
}


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer that the cache keeps; its text is sealed."""

    model: str
    namespace: str
    event_id: str
    """Of the call that was paid for."""
    created_at: datetime
    expires_at: datetime
    used_at: datetime
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class CachePage:
    """What the cache did in the stretch of time, and what it keeps now."""

    values: Values
    total: CacheTotals
    charts: list[Chart]
    which: Which | None
    kinds: list[tuple[str, str, bool]]
    """The name and the address of each list of matches, and whether it is this one."""
    matches: list[Match]
    sums: Sums | None
    """None on a server without a gateway, or while the file cannot be read."""
    entries: list[KeptAnswer]
    """The newest ones."""
    evidence: Evidence | None
    """What is known of hits by meaning; None on a server without a gateway."""
    notice: str
    """What a form has done just now; empty without one."""


def cache(visit: Visit) -> Response:
    """Show the cache."""
    return _cache(visit)


def act(visit: Visit) -> Response:
    """Carry out the form that was sent, and show the cache with what it has done."""
    action = visit.chosen(_ACTIONS)
    try:
        notice = action(visit)
    except sqlite3.Error:
        message = "The cache cannot use its file now. Try again in a moment."
        raise Problem(503, "cache_unavailable", message) from None
    return _cache(visit, notice)


def _feedback(visit: Visit) -> str:
    """Take a person's word for an answer that was, or would have been, given out."""
    count = take_feedback(visit)
    said = f"Noted: {visit.form['answer']}."
    return f"{said} The answer was forgotten." if count else said


def _invalidate(visit: Visit) -> str:
    """Forget the answers that a form means."""
    kept = visit.services.cache
    if kept is None:
        raise Problem(404, "not_found", "This server has no gateway, and so no cache.")
    form = visit.form
    chosen = Chosen(
        form.get("model") or None,
        form.get("namespace") or None,
        _before(form.get("before", "")),
        None,
        form.get("event_id") or None,
    )
    if (form.get("all") == "yes") != (chosen == Chosen()):
        message = "Nothing was forgotten: say which answers are meant, or that all of them are."
        raise Problem(400, "invalid_request", message)
    count = kept.invalidate(visit.project.id, chosen)
    return (
        f"Forgotten: {show.counted(count, 'answer')}. Nobody is given what was kept here any more."
    )


def _cache(visit: Visit, notice: str = "") -> Response:
    store, state = visit.services.store, visit.state
    where, which = state.filter(visit.project.id), _which(visit)
    found = cache_totals(store, where, width=state.stretches.width)
    sums, entries = _kept(visit)
    names: list[tuple[Which | None, str]] = [(None, "All"), *_WHICH.items()]
    context = CachePage(
        values=values_of(visit),
        total=sum_of_totals(found, state.stretches.date_from),
        charts=_charts(visit, found) if found else [],
        which=which,
        kinds=[(name, state.url(which=key), key == which) for key, name in names],
        matches=matches(store, where, limit=_MATCHES, which=which),
        sums=sums,
        entries=entries,
        evidence=evidence_of(visit),
        notice=notice,
    )
    return visit.render("cache.html", context)


def _which(visit: Visit) -> Which | None:
    wanted = visit.state["which"]
    if wanted and wanted not in _WHICH:
        raise invalid_query(f"`which` must be one of {', '.join(_WHICH)}, not {wanted[:40]!r}.")
    return cast("Which", wanted) or None


def _kept(visit: Visit) -> tuple[Sums | None, list[KeptAnswer]]:
    kept = visit.services.cache
    if kept is None:
        return None, []
    try:
        sums = kept.stats(visit.project.id)
        newest = kept.newest(visit.project.id, _ENTRIES)
    except sqlite3.Error:
        return None, []
    return sums, [
        KeptAnswer(
            model=each.model,
            namespace=each.namespace,
            event_id=each.event_id,
            created_at=_moment(each.created),
            expires_at=_moment(each.expires),
            used_at=_moment(each.used),
            size=each.size,
        )
        for each in newest
    ]


def _charts(visit: Visit, found: list[CacheTotals]) -> list[Chart]:
    start, end, width = visit.state.stretches
    of = {each.at: each for each in found}
    times = [start + place * width for place in range((end - start) // width)]
    steps = [of.get(at, CacheTotals(at)) for at in times]
    hits = [
        Line("word for word", [each.exact_hits for each in steps], "1"),
        Line("by meaning", [each.semantic_hits for each in steps], "3"),
        Line(
            "not from the cache",
            [each.calls - each.exact_hits - each.semantic_hits for each in steps],
            "muted",
        ),
    ]
    money = [
        Line("word for word", [number(each.exact_saved_usd) for each in steps], "1"),
        Line("by meaning", [number(each.semantic_saved_usd) for each in steps], "3"),
        Line("missed", [number(each.missed_usd) for each in steps], "muted"),
    ]
    return [
        Chart("Calls by who answered", "count", times, width, hits, kind="stacked"),
        Chart("Saved and missed", "usd", times, width, money, kind="stacked"),
    ]


def _before(text: str) -> float | None:
    """Return a time of a form, which is in UTC, in seconds since 1970; None for none."""
    if not text:
        return None
    try:
        return parse_timestamp(
            f"{text}:00Z" if len(text) == len("2026-11-24T09:30") else text
        ).timestamp()
    except ValueError as error:
        raise Problem(400, "invalid_request", f"The time {error}.") from None


def _moment(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


_ACTIONS: Final[Mapping[str, Callable[[Visit], str]]] = {
    "feedback": _feedback,
    "invalidate": _invalidate,
}
"""By what a form says it does: what carries it out and says so."""

_PATH: Final = "/cache"
PAGES: Final = (
    Page(_PATH, cache, name="Cache", key="h", place=6, default_range="30d", more=("which",)),
    Page(_PATH, act, method="POST", default_range="30d", more=("which",)),
)
