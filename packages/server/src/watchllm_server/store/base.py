"""What every event store does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from decimal import Decimal

    from watchllm_server.rows import Row

Value = str | int | float | None | Sequence[str]
"""What a parameter of a query may be."""


class EventStore(Protocol):
    """Keep events and answer questions about them. Safe to use from any thread."""

    def insert_group(self, rows: Sequence[tuple[Row, Decimal | None]]) -> None:
        """Store rows with their costs; return once they are synced to disk and visible.

        Raises StoreError when the rows cannot be stored; some of them may be visible all the same.
        """
        ...

    def query(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> list[Any]:
        """Ask the question kept in queries/NAME.sql and return its rows, each a list of values.

        `fragments` replace `$name` in the text and must come from code, never from a request.
        Decimals and integers beyond 64 bits come back as text. Raises StoreError.
        """
        ...

    def run(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> None:
        """Carry out the statement kept in queries/NAME.sql; return once its effect is visible.

        It may take minutes, and holds up neither questions nor inserts. Raises StoreError.
        """
        ...

    def ping(self) -> None:
        """Return when the store answers, else raise StoreError."""
        ...

    def close(self) -> None:
        """Finish running work and let go of the data."""
        ...
