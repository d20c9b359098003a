"""One kept answer."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Hold an answer as its provider gave it, with what is needed to serve and to price it again.

    `body` is the JSON body without streaming, whichever way it came. Times are in seconds since
    1970; `cost` is in USD, None where the price is unknown; `event_id` names the event of the call
    that was paid for.
    """

    body: bytes
    shape: str
    provider: str
    model: str
    created_at: float
    expires_at: float
    cost: float | None
    event_id: str


class Kept(NamedTuple):
    """An entry and whose it is."""

    project: str
    namespace: str
    entry: Entry


class Chosen(NamedTuple):
    """Which entries of a project are meant: those for which all that is given is true.

    Times are in seconds since 1970; an entry is before a time when it was made earlier than that,
    and after it when it was made then or later.
    """

    model: str | None = None
    namespace: str | None = None
    before: float | None = None
    after: float | None = None
    event_id: str | None = None

    def includes(self, kept: Kept) -> bool:
        """Say whether an entry is among those meant."""
        entry = kept.entry
        return (
            self.model in (None, entry.model)
            and self.namespace in (None, kept.namespace)
            and (self.before is None or entry.created_at < self.before)
            and (self.after is None or entry.created_at >= self.after)
            and self.event_id in (None, entry.event_id)
        )
