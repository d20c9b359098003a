"""The limits of a project: what is left of them, and the forms that set and remove them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from watchllm_server.errors import MetadataError
from watchllm_server.limits import (
    EACH,
    Action,
    Per,
    Scope,
    Unit,
    most_used,
    new_limit,
    shown_amount,
)
from watchllm_server.metadata.limits import Counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from watchllm_server.metadata.limits import Window
    from watchllm_server.metadata.models import Limit
    from watchllm_server.pages.site import Visit

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "scope": get_args(Scope),
    "unit": get_args(Unit),
    "per": get_args(Per),
    "action": get_args(Action),
}
"""What a limit's fields of these names may be."""
_COUNTED: Final = ("scope", "subject", "unit", "per")


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
    fields: list[tuple[str, str]]
    """What a form names the limit by."""
    amount: str
    """As a form has it."""


def budgets(limits: Iterable[Limit], uses: Mapping[Counted, Window], now: datetime) -> list[Budget]:
    """Return what is left of each limit, the most used first."""
    found = [_budget(limit, uses, now) for limit in limits]
    return sorted(found, key=lambda budget: -budget.share)


def put_limit(visit: Visit) -> None:
    """Set the limit of the form that was sent, in place of one that differs in its amount alone.

    Raises MetadataError for what can be no limit.
    """
    given = {name: visit.form.get(name, "").strip() for name in (*_COUNTED, "amount", "action")}
    visit.services.metadata.limits.put(new_limit(visit.project.id, **given))


def remove_limit(visit: Visit) -> None:
    """Remove the limit of the form that was sent; raise MetadataError when there is none."""
    form = visit.form
    counted = Counted(visit.project.id, *(form.get(name, "") for name in _COUNTED))
    if not visit.services.metadata.limits.remove(counted, form.get("action", "")):
        raise MetadataError("The project has no such limit.")


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
        fields=fields_of(limit),
        amount=shown_amount(limit.amount, limit.unit),
    )


def fields_of(limit: Limit) -> list[tuple[str, str]]:
    """Return what a form names a limit by, as pairs of name and value."""
    return [(name, getattr(limit, name)) for name in (*_COUNTED, "action")]


def _whose(limit: Limit, subject: str) -> str:
    if limit.scope == "project":
        return "the project"
    if limit.subject == EACH:
        return f"each {limit.scope}" + (f"; the most: {subject}" if subject else "")
    return f"{limit.scope} {subject}"


def _amount(amount: int, unit: str) -> str:
    return f"${shown_amount(amount, unit)}" if unit == "usd" else f"{amount:,} {unit}"
