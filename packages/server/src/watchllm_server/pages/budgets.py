"""What is left of the limits of a project, as the page of costs shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchllm_server.limits import EACH, most_used, shown_amount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from watchllm_server.metadata.limits import Counted, Window
    from watchllm_server.metadata.models import Limit


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit and what was used of it in the window that runs now, in words."""

    whose: str
    """The project, a key or a user; where each has the limit, whoever has used the most."""
    limit: str
    """As in `$100 a month` and `60 requests a minute`."""
    used: str
    left: str
    share: float
    """Of the limit that is used, from 0 on."""
    refuses: bool
    """Whether calls are refused beyond it; otherwise it is only told."""
    ends_at: datetime
    """When the next window begins, in UTC."""


def budgets(limits: Iterable[Limit], uses: Mapping[Counted, Window], now: datetime) -> list[Budget]:
    """Return what is left of each limit, the most used first."""
    found = [_budget(limit, uses, now) for limit in limits]
    return sorted(found, key=lambda budget: -budget.share)


def _budget(limit: Limit, uses: Mapping[Counted, Window], now: datetime) -> Budget:
    most = most_used(limit, uses, now)
    return Budget(
        whose=_whose(limit, most.subject),
        limit=f"{_amount(limit.amount, limit.unit)} a {limit.per}",
        used=_amount(most.used, limit.unit),
        left=_amount(max(0, limit.amount - most.used), limit.unit),
        share=most.used / limit.amount if limit.amount else 1.0,
        refuses=limit.action == "refuse",
        ends_at=most.ends_at,
    )


def _whose(limit: Limit, subject: str) -> str:
    if limit.scope == "project":
        return "the project"
    if limit.subject == EACH:
        return f"each {limit.scope}" + (f"; the most: {subject}" if subject else "")
    return f"{limit.scope} {subject}"


def _amount(amount: int, unit: str) -> str:
    return f"${shown_amount(amount, unit)}" if unit == "usd" else f"{amount:,} {unit}"
