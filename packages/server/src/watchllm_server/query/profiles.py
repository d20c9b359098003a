"""Answer how users, prompt templates and releases did, one beside the other.

Where events were sampled, each stands for 1 / sample_rate of its like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from watchllm_server.events import EPOCH
from watchllm_server.query.costs import sum_of_costs
from watchllm_server.query.errors import IS_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore

ProfiledBy = Literal["user", "template", "release"]
ProfileOrder = Literal["cost", "calls", "errors", "last_seen"]

_KEYS: Final[Mapping[ProfiledBy, str]] = {
    "user": "user_id",
    "template": "template",
    "release": "release",
}
_ORDERS: Final[Mapping[ProfileOrder, str]] = {
    "cost": "toFloat64(ifNull(cost_exact, 0)) + ifNull(cost_weighed, 0)",
    "calls": "calls",
    "errors": "errors",
    "last_seen": "last_us",
}
# Users are many, and a digest of latencies for each takes longer than all else.
_LATENCIES: Final = (
    "quantilesTDigestWeightedIf(0.5, 0.95)"
    "(latency_ms, toUInt32(least(100 / sample_rate, 4e9)), event_type = 'prompt_call')"
)
_WANTED: Final = "positionCaseInsensitiveUTF8({key}, {{search:String}}) > 0"
# A version is a number at the end of a template's id, behind a sign: summary@3, summary-v1.2.
_VERSIONED: Final = re.compile(r"(.+?)[@:/#._ -]+(v?\d[\w.]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Profile:
    """What there was of one user, template or release. Counts are estimates with sampling."""

    name: str
    events: int
    calls: int
    """Prompt calls."""
    errors: int
    """Error events, and calls or steps whose status is error or timeout."""
    error_rate: float | None
    """The share of prompt calls that failed; None without calls."""
    tokens_input: int
    """Of the calls whose count is known, like the output."""
    tokens_output: int
    cost_usd: Decimal | None
    """The sum of the costs that are known; None when there are calls and none could be priced."""
    unpriced_calls: int
    """Prompt calls whose cost is not known."""
    first_seen: datetime
    """In the stretch of time that was asked about, in UTC, like the last."""
    last_seen: datetime
    latency_p50_ms: float | None
    """None for users, of whom there are too many, and where no latency is known."""
    latency_p95_ms: float | None

    @property
    def cost_per_call(self) -> Decimal | None:
        """Return what a call of known price costs on average, in US dollars; None for no such."""
        priced = self.calls - self.unpriced_calls
        return self.cost_usd / priced if self.cost_usd is not None and priced > 0 else None

    @property
    def tokens_per_call(self) -> float | None:
        """Return the tokens of a call on average, input and output; None without calls."""
        return (self.tokens_input + self.tokens_output) / self.calls if self.calls else None


def profiles(
    store: EventStore,
    where: Filter,
    by: ProfiledBy,
    *,
    limit: int,
    order: ProfileOrder = "cost",
    search: str = "",
) -> list[Profile]:
    """Return users, templates or releases with what there was of each, the most first.

    `search` narrows to names that hold a text, in upper or lower case.
    """
    key = _KEYS[by]
    rows = store.query(
        "profiles",
        {**where.parameters(), "limit": limit, "search": search},
        {
            "key": key,
            "is_error": IS_ERROR,
            "condition": where.condition(),
            "wanted": _WANTED.format(key=key) if search else "1",
            "order": _ORDERS[order],
            "latencies": "[NULL, NULL]" if by == "user" else _LATENCIES,
        },
    )
    return [_profile(row) for row in rows]


def template_family(template: str) -> tuple[str, str]:
    """Return the name of a template and its version, which is empty where the id ends in none."""
    found = _VERSIONED.fullmatch(template)
    return (found[1], found[2]) if found else (template, "")


def template_families(found: Iterable[Profile]) -> dict[str, list[Profile]]:
    """Return templates by their name, versions of one from the oldest to the newest first seen."""
    families: dict[str, list[Profile]] = {}
    for profile in found:
        families.setdefault(template_family(profile.name)[0], []).append(profile)
    for versions in families.values():
        versions.sort(key=lambda profile: (profile.first_seen, profile.name))
    return families


def _profile(row: list[Any]) -> Profile:
    (
        name,
        events,
        calls,
        errors,
        failed,
        given,
        made,
        exact,
        weighed,
        unpriced,
        first,
        last,
        times,
    ) = row
    p50, p95 = times
    cost = sum_of_costs(exact, weighed)
    return Profile(
        name=name,
        events=round(events),
        calls=round(calls),
        errors=round(errors),
        error_rate=failed / calls if calls else None,
        tokens_input=round(given),
        tokens_output=round(made),
        cost_usd=cost if cost is not None or calls else Decimal(0),
        unpriced_calls=round(unpriced),
        first_seen=EPOCH + timedelta(microseconds=first),
        last_seen=EPOCH + timedelta(microseconds=last),
        latency_p50_ms=p50,
        latency_p95_ms=p95,
    )
