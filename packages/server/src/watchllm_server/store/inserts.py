"""How rows get into the table of events, whichever engine holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from watchllm_server.rows import Columns
from watchllm_server.store.errorcolumns import fill_error_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from watchllm_server.rows import Row

TEXT_INDEXES = (
    "SELECT name FROM system.data_skipping_indices "
    "WHERE database = currentDatabase() AND table = 'events' AND type = 'text'"
)
COLUMNS = Columns.__struct_fields__
_SETTINGS = {
    # A sender may deliver a backlog of years: the limit of 100 months an insert would refuse it.
    "max_partitions_per_insert_block": "0",
    # A group is small enough for one thread, and takes half the memory so.
    "input_format_parallel_parsing": "0",
}
_encode_lines = msgspec.json.Encoder().encode_lines


def insert_settings(text_indexes: Sequence[str]) -> dict[str, str]:
    """Return the settings of an insert into a table with such indexes over words.

    These are built when parts are merged: to build them at the insert as well would double its
    cost, and the small fresh parts are read quickly without.
    """
    if not text_indexes:
        return _SETTINGS
    return {**_SETTINGS, "exclude_materialize_skip_indexes_on_insert": ",".join(text_indexes)}


def insert_statement(text_indexes: Sequence[str]) -> str:
    """Return the INSERT of the embedded engine, without its data."""
    pairs = (f"{name} = '{value}'" for name, value in insert_settings(text_indexes).items())
    return f"INSERT INTO events ({', '.join(COLUMNS)}) SETTINGS {', '.join(pairs)}"


def encode_rows(rows: Sequence[tuple[Row, Decimal | None]]) -> bytes:
    """Return rows with their costs in ClickHouse's JSONEachRow format."""
    for row, cost in rows:
        fill_error_columns(row.columns)
        if cost is not None:
            row.columns.cost = f"{cost:f}"
    return _encode_lines([row.columns for row, _ in rows])
