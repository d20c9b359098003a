"""Which of a group's events a store holds already."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from watchllm_server.events import micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from watchllm_server.rows import Row
    from watchllm_server.store.base import Value


def stored_ids(
    ask: Callable[[str, Mapping[str, Value]], list[Any]], rows: Iterable[Row]
) -> set[tuple[str, str]]:
    """Return project and id of each row that is stored, by a question that `ask` answers.

    A row is found at its own timestamp, so that only the group's stretch of time is read.
    """
    by_project: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_project[row.project_id].append(row)
    found = set()
    for project_id, group in by_project.items():
        times = [row.ts for row in group]
        answer = ask(
            "stored_ids",
            {
                "project_id": project_id,
                "from_us": micros(min(times)),
                "to_us": micros(max(times)),
                "event_ids": [row.event_id for row in group],
            },
        )
        found |= {(project_id, event_id) for (event_id,) in answer}
    return found


def one_of_each_part(rows: Iterable[Row]) -> list[Row]:
    """Return one row of each part that an insert makes: all rows of a part are stored, or none.

    An insert of less than 256 MB makes one part for each month.
    """
    return list({(row.ts.year, row.ts.month): row for row in rows}.values())
