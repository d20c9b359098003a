"""Answer with all events that match: as JSON lines, CSV or Parquet, a few MB at a time."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from watchllm_server.query.events import chunks_of_events, format_time, json_decimal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from watchllm_server.query.events import Event, SortBy, SortOrder
    from watchllm_server.query.filter import Filter
    from watchllm_server.store.base import EventStore

ExportFormat = Literal["jsonl", "csv", "parquet"]

MEDIA_TYPES: Final[Mapping[ExportFormat, str]] = {
    "jsonl": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
COLUMNS: Final = (
    "event_id", "event_type", "project_id", "run_id", "timestamp", "env", "tags", "user_id",
    "release", "model", "status", "latency_ms", "tokens_input", "tokens_output", "cost_usd",
    "prompt", "response", "attributes",
)  # fmt: skip
# What a spreadsheet takes for the beginning of a formula, or cuts off before one (OWASP, CSV
# injection): whoever writes a prompt must not have code run where an export is opened.
_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the last four are full-width
_encode = msgspec.json.encode


def export(
    store: EventStore,
    where: Filter,
    form: ExportFormat,
    columns: Sequence[str] = COLUMNS,
    *,
    sort_by: SortBy = "timestamp",
    sort_order: SortOrder = "asc",
) -> Iterator[bytes]:
    """Return the pieces of an export of all events that match.

    `columns` are some of COLUMNS, in the order to have. Lines of JSON with all of them hold each
    event as it was sent. Only one piece is held at a time. Raises StoreError in between when the
    store fails.
    """
    chunks = chunks_of_events(store, where, sort_by=sort_by, sort_order=sort_order)
    return _WRITERS[form](chunks, columns)


def _jsonl(chunks: Iterator[list[Event]], columns: Sequence[str]) -> Iterator[bytes]:
    """Write each event as it was sent, what can be sent again; or of it the columns alone."""
    whole = tuple(columns) == COLUMNS
    for events in chunks:
        shown = (event.to_wire() if whole else _values(event, columns) for event in events)
        yield b"".join(_encode(each) + b"\n" for each in shown)


def _values(event: Event, columns: Sequence[str]) -> dict[str, Any]:
    """Return the columns of an event as JSON has them: null is not known."""
    row = _row(event) | {
        "timestamp": format_time(event.ts),
        "cost_usd": json_decimal(event.cost_usd),
        "attributes": event.attributes,
    }
    return {name: row[name] for name in columns}


def _csv(chunks: Iterator[list[Event]], columns: Sequence[str]) -> Iterator[bytes]:
    """Write a header and a row an event, lists and other fields as JSON, what is unknown empty.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    yield _csv_rows([columns])
    for events in chunks:
        yield _csv_rows(_texts(event, columns) for event in events)


def _csv_rows(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    # A lone half of a surrogate pair can be stored in JSON but not written as UTF-8.
    return text.getvalue().encode("utf-8", "replace")


def _texts(event: Event, columns: Sequence[str]) -> list[Any]:
    row = _row(event)
    row["timestamp"] = format_time(event.ts)
    row["tags"] = _encode(event.tags).decode()
    row["cost_usd"] = "" if event.cost_usd is None else f"{event.cost_usd:f}"
    return [_cell(row[name]) for name in columns]


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value


def _row(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "event_type": event.event_type,
        "project_id": event.project_id,
        "run_id": event.run_id,
        "timestamp": event.ts,
        "env": event.env,
        "tags": event.tags,
        "user_id": event.user_id or None,
        "release": event.release or None,
        "model": event.model or None,
        "status": event.status or None,
        "latency_ms": event.latency_ms,
        "tokens_input": event.tokens_input,
        "tokens_output": event.tokens_output,
        "cost_usd": event.cost_usd,
        "prompt": event.prompt,
        "response": event.response,
        "attributes": _encode(event.attributes).decode(),
    }


class _Pipe(io.RawIOBase):
    """A file that only grows, and gives away what was written so far."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Take a piece."""
        piece = bytes(data)
        self._parts.append(piece)
        return len(piece)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def _parquet(chunks: Iterator[list[Event]], columns: Sequence[str]) -> Iterator[bytes]:
    """Write a row group a piece, compressed with zstd."""
    import pyarrow as pa  # noqa: PLC0415 - a third of a second that only this export needs
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    text = pa.string()
    kinds = {
        "timestamp": pa.timestamp("us", "UTC"),
        "tags": pa.list_(text),
        "latency_ms": pa.float64(),
        "tokens_input": pa.int64(),
        "tokens_output": pa.int64(),
        "cost_usd": pa.decimal128(38, 12),
    }
    schema = pa.schema([(name, kinds.get(name, text)) for name in columns])
    pipe = _Pipe()
    with pq.ParquetWriter(pipe, schema, compression="zstd") as writer:
        for events in chunks:
            rows = [_row(event) for event in events]
            table = pa.Table.from_pylist(rows, schema)
            writer.write_table(table)
            yield pipe.take()
    yield pipe.take()


_WRITERS: Final[Mapping[ExportFormat, Callable[..., Iterator[bytes]]]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "parquet": _parquet,
}
