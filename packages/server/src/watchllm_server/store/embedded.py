"""The event store inside this process: chdb, which is ClickHouse as a library.

One process owns a directory. The engine wants a connection per thread and does not survive a fork,
so the store keeps its own threads: one that writes, a few that read.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from watchllm_server.errors import StartError, StoreError, StoreUnavailableError
from watchllm_server.store.files import migrations, query_text
from watchllm_server.store.history import HISTORY, TAKEN, record, remaining
from watchllm_server.store.ids import one_of_each_part, stored_ids
from watchllm_server.store.inserts import TEXT_INDEXES, encode_rows, insert_statement
from watchllm_server.store.parameters import format_parameters
from watchllm_server.store.snapshot import PREFIX, freeze, frozen_files, thaw, thaw_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from watchllm_server.rows import Row
    from watchllm_server.store.base import Value

_T = TypeVar("_T")

_READERS = 4
_QUERY_SECONDS = 30
_LITTLE_SPACE = 64_000_000
# The engine's own sizes are those of a large machine: gigabytes each.
_CACHES = {
    "mark_cache_size": 32_000_000,
    "primary_index_cache_size": 32_000_000,
    "index_mark_cache_size": 32_000_000,
    "text_index_header_cache_size": 32_000_000,
    "text_index_tokens_cache_size": 16_000_000,
    "query_condition_cache_size": 8_000_000,
}
# After each piece of work that it hands to its few threads the engine sleeps, by default up to a
# second at random. An erasure is a piece of work a part, whether or not it concerns the part.
_BACKGROUND = {
    "background_processing_pool_thread_sleep_seconds_if_nothing_to_do": 0.02,
    "background_processing_pool_task_sleep_seconds_when_no_work_random_part": 0,
}
_FORMAT = "JSONCompactEachRow"
# So much the cap must leave free for each thread of a question. By default it is a gigabyte, and
# every question would have one thread.
_THREAD_BYTES = 128_000_000
_READ_SETTINGS = (
    "SET output_format_json_quote_decimals = 1, output_format_json_quote_64bit_integers = 0, "
    f"max_execution_time = {_QUERY_SECONDS}, "
    f"max_threads_min_free_memory_per_thread = {_THREAD_BYTES}"
)
_UNSUPPORTED = (
    "The embedded event store has no build for this system: chdb needs Linux with glibc, or macOS. "
    "Keep the events in a ClickHouse server: --store clickhouse://user:password@host:port/database."
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
        settings = {"max_server_memory_usage": memory_bytes, **_CACHES, **_BACKGROUND}
        given = "&".join(f"{name}={value}" for name, value in settings.items())
        self._address = f"{os.path.realpath(directory)}?{given}"
        self._local = threading.local()
        self._connections: list[Any] = []
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(_READERS, "store-reader")
        self._keeper = ThreadPoolExecutor(1, "store-keeper")
        thaw_all(directory)
        try:
            self._writer.submit(self._migrate).result()
            self._insert_text = self._writer.submit(self._insert_statement).result()
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
        sql = query_text(name, fragments)
        values = format_parameters(parameters)
        return _finish(self._readers, lambda: self._select(sql, values))

    def run(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> None:
        """Carry out the statement kept in queries/NAME.sql; return once its effect is visible."""
        sql = query_text(name, fragments)
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
            found.query(_READ_SETTINGS)
            with self._lock:
                self._connections.append(found)
        return found

    def _insert(self, rows: Sequence[tuple[Row, Decimal | None]]) -> None:
        with self._connection().send_insert(self._insert_text, "JSONEachRow") as insert:
            insert.append(encode_rows(rows))
            insert.finish()
        # The engine's streaming insert reports success when its last step fails, on a full disk
        # among others, with nothing stored. What was not seen to be stored is not.
        wanted = one_of_each_part([row for row, _ in rows])
        if len(stored_ids(self._ask_here, wanted)) < len(wanted):
            message = f"A group of {len(rows)} rows was not stored whole"
            if shutil.disk_usage(self._directory).free < _LITTLE_SPACE:
                raise StoreUnavailableError(f"{message} (NOT_ENOUGH_SPACE)")
            raise StoreError(f"{message} (ROWS_NOT_STORED)")

    def _insert_statement(self) -> str:
        return insert_statement([name for (name,) in self._select(TEXT_INDEXES, {})])

    def _ask_here(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> list[Any]:
        sql = query_text(name, fragments)
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
        connection.query(HISTORY)
        taken = [version for (version,) in self._select(TAKEN, {})]
        for step in remaining(taken, migrations()):
            for statement in step.statements:
                connection.query(statement)
            connection.query(record(step))


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
        with _without("pyarrow"):
            import chdb  # noqa: PLC0415 - takes a second, and only `serve` needs it
            import chdb.state  # noqa: PLC0415 - likewise
    except (ImportError, importlib.metadata.PackageNotFoundError) as error:
        raise StartError(_UNSUPPORTED) from error
    return chdb


@contextmanager
def _without(optional: str) -> Iterator[None]:
    """Keep a package from being loaded by another that can do without it.

    The engine loads pyarrow only for its Arrow results, which are never asked for: 40 MB.
    """
    if optional in sys.modules:
        yield
        return
    sys.modules[optional] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        yield
    finally:
        del sys.modules[optional]
