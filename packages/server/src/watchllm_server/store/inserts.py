"""How rows get into the table of events, whichever engine holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from watchllm_server.rows import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from watchllm_server.rows import Row

TEXT_INDEXES = (
    "SELECT name FROM system.data_skipping_indices "
    "WHERE database = currentDatabase() AND table = 'events' AND type = 'text'"
)
_SETTINGS = {
    # A sender may deliver a backlog of years: the limit of 100 months an insert would refuse it.
    "max_partitions_per_insert_block": "0",
    # A group is small enough for one thread, and takes half the memory so.
    "input_format_parallel_parsing": "0",
}
_encode_lines = msgspec.json.Encoder().encode_lines


def insert_statement(text_indexes: Sequence[str]) -> str:
    """Return the INSERT without its data.

    Indexes over words are built when parts are merged: to build them at the insert as well would
    double its cost, and the small fresh parts are read quickly without.
    """
    settings = dict(_SETTINGS)
    if text_indexes:
        settings["exclude_materialize_skip_indexes_on_insert"] = f"'{','.join(text_indexes)}'"
    columns = ", ".join(Columns.__struct_fields__)
    pairs = ", ".join(f"{name} = {value}" for name, value in settings.items())
    return f"INSERT INTO events ({columns}) SETTINGS {pairs}"


def encode_rows(rows: Sequence[tuple[Row, Decimal | None]]) -> bytes:
    """Return rows with their costs in ClickHouse's JSONEachRow format."""
    for row, cost in rows:
        if cost is not None:
            row.columns.cost = f"{cost:f}"
    return _encode_lines([row.columns for row, _ in rows])
