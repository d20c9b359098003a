"""What was decided of hits and near hits, and what became of them: a SQLite file of numbers.

No text is in it: of a decision, the id of its event and the key of the stored answer lead to what
was asked, as far as that is still kept.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from watchllm_server.cache.calibrate import Comparison
from watchllm_server.cache.sqlitefile import open_file

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "judgements.db"
KEPT: Final = 20_000
"""Comparisons, and decisions, that are kept of each project: the newest."""
_VERSION: Final = 1
_SCHEMA: Final = """
    CREATE TABLE comparisons (
        number INTEGER PRIMARY KEY, project TEXT NOT NULL, names TEXT NOT NULL,
        confidence REAL NOT NULL, wrong INTEGER NOT NULL, weight REAL NOT NULL,
        served INTEGER NOT NULL, reported INTEGER NOT NULL
    );
    CREATE INDEX comparisons_of_project ON comparisons (project, number);
    CREATE TABLE decisions (
        number INTEGER PRIMARY KEY, project TEXT NOT NULL, event_id TEXT NOT NULL,
        told BLOB NOT NULL, outcome TEXT NOT NULL DEFAULT '', feedback TEXT NOT NULL DEFAULT ''
    );
    CREATE UNIQUE INDEX decisions_by_event ON decisions (project, event_id);
    CREATE INDEX decisions_of_project ON decisions (project, number);
    CREATE TABLE totals (
        project TEXT NOT NULL, name TEXT NOT NULL, times INTEGER NOT NULL, usd REAL NOT NULL,
        PRIMARY KEY (project, name)
    );
"""


class Judged(NamedTuple):
    """A comparison, the groups that it speaks of, and whether a user reported it.

    The last of the groups is the project's.
    """

    groups: tuple[str, ...]
    comparison: Comparison
    reported: bool


class Decision(msgspec.Struct, frozen=True):
    """Say how the nearest stored answer to a question was judged.

    `key` and `stored_event_id` are those of the stored answer; `threshold` is the confidence that
    `group` asked for at that moment; `trees` and `network` are what each judge said.
    """

    key: bytes
    stored_event_id: str
    groups: tuple[str, ...]
    mode: str
    max_error_rate: float
    served: bool
    confidence: float
    similarity: float
    threshold: float
    group: str
    vetoes: tuple[str, ...]
    trees: float
    network: float | None
    saved_usd: float | None
    at: float


class Known(NamedTuple):
    """A decision, and what became of it.

    `outcome` is same, different or untold once the stored answer was compared with another, and
    `feedback` right or wrong once a user said so; until then they are empty.
    """

    decision: Decision
    outcome: str
    feedback: str


class Total(NamedTuple):
    """How often something happened in a project, and the dollars that it concerns."""

    times: int = 0
    usd: float = 0.0


class Judgements:
    """Keep judgements on disk. Safe to use from any thread, one at a time; it waits for the disk.

    Of each project, the newest `kept` comparisons and as many decisions stay. See `open_file` for a
    file that is damaged.
    """

    def __init__(self, folder: Path, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._disk = open_file(folder / FILE_NAME, _SCHEMA, _VERSION)

    def note(self, project: str, judged: Judged) -> None:
        """Write a comparison down."""
        names = msgspec.json.encode(judged.groups).decode()
        with self._lock:
            self._disk.execute(
                "INSERT INTO comparisons (project, names, confidence, wrong, weight, served,"
                " reported) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (project, names, *judged.comparison, judged.reported),
            )
            self._trim("comparisons", project)

    def judged(self) -> list[Judged]:
        """Return all comparisons in the order in which they came."""
        with self._lock:
            found = self._disk.execute(
                "SELECT names, confidence, wrong, weight, served, reported FROM comparisons"
                " ORDER BY number"
            ).fetchall()
        return [
            Judged(
                tuple(msgspec.json.decode(names)),
                Comparison(confidence, bool(wrong), weight, bool(served)),
                bool(reported),
            )
            for names, confidence, wrong, weight, served, reported in found
        ]

    def decide(self, project: str, event_id: str, decision: Decision) -> None:
        """Write down what was decided for an event."""
        with self._lock:
            self._disk.execute(
                "INSERT OR REPLACE INTO decisions (project, event_id, told) VALUES (?, ?, ?)",
                (project, event_id, msgspec.msgpack.encode(decision)),
            )
            self._trim("decisions", project)

    def known(self, project: str, event_id: str) -> Known | None:
        """Return what was decided for an event of a project, None where nothing is known of it."""
        with self._lock:
            found = self._disk.execute(
                "SELECT told, outcome, feedback FROM decisions WHERE project = ? AND event_id = ?",
                (project, event_id),
            ).fetchone()
        return Known(_decode(found[0]), *found[1:]) if found else None

    def set_outcome(self, project: str, event_id: str, outcome: str) -> None:
        """Write down what a comparison said of a decision."""
        self._set("outcome", project, event_id, outcome)

    def set_feedback(self, project: str, event_id: str, feedback: str) -> None:
        """Write down what a user said of a decision."""
        self._set("feedback", project, event_id, feedback)

    def _set(self, column: str, project: str, event_id: str, value: str) -> None:
        with self._lock:
            self._disk.execute(
                f"UPDATE decisions SET {column} = ? WHERE project = ? AND event_id = ?",  # noqa: S608 - one of two names
                (value, project, event_id),
            )

    def count(self, project: str, name: str, usd: float = 0.0) -> None:
        """Count that something happened."""
        with self._lock:
            self._disk.execute(
                "INSERT INTO totals VALUES (?, ?, 1, ?) ON CONFLICT (project, name) DO UPDATE SET "
                "times = times + 1, usd = usd + excluded.usd",
                (project, name, usd),
            )

    def totals(self, project: str) -> dict[str, Total]:
        """Return what was counted in a project, by name."""
        with self._lock:
            found = self._disk.execute(
                "SELECT name, times, usd FROM totals WHERE project = ?", (project,)
            ).fetchall()
        return {name: Total(times, usd) for name, times, usd in found}

    def forget(self, project: str) -> None:
        """Forget which events of a project were decided how: they may be those of one erased.

        Comparisons and totals say nothing of an event, and stay.
        """
        with self._lock:
            self._disk.execute("DELETE FROM decisions WHERE project = ?", (project,))
            self._disk.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def remove(self, project: str) -> None:
        """Forget all of a project that is no more: another of its id begins with nothing."""
        with self._lock:
            for table in ("comparisons", "decisions", "totals"):
                self._disk.execute(f"DELETE FROM {table} WHERE project = ?", (project,))  # noqa: S608 - fixed names

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._disk.close()

    def _trim(self, table: str, project: str) -> None:
        self._disk.execute(
            f"DELETE FROM {table} WHERE project = ? AND number <= (SELECT number FROM {table}"  # noqa: S608 - one of two names
            " WHERE project = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (project, project, self._kept),
        )


_decode: Final = msgspec.msgpack.Decoder(Decision).decode
