"""Answer how the gateway's cache took part in calls: what it saved, and what it would have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from watchllm_server.events import EPOCH
from watchllm_server.query.spans import BEFORE, span_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore

EXACT: Final = frozenset({"HIT", "HIT-COALESCED"})
"""Outcomes of a request that was asked before, or is being asked, word for word."""
SEMANTIC: Final = "HIT-SEMANTIC"
"""The outcome of a request that another's answer served by its meaning."""

_Outcome = tuple[str, float, float, float, float]
"""An outcome, and how many calls had it, what they saved, the would-be hits and their costs."""
Which = Literal["served", "would", "unsure"]
"""Matches that were given out, that would have been, and that were not sure enough."""

_SERVED: Final = f"cache = '{SEMANTIC}'"
_WHICH: Final[Mapping[Which | None, str]] = {
    None: "1",
    "served": _SERVED,
    "would": "would_hit",
    "unsure": f"NOT would_hit AND NOT {_SERVED}",
}
_CHARACTERS: Final = 4_000


@dataclass(frozen=True, slots=True)
class CacheTotals:
    """How the cache took part in the calls of a stretch of time; estimates with sampling."""

    at: datetime
    """Where the stretch begins, in UTC."""
    calls: int = 0
    """That came by the cache, whether or not it was allowed to answer."""
    exact_hits: int = 0
    semantic_hits: int = 0
    would_hits: int = 0
    """Calls that another's answer was near enough to serve by its meaning, but not allowed to."""
    exact_saved_usd: float = 0.0
    semantic_saved_usd: float = 0.0
    missed_usd: float = 0.0
    """What the would-be hits cost, as far as it is known."""

    @property
    def hit_rate(self) -> float | None:
        """Return the share of calls that the cache answered; None without calls."""
        return (self.exact_hits + self.semantic_hits) / self.calls if self.calls else None


@dataclass(frozen=True, slots=True)
class Match:
    """A call, and the earlier one whose answer was the nearest. Texts are cut at 4,000."""

    event_id: str
    run_id: str
    at: datetime
    model: str
    served: bool
    """Whether the earlier answer was given out."""
    would_hit: bool
    """Whether it was not, though it was as sure as the project asks for."""
    similarity: float | None
    confidence: float | None
    usd: float | None
    """What the match saved, or would have saved; None where that is not known."""
    prompt: str
    response: str
    other_event_id: str
    other_prompt: str | None
    """Of the earlier call; None when it is not stored, or not any more."""
    other_response: str | None


def cache_totals(store: EventStore, where: Filter, *, width: timedelta) -> list[CacheTotals]:
    """Return how the cache took part in calls over time, in stretches counted from 1970.

    Stretches without calls through the cache are left out.
    """
    found = _outcomes(store, where, width=width)
    return [_totals(EPOCH + bucket * width, each) for bucket, each in found.items()]


def cache_compared(
    store: EventStore, where: Filter, before: Filter
) -> tuple[CacheTotals, CacheTotals]:
    """Return how the cache took part in a stretch of time, and in the time before."""
    found = _outcomes(store, where, before=before)
    return (
        _totals(where.date_from, found.get(0, [])),
        _totals(before.date_from, found.get(BEFORE, [])),
    )


def sum_of_totals(found: list[CacheTotals], at: datetime) -> CacheTotals:
    """Return several stretches as one."""
    return CacheTotals(
        at=at,
        calls=sum(each.calls for each in found),
        exact_hits=sum(each.exact_hits for each in found),
        semantic_hits=sum(each.semantic_hits for each in found),
        would_hits=sum(each.would_hits for each in found),
        exact_saved_usd=sum(each.exact_saved_usd for each in found),
        semantic_saved_usd=sum(each.semantic_saved_usd for each in found),
        missed_usd=sum(each.missed_usd for each in found),
    )


def matches(
    store: EventStore, where: Filter, *, limit: int, which: Which | None = None
) -> list[Match]:
    """Return the newest calls with a stored answer to another wording, the newest first."""
    given = {**where.parameters(), "characters": _CHARACTERS}
    rows = store.query(
        "matches",
        {**given, "limit": limit},
        {"condition": where.condition(), "which": _WHICH[which]},
    )
    texts: dict[str, tuple[str, str]] = {}
    if rows:
        others = sorted({other for _, other, *_ in rows})
        found = store.query("texts_of", {**given, "event_ids": others})
        texts = {event_id: (prompt, response) for event_id, prompt, response in found}
    return [_match(row, *texts.get(row[1], (None, None))) for row in rows]


def _match(row: list[Any], other_prompt: str | None, other_response: str | None) -> Match:
    event_id, other, run_id, at, model, served, would, similarity, confidence, usd = row[:10]
    return Match(
        event_id=event_id,
        run_id=run_id,
        at=EPOCH + timedelta(microseconds=at),
        model=model,
        served=bool(served),
        would_hit=bool(would),
        similarity=similarity,
        confidence=confidence,
        usd=usd,
        prompt=row[10],
        response=row[11],
        other_event_id=other,
        other_prompt=other_prompt,
        other_response=other_response,
    )


def _outcomes(
    store: EventStore,
    where: Filter,
    *,
    width: timedelta | None = None,
    before: Filter | None = None,
) -> dict[int, list[_Outcome]]:
    """Return what became of calls, by the buckets of `span_of`."""
    span = span_of(where, width, by=["cache"], before=before)
    rows = store.query(
        "cache_outcomes",
        {**where.parameters(), **span.parameters},
        {"bucket": span.bucket, "span": span.condition, "condition": where.condition()},
    )
    found: dict[int, list[_Outcome]] = {}
    for bucket, *outcome in rows:
        found.setdefault(bucket, []).append(tuple(outcome))
    return found


def _totals(at: datetime, outcomes: list[_Outcome]) -> CacheTotals:
    exact = [each for each in outcomes if each[0] in EXACT]
    semantic = [each for each in outcomes if each[0] == SEMANTIC]
    return CacheTotals(
        at=at,
        calls=round(sum(each[1] for each in outcomes)),
        exact_hits=round(sum(each[1] for each in exact)),
        semantic_hits=round(sum(each[1] for each in semantic)),
        would_hits=round(sum(each[3] for each in outcomes)),
        exact_saved_usd=sum(each[2] for each in exact),
        semantic_saved_usd=sum(each[2] for each in semantic),
        missed_usd=sum(each[4] for each in outcomes),
    )
