"""Answer what is new or much dearer in a stretch of time, held against the one before it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from watchllm_server.query.costs import costs
from watchllm_server.query.errors import error_groups

if TYPE_CHECKING:
    from watchllm_server.query.costs import Cost
    from watchllm_server.query.errors import ErrorGroup
    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore

JUMP: Final = Decimal("1.5")
"""How many times as much as before a model must cost to be named."""

_LEAST_USD: Final = Decimal("0.01")
_GROUPS: Final = 100
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

    errors: list[ErrorGroup]
    """Kinds of errors that are new."""
    models: list[Cost]
    """Models that are new, with what they cost."""
    jumps: list[CostJump]


def changes(store: EventStore, where: Filter, before: Filter) -> Changes | None:
    """Return what changed; None when nothing was called before, so that all would be new.

    Of errors, the 100 most frequent kinds of each time are looked at. A model counts as dearer when
    it costs half as much again as before, and at least a cent more.
    """
    were = {cost.one: cost for cost in costs(store, before, by="model")}
    if not were:
        return None
    are = [cost for cost in costs(store, where, by="model") if cost.one]
    known = {group.fingerprint for group in error_groups(store, before, limit=_GROUPS)}
    errors = [
        group
        for group in error_groups(store, where, limit=_GROUPS)
        if group.fingerprint not in known
    ]
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
    return Changes(errors[:_SHOWN], models[:_SHOWN], jumps[:_SHOWN])
