"""Leave out, of the calls that wait for the store, what was erased after they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from watchllm_server.metadata.keys import hash_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from watchllm_server.metadata import Erasure
    from watchllm_server.rows import Row


def without_erased(rows: Sequence[Row], erasures: Iterable[Erasure]) -> list[Row]:
    """Return the rows without those of a user, run or project that was erased after they began.

    A call that began later stays, as an event that is sent later does.
    """
    until: dict[str, dict[tuple[str, str], datetime]] = {}
    for done in erasures:
        whose = until.setdefault(done.project_id, {})
        subject = (done.reason, done.subject_hash)
        whose[subject] = max(done.created_at, whose.get(subject, done.created_at))
    return [
        row
        for row in rows
        if row.project_id not in until or not _is_erased(row, until[row.project_id])
    ]


def _is_erased(row: Row, until: Mapping[tuple[str, str], datetime]) -> bool:
    names = {
        "user": _text(row.columns.user_id),
        "run": _text(row.columns.run_id),
        "project": row.project_id,
    }
    return any(
        row.ts < until[subject]
        for reason, name in names.items()
        if name and (subject := (reason, hash_secret(name))) in until
    )


def _text(value: Any) -> str:
    """Return a text that may still be the JSON that its sender wrote."""
    if isinstance(value, msgspec.Raw):
        value = msgspec.json.decode(value)
    return value if isinstance(value, str) else ""
