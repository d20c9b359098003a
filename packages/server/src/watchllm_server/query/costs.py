"""Answer what calls cost, by any two of what they are told apart by, and over time.

Where calls were sampled, each stands for 1 / sample_rate of its like, and every sum says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from watchllm_server.events import EPOCH
from watchllm_server.query.spans import BEFORE, span_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore, Value

CostBy = Literal["model", "user", "tag", "release", "env", "template"]

_KEYS: Final[Mapping[CostBy | None, str]] = {
    None: "''",
    "model": "model",
    "user": "user_id",
    "tag": "tags",
    "release": "release",
    "env": "env",
    "template": "template",
}
_MOST: Final = 10_000
_BY_COST: Final = "toFloat64(ifNull(cost_exact, 0)) + ifNull(cost_weighed, 0)"


@dataclass(frozen=True, slots=True)
class Cost:
    """What some calls cost. Counts are estimates where calls were sampled."""

    one: str
    """The value of what was asked `by`; empty where calls have none, or nothing was asked by."""
    other: str
    """The value of what was asked `across`, likewise."""
    at: datetime
    """Where the stretch of time begins, in UTC; 1970 without a width."""
    usd: Decimal | None
    """The sum of the costs that are known; None when no call could be priced."""
    calls: int
    unpriced_calls: int
    """Calls whose cost is not known."""


def costs(
    store: EventStore,
    where: Filter,
    *,
    by: CostBy | None = None,
    across: CostBy | None = None,
    among: Sequence[str] | None = None,
    width: timedelta | None = None,
    before: Filter | None = None,
    only_unpriced: bool = False,
    limit: int = _MOST,
) -> list[Cost]:
    """Return what prompt calls cost, the most expensive first.

    They are summed by one or two of what tells them apart, and by stretches of time of a `width`,
    counted from 1970. `among` narrows to values of `by`. A call counts in each of its tags.
    `before` is asked about as well: an earlier stretch of time, and each cost is then at the
    beginning of its own. `only_unpriced` returns those with calls of unknown price, the most of
    them first.
    """
    span = span_of(where, width, by=[by, across], before=before)
    parameters: dict[str, Value] = {**where.parameters(), **span.parameters, "limit": limit}
    chosen = chosen_keys = "1"
    if among is not None:
        parameters["among"] = list(among)
        chosen = "one IN {among:Array(String)}"
        chosen_keys = "1" if by == "tag" else "one_key IN {among:Array(String)}"
    rows = store.query(
        "cost_cells",
        parameters,
        {
            "one_key": _KEYS[by],
            "other_key": _KEYS[across],
            # Calls with the same tags are summed up before each tag takes its share.
            "one": _member("one_key", by),
            "other": _member("other_key", across),
            "bucket": span.bucket,
            "span": span.condition,
            "condition": where.condition(),
            "chosen_keys": chosen_keys,
            "chosen": chosen,
            "having": "unpriced > 0" if only_unpriced else "1",
            "order": "unpriced" if only_unpriced else _BY_COST,
        },
    )
    found = [_cost(row, width or timedelta()) for row in rows]
    if before is None:
        return found
    return [
        replace(cost, at=(before if bucket == BEFORE else where).date_from)
        for cost, (_, _, bucket, *_) in zip(found, rows, strict=True)
    ]


def sum_of_costs(exact: str | None, weighed: float | None) -> Decimal | None:
    """Return the cost of unsampled and sampled calls together; None when neither is known."""
    if exact is None and weighed is None:
        return None
    return Decimal(exact or 0) + Decimal(repr(weighed or 0.0))


def _member(key: str, by: CostBy | None) -> str:
    return f"arrayJoin(emptyArrayToSingle({key}))" if by == "tag" else key


def _cost(row: list[Any], width: timedelta) -> Cost:
    one, other, bucket, exact, weighed, calls, unpriced = row
    return Cost(
        one=one,
        other=other,
        at=EPOCH + bucket * width,
        usd=sum_of_costs(exact, weighed),
        calls=round(calls),
        unpriced_calls=round(unpriced),
    )
