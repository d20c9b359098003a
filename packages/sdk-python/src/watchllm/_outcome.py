"""What became of one POST."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence


class Outcome:
    """Base of what a transport may answer."""

    __slots__ = ()


class Refusal:
    """Name one event of a batch that the server did not take, and why."""

    __slots__ = ("code", "event_id", "index", "message")

    def __init__(self, index: int, event_id: str = "", code: str = "", message: str = "") -> None:
        self.index = index
        self.event_id = event_id
        self.code = code
        self.message = message


class Delivered(Outcome):
    """The server answered for every event; `refused` names those that it did not take.

    `max_batch` is the number of events a batch that it advertised, if it did.
    """

    __slots__ = ("max_batch", "refused")

    def __init__(self, refused: Sequence[Refusal] = (), max_batch: int | None = None) -> None:
        self.refused = refused
        self.max_batch = max_batch


class Retry(Outcome):
    """The batch may succeed later: not before `after` seconds, if that is given."""

    __slots__ = ("after", "reason")

    def __init__(self, reason: str, after: float | None = None) -> None:
        self.reason = reason
        self.after = after


class TooLarge(Outcome):
    """The batch is larger than the server takes."""

    __slots__ = ()


class Refused(Outcome):
    """The server will never take this batch as it is."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Unauthorised(Outcome):
    """The key is unknown, or it is the key of another project."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason
