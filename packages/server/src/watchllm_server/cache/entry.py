"""One kept answer."""

from __future__ import annotations

import msgspec


class Entry(msgspec.Struct, frozen=True):
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
