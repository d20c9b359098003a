"""The event store inside this process: chdb, which is ClickHouse as a library.

One process owns a directory. The engine wants a connection per thread and does not survive a fork,
so the store keeps its own threads: one that writes, a few that read.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from watchllm_server.errors import StartError, StoreError
from watchllm_server.store.base import encode_row
from watchllm_server.store.files import Migration, migrations, query_text
from watchllm_server.store.ids import stored_ids
from watchllm_server.store.parameters import format_parameters
from watchllm_server.store.snapshot import PREFIX, freeze, frozen_files, thaw, thaw_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from watchllm_server.events import Row
    from watchllm_server.store.base import Value

_T = TypeVar("_T")

_READERS = 4
_QUERY_SECONDS = 30
_LITTLE_SPACE = 64_000_000
_COLUMNS = (
    "project_id, event_id, run_id, event_type, ts, env, tags, user_id, release, model, status, "
    "latency_ms, tokens_input, tokens_output, cost, sample_rate, prompt, response, attributes"
)
# A sender may deliver a backlog of years: the limit of 100 months an insert would refuse it.
_INSERT = f"INSERT INTO events ({_COLUMNS}) SETTINGS max_partitions_per_insert_block = 0"
_FORMAT = "JSONCompactEachRow"
_OUTPUT_SETTINGS = (
    "SET output_format_json_quote_decimals = 1, output_format_json_quote_64bit_integers = 0, "
    f"max_execution_time = {_QUERY_SECONDS}"
)
_HISTORY = """
    CREATE TABLE IF NOT EXISTS schema_migrations
    (version UInt32, name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
    ENGINE = MergeTree ORDER BY version
    SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
_UNSUPPORTED = (
    "The embedded event store has no build for this system: chdb needs Linux with glibc, or macOS."
)
_decode_lines = msgspec.json.Decoder(list[Any]).decode_lines


class EmbeddedStore:
    """Keep events with chdb in a directory that nobody else uses.

    `memory_bytes` caps what the engine takes; a query beyond it fails alone. Raises StartError
    when the engine cannot open the directory.
    """

    def __init__(self, directory: Path, *, memory_bytes: int) -> None:
        self._engine = _load_engine()
        self._directory = directory
        # The engine compares spellings of a path literally.
        self._address = f"{os.path.realpath(directory)}?max_server_memory_usage={memory_bytes}"
        self._local = threading.local()
        self._connections: list[Any] = []
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(_READERS, "store-reader")
        self._keeper = ThreadPoolExecutor(1, "store-keeper")
        thaw_all(directory)
        try:
            self._writer.submit(self._migrate).result()
        except StartError:
            self.close()
            raise
        except RuntimeError as error:
            self.close()
            raise StartError(f"The event store in {directory} cannot be opened: {error}") from error

    def insert_group(self, rows: Sequence[tuple[Row, Decimal | None]]) -> None:
        """Store rows with their costs; return once they are synced to disk and visible."""
        _finish(self._writer, lambda: self._insert(rows))

    def query(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> list[Any]:
        """Ask the question kept in queries/NAME.sql and return its rows, each a list of values."""
        sql = query_text(name).substitute(fragments or {})
        values = format_parameters(parameters)
        return _finish(self._readers, lambda: self._select(sql, values))

    def run(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> None:
        """Carry out the statement kept in queries/NAME.sql; return once its effect is visible."""
        sql = query_text(name).substitute(fragments or {})
        values = format_parameters(parameters)
        _finish(self._keeper, lambda: self._carry_out(sql, values))

    @contextmanager
    def snapshot(self) -> Iterator[Iterator[tuple[Path, str]]]:
        """Return the files of one moment; inserts wait for milliseconds only."""
        name = f"{PREFIX}{uuid.uuid4().hex}"
        try:
            _finish(self._writer, lambda: freeze(self._ask_here, name))
            yield frozen_files(self._directory, name)
        finally:
            thaw(self._directory, name)

    def ping(self) -> None:
        """Return when the store answers, else raise StoreError."""
        _finish(self._readers, lambda: self._select("SELECT 1", {}))

    def close(self) -> None:
        """Finish running work and let go of the data."""
        self._keeper.shutdown()
        self._readers.shutdown()
        self._writer.shutdown()
        with self._lock:
            while self._connections:
                self._connections.pop().close()

    def _connection(self) -> Any:
        """Return this thread's connection."""
        found = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._engine.connect(self._address)
            found.query(_OUTPUT_SETTINGS)
            with self._lock:
                self._connections.append(found)
        return found

    def _insert(self, rows: Sequence[tuple[Row, Decimal | None]]) -> None:
        with self._connection().send_insert(_INSERT, "JSONEachRow") as insert:
            insert.append(b"\n".join(encode_row(row, cost) for row, cost in rows))
            insert.finish()
        # The engine's streaming insert reports success when its last step fails, on a full disk
        # among others, with nothing stored. What was not seen to be stored is not.
        kept = stored_ids(self._ask_here, [row for row, _ in rows])
        missing = {(row.project_id, row.event_id) for row, _ in rows} - kept
        if missing:
            free = shutil.disk_usage(self._directory).free
            why = "NOT_ENOUGH_SPACE" if free < _LITTLE_SPACE else "ROWS_NOT_STORED"
            raise StoreError(f"{len(missing)} of {len(rows)} rows were not stored ({why})")

    def _ask_here(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> list[Any]:
        sql = query_text(name).substitute(fragments or {})
        return self._select(sql, format_parameters(parameters))

    def _select(self, sql: str, values: dict[str, str]) -> list[Any]:
        result = self._connection().query(sql, _FORMAT, params=values)
        return _decode_lines(result.bytes())

    def _carry_out(self, sql: str, values: dict[str, str]) -> None:
        connection = self._connection()
        connection.query("SET max_execution_time = 0")
        connection.query(sql, params=values)

    def _migrate(self) -> None:
        connection = self._connection()
        connection.query(_HISTORY)
        done = {row[0] for row in self._select("SELECT version FROM schema_migrations", {})}
        steps = migrations()
        if unknown := done - {step.version for step in steps}:
            raise StartError(
                f"The data was written by a newer version of WatchLLM (schema {max(unknown)}): "
                "upgrade watchllm-server, or choose another --data-dir."
            )
        for step in steps:
            if step.version not in done:
                _apply(connection, step)


def _apply(connection: Any, step: Migration) -> None:
    for statement in step.statements:
        connection.query(statement)
    record = "INSERT INTO schema_migrations (version, name) VALUES"
    connection.query(f"{record} ({step.version}, '{step.name}')")


def _finish(pool: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
    """Do the work on one of the store's threads, with the engine's errors as StoreError."""
    try:
        return pool.submit(work).result()
    except RuntimeError as error:
        raise StoreError(str(error)) from error


def _load_engine() -> Any:
    try:
        # Systems without a build get an empty package of this version.
        if importlib.metadata.version("chdb-core").startswith("0.0."):
            raise StartError(_UNSUPPORTED)
        import chdb  # noqa: PLC0415 - takes a second, and only `serve` needs it
    except (ImportError, importlib.metadata.PackageNotFoundError) as error:
        raise StartError(_UNSUPPORTED) from error
    return chdb
