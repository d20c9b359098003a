"""Requests, tokens and dollars that calls through the gateway may use, by project, key and user."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from watchllm_server.errors import MetadataError, Problem
from watchllm_server.metadata.limits import Counted, Window
from watchllm_server.metadata.models import Limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from watchllm_server.clock import Clock
    from watchllm_server.metadata import Metadata

Scope = Literal["project", "key", "user"]
Unit = Literal["requests", "tokens", "usd"]
Per = Literal["minute", "day", "month"]
Action = Literal["refuse", "warn"]
EACH: Final = "*"
"""The subject that stands for each user apart."""

_NANO: Final = 1_000_000_000
_MAX_AMOUNT: Final = 2**62
_MAX_SUBJECT: Final = 200
# Users beyond these are counted together, as one more: whoever calls can name any user.
_MAX_COUNTED: Final = 50_000
_OTHERS: Final = "(others)"
_WORDS: Final = {"requests": "requests", "tokens": "tokens", "usd": "US dollars"}


class Who(NamedTuple):
    """Who makes a call."""

    project_id: str
    key_id: int
    user_id: str


class Reached(NamedTuple):
    """A limit that warns was reached."""

    limit: Limit
    counted: Counted
    used: int


class Used(NamedTuple):
    """What a subject has used of a limit in the window that ends at a moment, in UTC."""

    subject: str
    used: int
    ends_at: datetime


@dataclass(slots=True)
class _Count:
    """A window's use: `kept` is that of the database, `more` is to be added to it."""

    begun: int
    kept: int = 0
    more: int = 0
    warned: bool = False

    @property
    def used(self) -> int:
        return self.kept + self.more


class Limiter:
    """Admit calls and count what they use, in memory. Safe to use from any thread.

    `refresh` adds what was counted to the database and reads the limits and counts anew: counts
    survive a restart, and several servers share them, each of them a second behind the others.
    Calls that are under way are not counted yet, so that they may go beyond a limit together.
    """

    def __init__(self, metadata: Metadata, clock: Clock) -> None:
        self._kept = metadata.limits
        self._clock = clock
        self._limits: Mapping[str, list[Limit]] = {}
        self._counts: dict[Counted, _Count] = {}
        self._read_at = -1
        self._reached: list[Reached] = []
        self._lock = threading.Lock()

    def concerns(self, project_id: str) -> bool:
        """Return whether a project has limits; most have none, and nothing is counted for them."""
        return project_id in self._limits

    def admit(self, who: Who) -> None:
        """Count a request; raise the Problem that answers 429 when a limit is used up."""
        if who.project_id not in self._limits:
            return
        now = self._clock.now()
        with self._lock:
            found = list(self._of(who, now))
            for limit, counted, count in found:
                if limit.action == "refuse" and count.used >= limit.amount:
                    raise _used_up(limit, counted, now)
            self._add(found, {"requests": 1})

    def count(self, who: Who, tokens: int, usd: Decimal | None) -> None:
        """Count what a call used; an unknown cost counts as nothing."""
        if who.project_id not in self._limits:
            return
        nano = 0 if usd is None else int((usd * _NANO).to_integral_value(ROUND_CEILING))
        now = self._clock.now()
        with self._lock:
            self._add(list(self._of(who, now)), {"tokens": tokens, "usd": nano})

    def reached(self) -> list[Reached]:
        """Return the limits that warn and were reached since this was asked before."""
        if not self._reached:
            return []
        with self._lock:
            found, self._reached = self._reached, []
        return found

    def refresh(self) -> None:
        """Keep what was counted, and read limits and counts anew.

        Raises MetadataUnavailableError while the database is away; what was counted is kept then.
        """
        with self._lock:
            taken = {
                counted: Window(count.begun, count.more)
                for counted, count in self._counts.items()
                if count.more
            }
        kept = self._kept.add(taken) if taken else {}
        limits: dict[str, list[Limit]] = {}
        for limit in self._kept.all():
            limits.setdefault(limit.project_id, []).append(limit)
        now = self._clock.now()
        if _begin("day", now) != self._read_at:
            # At the start, and once a day: what is of no window any more goes.
            self._kept.forget(_begin("month", now))
            kept |= self._kept.uses()
            self._read_at = _begin("day", now)
        with self._lock:
            self._limits = limits
            for counted, window in taken.items():
                count = self._counts.get(counted)
                if count is not None and count.begun == window.begun:
                    count.more -= window.used
                    count.kept += window.used
            for counted, window in kept.items():
                if window.begun == _begin(counted.per, now):
                    count = self._counts.setdefault(counted, _Count(window.begun))
                    if count.begun == window.begun:
                        count.kept = window.used
            self._counts = {
                counted: count
                for counted, count in self._counts.items()
                if count.begun == _begin(counted.per, now) or count.more
            }

    def _of(self, who: Who, now: datetime) -> Iterator[tuple[Limit, Counted, _Count]]:
        for limit in self._limits.get(who.project_id, ()):
            counted = self._counted(limit, who)
            if counted is not None:
                begun = _begin(limit.per, now)
                count = self._counts.get(counted)
                if count is None or count.begun != begun:
                    count = self._counts[counted] = _Count(begun)
                yield limit, counted, count

    def _counted(self, limit: Limit, who: Who) -> Counted | None:
        mine = {"project": "", "key": str(who.key_id), "user": who.user_id[:_MAX_SUBJECT]}
        subject = mine[limit.scope]
        if limit.subject == EACH and subject:
            counted = Counted(limit.project_id, limit.scope, subject, limit.unit, limit.per)
            if counted in self._counts or len(self._counts) < _MAX_COUNTED:
                return counted
            return counted._replace(subject=_OTHERS)
        if limit.subject != subject:
            return None
        return Counted(limit.project_id, limit.scope, subject, limit.unit, limit.per)

    def _add(self, found: Iterable[tuple[Limit, Counted, _Count]], used: Mapping[str, int]) -> None:
        seen: set[Counted] = set()
        for limit, counted, count in found:
            more = used.get(limit.unit, 0)
            used_now = count.used if counted in seen else count.used + more
            if counted not in seen:
                # Two limits, one that warns and one that refuses, are of one count.
                count.more += more
                seen.add(counted)
            if limit.action == "warn" and used_now >= limit.amount and not count.warned and more:
                count.warned = True
                self._reached.append(Reached(limit, counted, count.used))


def new_limit(
    project_id: str, *, scope: str, subject: str, unit: str, per: str, amount: str, action: str
) -> Limit:
    """Return a limit as it is stored; raise MetadataError for what can be none."""
    for name, value, allowed in (
        ("scope", scope, get_args(Scope)),
        ("unit", unit, get_args(Unit)),
        ("per", per, get_args(Per)),
        ("action", action, get_args(Action)),
    ):
        if value not in allowed:
            raise MetadataError(f"A limit's {name} is one of {', '.join(allowed)}, not {value!r}.")
    if (scope == "project") != (subject == "") or len(subject) > _MAX_SUBJECT:
        raise MetadataError("A limit of a key or a user needs its id, one of the project has none.")
    if scope == "key" and subject != EACH and not (subject.isascii() and subject.isdecimal()):
        raise MetadataError("A key is named by its number, as `watchllm keys list` shows it.")
    return Limit(
        project_id=project_id,
        scope=scope,
        subject=subject,
        unit=unit,
        per=per,
        action=action,
        amount=_amount(amount, unit),
    )


def most_used(limit: Limit, uses: Mapping[Counted, Window], now: datetime) -> Used:
    """Return who has used the most of a limit in the window that a moment is in.

    Where each subject has it, and none has used anything, the subject is empty.
    """
    counted = Counted(limit.project_id, limit.scope, limit.subject, limit.unit, limit.per)
    begun, end = _begin(limit.per, now), _end(limit.per, now)
    if limit.subject != EACH:
        window = uses.get(counted)
        used = window.used if window is not None and window.begun == begun else 0
        return Used(limit.subject, used, end)
    found = (
        (window.used, each.subject)
        for each, window in uses.items()
        if each._replace(subject=EACH) == counted and window.begun == begun
    )
    used, subject = max(found, default=(0, ""))
    return Used(subject, used, end)


def shown_amount(amount: int, unit: str) -> str:
    """Return an amount as people write it."""
    return f"{Decimal(amount) / _NANO:f}" if unit == "usd" else str(amount)


def _amount(text: str, unit: str) -> int:
    try:
        value = Decimal(text.strip()) * (_NANO if unit == "usd" else 1)
        fits = (
            value.is_finite() and 0 <= value <= _MAX_AMOUNT and value == value.to_integral_value()
        )
    except InvalidOperation:
        fits = False
    if not fits:
        what = "an amount of US dollars" if unit == "usd" else "a whole number"
        raise MetadataError(f"A limit of {unit} is {what} of at least 0, not {text!r}.")
    return int(value)


def _begin(per: str, now: datetime) -> int:
    """Return when the window began that a moment is in, in seconds since 1970."""
    start = now.astimezone(UTC).replace(second=0, microsecond=0)
    if per != "minute":
        start = start.replace(hour=0, minute=0)
    if per == "month":
        start = start.replace(day=1)
    return int(start.timestamp())


def _end(per: str, now: datetime) -> datetime:
    begun = datetime.fromtimestamp(_begin(per, now), UTC)
    if per == "minute":
        return begun + timedelta(minutes=1)
    if per == "day":
        return begun + timedelta(days=1)
    return (begun + timedelta(days=32)).replace(day=1)


def _used_up(limit: Limit, counted: Counted, now: datetime) -> Problem:
    whose = f"The {limit.scope}" if limit.scope != "project" else f"Project {limit.project_id!r}"
    end = _end(limit.per, now)
    amount = shown_amount(limit.amount, limit.unit)
    message = (
        f"{whose} has used its {amount} {_WORDS[limit.unit]} of this {counted.per}. There is more "
        f"at {end:%Y-%m-%dT%H:%M}Z, or when the limit is raised: `watchllm limits list`."
    )
    code = "budget_exceeded" if limit.unit == "usd" else "rate_limited"
    seconds = max(1, int((end - now).total_seconds()) + 1)
    return Problem(429, code, message, retry_after=seconds)
