"""Answer what is new or much dearer in a stretch of time, held against the one before it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from watchllm_server.query.costs import costs
from watchllm_server.query.errors import new_errors

if TYPE_CHECKING:
    from watchllm_server.query.costs import Cost
    from watchllm_server.query.errors import NewError
    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore

JUMP: Final = Decimal("1.5")
"""How many times as much as before a model must cost to be named."""

_LEAST_USD: Final = Decimal("0.01")
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class CostJump:
    """A model that was used before and costs much more now, in US dollars."""

    model: str
    before: Decimal
    now: Decimal


@dataclass(frozen=True, slots=True)
class Changes:
    """What was not there in the time before, at most five of each kind, the most first."""

    errors: list[NewError]
    """Kinds of errors that are new."""
    models: list[Cost]
    """Models that are new, with what they cost."""
    jumps: list[CostJump]


def changes(store: EventStore, where: Filter, before: Filter) -> Changes | None:
    """Return what changed; None when nothing was called before, so that all would be new.

    An error is new when none of its kind was there since the beginning of the time before. A model
    counts as dearer when it costs half as much again as before, and at least a cent more.
    """
    found = costs(store, where, by="model", before=before)
    were = {cost.one: cost for cost in found if cost.at < where.date_from}
    if not were:
        return None
    are = [cost for cost in found if cost.one and cost.at == where.date_from]
    errors = new_errors(store, where, since=before.date_from, limit=_SHOWN)
    jumps = [
        CostJump(cost.one, was, cost.usd)
        for cost in are
        if cost.one in were
        and (was := were[cost.one].usd) is not None
        and cost.usd is not None
        and cost.usd - was >= _LEAST_USD
        and cost.usd >= JUMP * was
    ]
    models = [cost for cost in are if cost.one not in were]
    return Changes(errors, models[:_SHOWN], jumps[:_SHOWN])
