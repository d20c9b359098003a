"""What a program under measurement is told: one job, passed as JSON on its command line."""

from __future__ import annotations

import dataclasses
import json

WARM_UP = "zzzz"  # the series of the events that no count takes in


@dataclasses.dataclass
class Job:
    """One life of a program: what it logs, how fast, and how it ends.

    `logger` names a module of `loggers`, `options` are given to its `start`. `series` is part of
    the id planted in each event. `pause` is the seconds between two calls. A program that `waits`
    logs one event of the series WARM_UP and reads a line from its standard input before the rest.
    `ending` is a name in `program.ENDINGS`.
    """

    logger: str
    url: str
    series: str
    count: int
    ending: str
    pause: float = 0.0
    waits: bool = False
    options: dict[str, object] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """Return the job as an argument of the command line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job of an argument."""
        return cls(**json.loads(text))


def planted(series: str, number: int) -> str:
    """Return the id that a prompt begins with; it holds no run of digits long enough for a card."""
    return f"evt_{series}_{number:06d}_"
