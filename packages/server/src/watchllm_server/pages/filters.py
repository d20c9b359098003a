"""What the address of a page says: the stretch of time and everything that narrows it.

This is the one place where pages read their address. A page's whole state is its address, so that
a link shows to another person what one sees oneself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, cast, get_args
from urllib.parse import urlencode

from watchllm_server.errors import invalid_query
from watchllm_server.events import EPOCH, parse_timestamp
from watchllm_server.query.filter import Filter, has_word
from watchllm_server.query.stretches import (
    Stretches,
    floor,
    stretches_between,
    stretches_of_period,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Range = Literal["1h", "24h", "7d", "30d", "all"]
"""Stretches of time that end now; `all` is for lists alone, which have no chart."""

RANGES: Final[Mapping[Range, str]] = {
    "1h": "1 h",
    "24h": "24 h",
    "7d": "7 d",
    "30d": "30 d",
    "all": "All",
}
NAMES: Final = (
    "range", "from", "to", "env", "model", "user", "tag", "release", "status", "type", "text",
    "mode", "sort", "cursor",
)  # fmt: skip
"""All that an address may say of a page's state; a page may read further names of its own."""

_NARROWING: Final = (
    "env", "model", "user", "tag", "release", "status", "type", "text", "mode",
    "run", "cost", "latency", "find",
)  # fmt: skip
_SHARED: Final = ("range", "from", "to", "env")
_HOUR: Final = timedelta(hours=1)
_MAX: Final = 20_000
_PLAIN: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class State:
    """What an address says, read and checked. Texts that it does not give are empty."""

    path: str
    """The address without its query."""
    given: Mapping[str, str]
    """What the address gives of NAMES, and of what else the page asked for."""
    range: Range | None
    """None when the address gives a stretch of its own by `from` and `to`."""
    stretches: Stretches
    """The stretch of time with the width of a chart's steps."""
    now: datetime

    def __getitem__(self, name: str) -> str:
        """Return what the address gives, or an empty text."""
        return self.given.get(name, "")

    @property
    def is_narrowed(self) -> bool:
        """Return whether anything but the time and the order of a list narrows the page."""
        return any(self[name] for name in _NARROWING)

    def filter(self, project_id: str) -> Filter:
        """Return what the page asks the store for."""
        where = Filter(
            project_id=project_id,
            event_types=_list(self["type"]),
            user_id=self["user"],
            statuses=_list(self["status"]),
            models=_list(self["model"]),
            tags=_list(self["tag"]),
            env=self["env"],
            release=self["release"],
            text=self["text"],
            text_mode="substring" if self["mode"] == "substring" else "words",
        )
        if self.range == "all":
            return where
        return replace(where, date_from=self.stretches.date_from, date_to=self.stretches.date_to)

    def before(self, project_id: str) -> Filter:
        """Return the same question about the period before, as long as this one has run so far.

        It ends at a whole hour, so that sums by the hour can answer.
        """
        start, end, _ = self.stretches
        so_far = max(min(end, floor(self.now, _HOUR) + _HOUR), start)
        length = end - start
        return replace(
            self.filter(project_id),
            date_from=max(start - length, EPOCH),
            date_to=max(so_far - length, EPOCH),
        )

    def url(self, **changes: str | None) -> str:
        """Return the address with changes: a text sets a name, None takes it away.

        `from_` is `from`, which is no name in Python. Any change begins a list anew, and a range
        takes the place of a stretch.
        """
        values = dict(self.given)
        if "cursor" not in changes:
            values.pop("cursor", None)
        if "range" in changes:
            values.pop("from", None)
            values.pop("to", None)
        for name, value in changes.items():
            name = name.rstrip("_")  # noqa: PLW2901 - the name that the address has for it
            if value is None:
                values.pop(name, None)
            else:
                values[name] = value
        return f"{self.path}?{_encoded(values)}" if values else self.path

    def without(self, name: str) -> str:
        """Return the address without one of the names that narrow the page."""
        return self.url(**{name: None})

    def cleared(self) -> str:
        """Return the address with the time and the order alone."""
        return self.url(**dict.fromkeys(_NARROWING))

    def shared(self) -> str:
        """Return the query that leads to another page with the same time and environment."""
        values = {name: self[name] for name in _SHARED if self[name]}
        return f"?{_encoded(values)}" if values else ""


def read_state(
    path: str,
    parameters: Mapping[str, str],
    now: datetime,
    *,
    default: Range = "24h",
    all_times: bool = False,
    more: tuple[str, ...] = (),
) -> State:
    """Return what an address says; `more` are names that the page alone knows.

    Lists may be asked for `all_times`, and pages with charts answer that with 30 days. Raises the
    Problem that answers 400 to a time or a range that is none.
    """
    given = {name: parameters[name] for name in (*NAMES, *more) if parameters.get(name)}
    for name, value in given.items():
        if len(value) > _MAX:
            raise invalid_query(f"`{name}` may have {_MAX} characters.")
    if given.get("mode") != "substring" and not has_word(given.get("text", "any")):
        raise invalid_query("The search has no word, only signs: look for them by substring.")
    if "from" in given or "to" in given:
        given.pop("range", None)
        return State(path, given, None, _between(given, now), now)
    wanted = given.get("range", default)
    if wanted not in get_args(Range):
        known = ", ".join(get_args(Range))
        raise invalid_query(f"`range` must be one of {known}, but it is {wanted[:40]!r}.")
    chosen = cast("Range", wanted)
    if chosen != "all":
        return State(path, given, chosen, stretches_of_period(chosen, now), now)
    shown: Range = "all" if all_times else "30d"
    return State(path, given, shown, stretches_of_period("30d", now), now)


def _between(given: Mapping[str, str], now: datetime) -> Stretches:
    times = {}
    for name in ("from", "to"):
        if name in given:
            try:
                times[name] = _moment(given[name])
            except ValueError as error:
                raise invalid_query(f"`{name}` {error}.") from None
    if "from" not in times:
        raise invalid_query("An end needs a beginning: give `from` beside `to`.")
    return stretches_between(times["from"], times.get("to", now))


def _moment(text: str) -> datetime:
    """Return a time as a person gives it: RFC 3339, or a day, minute or second in UTC."""
    plain = _PLAIN.fullmatch(text)
    if plain:
        minute, second = plain.groups()
        text += "Z" if second else ":00Z" if minute else "T00:00:00Z"
    return parse_timestamp(text)


def _list(value: str) -> tuple[str, ...]:
    return (value,) if value else ()


def _encoded(values: Mapping[str, str]) -> str:
    return urlencode({name: value.encode("utf-8", "replace") for name, value in values.items()})
