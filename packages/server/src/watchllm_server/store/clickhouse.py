"""The event store in a ClickHouse server or cluster, which several WatchLLM servers may share.

The same schema and the same questions as in the embedded store. Two servers may store a redelivered
event at the same moment, each unaware of the other: questions are asked with FINAL, for which the
engine replaces rows of one key by one of them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from watchllm_server.errors import StartError, StoreError, StoreUnavailableError
from watchllm_server.store.files import migrations, query_text
from watchllm_server.store.history import HISTORY, TAKEN, record, remaining
from watchllm_server.store.inserts import COLUMNS, TEXT_INDEXES, encode_rows, insert_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from watchllm_server.address import Address
    from watchllm_server.rows import Row
    from watchllm_server.store.base import Value

_FORMAT = "JSONCompactEachRow"
_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 40
_WORK_SECONDS = 3_600
_READ_SETTINGS = {
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_64bit_integers": 0,
    "max_execution_time": 30,
    "final": 1,
    "do_not_merge_across_partitions_select_final": 1,
}
_NOT_INSTALLED = (
    "To keep events in ClickHouse its driver is needed: pip install 'watchllm-server[clickhouse]'."
)
_decode_lines = msgspec.json.Decoder(list[Any]).decode_lines


class ClickHouseStore:
    """Keep events in a ClickHouse server, over HTTP. Safe to use from any thread.

    Makes the database and its tables where there are none. Raises StartError when the server
    cannot be reached or refuses.
    """

    def __init__(self, address: Address) -> None:
        try:
            import clickhouse_connect  # noqa: PLC0415 - an extra that only this store needs
            from clickhouse_connect.driver import exceptions  # noqa: PLC0415 - likewise
            from clickhouse_connect.driver.httputil import get_pool_manager  # noqa: PLC0415
        except ImportError as error:
            raise StartError(_NOT_INSTALLED) from error
        # What they log may quote rows; what matters of it is in the errors that they raise.
        for name in ("clickhouse_connect", "urllib3.connectionpool"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._errors = exceptions
        self._pool = get_pool_manager(maxsize=16, num_pools=2)

        def connect(database: str | None, seconds: int = _ANSWER_SECONDS) -> Any:
            return clickhouse_connect.get_client(
                host=address.host,
                port=address.port,
                username=address.user,
                password=address.password,
                database=database,
                secure=address.tls,
                pool_mgr=self._pool,
                compress=False,
                connect_timeout=_CONNECT_SECONDS,
                send_receive_timeout=seconds,
                autogenerate_session_id=False,
                client_name="watchllm-server",
            )

        try:
            first = connect(None)
            first.command(f"CREATE DATABASE IF NOT EXISTS `{address.database}`")
            self._client = connect(address.database)
            self._patient = connect(address.database, _WORK_SECONDS)
            self._migrate()
            self._insert_settings = insert_settings(
                [name for (name,) in self._rows(TEXT_INDEXES, {})]
            )
        except exceptions.OperationalError as error:
            message = f"The ClickHouse server at {address} does not answer: check --store."
            raise StartError(message) from error
        except exceptions.ClickHouseError as error:
            # The first line says what is wrong; it holds neither the password nor data.
            why = str(error).splitlines()[0][:300]
            message = f"The ClickHouse server at {address} cannot be used: {why}"
            raise StartError(message) from error

    def insert_group(self, rows: Sequence[tuple[Row, Decimal | None]]) -> None:
        """Store rows with their costs; return once the server has synced them to disk."""
        content = encode_rows(rows)
        self._ask(
            lambda: self._client.raw_insert(
                "events",
                column_names=COLUMNS,
                insert_block=content,
                settings=self._insert_settings,
                fmt="JSONEachRow",
            )
        )

    def query(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> list[Any]:
        """Ask the question kept in queries/NAME.sql and return its rows, each a list of values."""
        sql = query_text(name, fragments)
        found: list[Any] = self._ask(lambda: self._rows(sql, parameters))
        return found

    def run(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> None:
        """Carry out the statement kept in queries/NAME.sql; return once its effect is visible."""
        sql = query_text(name, fragments)
        self._ask(lambda: self._patient.command(sql, parameters=_lists(parameters)))

    def ping(self) -> None:
        """Return when the store answers, else raise StoreError."""
        self._ask(lambda: self._rows("SELECT 1", {}))

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
        self._patient.close()
        self._pool.clear()

    def _rows(self, sql: str, parameters: Mapping[str, Value]) -> list[Any]:
        answer = self._client.raw_query(
            sql, parameters=_lists(parameters), settings=_READ_SETTINGS, fmt=_FORMAT
        )
        return _decode_lines(answer)

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except self._errors.OperationalError as error:
            raise StoreUnavailableError(str(error)) from error
        except self._errors.ClickHouseError as error:
            raise StoreError(str(error)) from error

    def _migrate(self) -> None:
        self._client.command(HISTORY)
        taken = [version for (version,) in self._rows(TAKEN, {})]
        for step in remaining(taken, migrations()):
            for statement in step.statements:
                self._client.command(statement)
            self._client.command(record(step))


def _lists(parameters: Mapping[str, Value]) -> dict[str, Any]:
    """Return parameters for the driver, which takes a tuple for one of SQL's own."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in parameters.items()
    }
