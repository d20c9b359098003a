"""What the server counts of its own work, in the text that Prometheus reads, and how it logs."""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from watchllm_server.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from watchllm_server.clock import Clock
    from watchllm_server.metadata import Metadata
    from watchllm_server.rows import Row
    from watchllm_server.store.base import EventStore, Value

_log = logging.getLogger(__name__)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# What senders name must not make endless series.
_MAX_REASONS = 50
_SIZE_SECONDS = 10.0
_KNOWN_SERIES = 1_000


class Metrics:
    """Count; each application has its own. Safe to use from any thread.

    No series tells of one project, so that whoever may read them learns nothing of its data.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        make: dict[str, Any] = {"namespace": "watchllm", "registry": self._registry}
        self._accepted = Counter("events_accepted", "Events answered as stored.", **make)
        self._rejected = Counter("events_rejected", "Events refused.", ["code"], **make)
        self._losses = Counter(
            "sender_losses", "Events that SDKs report as lost.", ["reason"], **make
        )
        self._stored = Counter("events_stored", "New events written, without repeats.", **make)
        self._commit = Histogram(
            "commit_seconds", "Time of one insert, until it is on disk.", buckets=_SECONDS, **make
        )
        self._failures = Counter("commit_failures", "Inserts that the store failed.", **make)
        self._requests = Histogram(
            "request_seconds",
            "Time of a request, by route and status.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            **make,
        )
        self._problems = Counter("problems", "Requests answered with an error.", ["code"], **make)
        self._calls = Counter(
            "gateway_calls",
            "Calls through the gateway, by who answered, what the cache did and how they ended.",
            ["provider", "cache", "status"],
            **make,
        )
        # A series is looked up by the counter under a lock, each time; those of each call are few.
        self._request_of = lru_cache(_KNOWN_SERIES)(self._requests.labels)
        self._call_of = lru_cache(_KNOWN_SERIES)(self._calls.labels)
        self._queue = Gauge("queue_bytes", "Bytes of batches in hand.", **make)
        self._rows = Gauge("store_rows", "Rows in the store.", **make)
        self._bytes = Gauge("store_bytes", "Bytes of the store on disk.", **make)
        self._parts = Gauge("store_parts", "Parts of the store's tables.", **make)
        self._reasons: set[str] = set()
        self._sized_at = -_SIZE_SECONDS
        self._sizing = threading.Lock()

    def batch(self, accepted: int, rejected: Sequence[str]) -> None:
        """Count the events of a batch that was answered, the refused ones by their codes."""
        self._accepted.inc(accepted)
        for code in rejected:
            self._rejected.labels(code).inc()

    def losses(self, losses: Mapping[str, int]) -> None:
        """Count what a sender says that it lost; reasons beyond 50 count as `other`."""
        for reason, count in losses.items():
            name = reason
            if reason not in self._reasons:
                if len(self._reasons) < _MAX_REASONS:
                    self._reasons.add(reason)
                else:
                    name = "other"
            self._losses.labels(name).inc(count)

    def problem(self, code: str) -> None:
        """Count a request that is answered with an error."""
        self._problems.labels(code).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by the pattern of its route."""
        self._request_of(method, route, status).observe(seconds)

    def gateway_call(self, provider: str, cache: str, status: str) -> None:
        """Count a call through the gateway; one that led to no provider has none."""
        self._call_of(provider, cache, status).inc()

    def commit(self, rows: int, seconds: float) -> None:
        """Count an insert."""
        self._stored.inc(rows)
        self._commit.observe(seconds)

    def commit_failed(self) -> None:
        """Count an insert that failed."""
        self._failures.inc()

    def watch_queue(self, used: Callable[[], int]) -> None:
        """Ask for the bytes in hand whenever the metrics are read."""
        self._queue.set_function(used)

    def watch_requests(self, used: Callable[[], int]) -> None:
        """Ask for the bytes of requests to the gateway in hand."""
        name, told = "gateway_request_bytes", "Bytes of requests to the gateway in hand."
        Gauge(name, told, namespace="watchllm", registry=self._registry).set_function(used)

    def watch_journal(
        self, waiting: Callable[[], int], lost: Callable[[], Mapping[str, int]]
    ) -> None:
        """Ask for the gateway's bytes that wait for the store, and what was lost by reason."""
        name, told = "gateway_journal_bytes", "Bytes of recorded calls that wait for the store."
        Gauge(name, told, namespace="watchllm", registry=self._registry).set_function(waiting)
        self._registry.register(_Lost(lost))

    def text(self, store: EventStore) -> bytes:
        """Return all metrics; what the store says of its size is at most ten seconds old."""
        with self._sizing:
            now = self._clock.monotonic()
            if now - self._sized_at >= _SIZE_SECONDS:
                self._sized_at = now
                try:
                    rows, size, parts = store.query("store_size", {})[0]
                except StoreError:
                    rows = size = parts = float("nan")
                self._rows.set(rows)
                self._bytes.set(size)
                self._parts.set(parts)
        return generate_latest(self._registry)


def note_store_failure(error: StoreError) -> None:
    """Log why the store did not answer a question, without its text, which may hold data."""
    _log.error("The event store did not answer a question: %s", error.reason)


class _Lost(Collector):
    """Calls through the gateway that were not recorded, as the gateway counts them."""

    def __init__(self, lost: Callable[[], Mapping[str, int]]) -> None:
        self._lost = lost

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Return the counts as they are now."""
        told = "Calls through the gateway that were not recorded."
        family = CounterMetricFamily("watchllm_gateway_lost_events", told, labels=["reason"])
        for reason, count in self._lost().items():
            family.add_metric([reason], count)
        yield family


class MeasuredStore:
    """A store whose inserts are counted and timed; it does all else as the store in it."""

    def __init__(self, store: EventStore, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock

    def insert_group(self, rows: Sequence[tuple[Row, Decimal | None]]) -> None:
        """Store rows and note how long that took."""
        begun = self._clock.monotonic()
        try:
            self._store.insert_group(rows)
        except Exception:
            self._metrics.commit_failed()
            raise
        self._metrics.commit(len(rows), self._clock.monotonic() - begun)

    def query(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> list[Any]:
        """Ask a question."""
        return self._store.query(name, parameters, fragments)

    def run(
        self,
        name: str,
        parameters: Mapping[str, Value],
        fragments: Mapping[str, str] | None = None,
    ) -> None:
        """Carry out a statement."""
        self._store.run(name, parameters, fragments)

    def ping(self) -> None:
        """Return when the store answers."""
        self._store.ping()

    def close(self) -> None:
        """Let go of the data."""
        self._store.close()


class CountedLosses:
    """Keep a project's losses, and count them."""

    def __init__(self, metadata: Metadata, metrics: Metrics) -> None:
        self._metadata = metadata
        self._metrics = metrics

    def add_losses(self, project_id: str, losses: Mapping[str, int]) -> None:
        """Add to a project's losses, by reason."""
        self._metadata.add_losses(project_id, losses)
        self._metrics.losses(losses)


class JsonFormatter(logging.Formatter):
    """Write a record as one line of JSON, with the fields that it was given."""

    _OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in self._OWN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up_logging(*, as_json: bool, level: str) -> None:
    """Log to stderr as text or as lines of JSON, from a level on. Never a payload."""
    handler = logging.StreamHandler()
    if as_json:
        handler.setFormatter(JsonFormatter())
    else:
        text = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s")
        text.converter = time.gmtime
        handler.setFormatter(text)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
