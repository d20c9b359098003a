"""What the server counts, and that neither counts nor logs tell what was sent."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Account, prompt_call
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from watchllm_server.app import create_app
from watchllm_server.clock import SystemClock
from watchllm_server.errors import StoreError
from watchllm_server.observability import JsonFormatter, MeasuredStore, Metrics
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchllm_server.metadata import Metadata
    from watchllm_server.pricing import Prices
    from watchllm_server.store.embedded import EmbeddedStore


@pytest.fixture
def counted(store: EmbeddedStore, metadata: Metadata, prices: Prices) -> Iterator[TestClient]:
    """Serve an application whose counts begin at zero."""
    app = create_app(load_settings({}), store=store, metadata=metadata, prices=prices)
    with TestClient(
        app, base_url="http://127.0.0.1", client=("127.0.0.1", 5), raise_server_exceptions=False
    ) as client:
        yield client


def values(client: TestClient) -> dict[str, float]:
    """Return every sample by its name and labels, as in `name{a=b}`."""
    found = {}
    answer = client.get("/metrics")
    assert answer.status_code == 200
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f"{name}={sample.labels[name]}" for name in sorted(sample.labels))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_what_the_gateway_could_not_record_is_counted(store: EmbeddedStore) -> None:
    """The bytes that wait or are in hand, and the losses, are those of the moment one asks."""
    metrics = Metrics(SystemClock())
    waiting, lost = [7], {"full": 2}
    metrics.watch_journal(lambda: waiting[0], lambda: lost)
    metrics.watch_requests(lambda: 2 * waiting[0])
    waiting[0] = 9
    lost["disk"] = 1

    lines = metrics.text(store).decode().splitlines()

    assert "watchllm_gateway_journal_bytes 9.0" in lines
    assert "watchllm_gateway_request_bytes 18.0" in lines
    assert 'watchllm_gateway_lost_events_total{reason="full"} 2.0' in lines
    assert 'watchllm_gateway_lost_events_total{reason="disk"} 1.0' in lines


def test_events_are_counted_by_what_became_of_them(account: Account, counted: TestClient) -> None:
    """Accepted, refused by code, new in the store, lost by reason: each batch adds its own."""
    known = prompt_call()
    account = Account(account.project, account.key, counted)
    account.send(known, prompt_call(), prompt_call(timestamp="x"), prompt_call(event_id=None))
    account.send(known)
    body = {"events": [prompt_call()], "losses": {"spool_full": 7}}
    counted.post("/v1/events/batch", json=body, headers=account.headers)

    found = values(counted)

    assert found["watchllm_events_accepted_total"] == 4
    assert found["watchllm_events_stored_total"] == 3
    assert found["watchllm_events_rejected_total{code=invalid_timestamp}"] == 1
    assert sum(v for k, v in found.items() if k.startswith("watchllm_events_rejected_total")) == 2
    assert found["watchllm_sender_losses_total{reason=spool_full}"] == 7
    assert found["watchllm_commit_seconds_count"] == 2
    assert found["watchllm_commit_failures_total"] == 0
    assert found["watchllm_queue_bytes"] == 0
    assert found["watchllm_store_rows"] > 0
    assert found["watchllm_store_bytes"] > 0


def test_requests_are_counted_by_route_and_not_by_address(counted: TestClient) -> None:
    """What is in an address stays out of the metrics; refusals are counted by their code."""
    counted.get("/v1/runs/a-secret-run")
    counted.get("/no/such/secret-path")
    counted.request("SECRETMETHOD", "/v1/runs")

    found = values(counted)

    route = "method=GET,route=/v1/runs/{run_id:path},status=401"
    assert found[f"watchllm_request_seconds_count{{{route}}}"] == 1
    assert found["watchllm_problems_total{code=unknown_key}"] == 1
    assert not any("secret" in name.lower() for name in found)


def test_endless_reasons_make_no_endless_series() -> None:
    """A sender that makes up reasons adds 50 series and one for all others."""
    metrics = Metrics(SystemClock())

    metrics.losses({f"reason-{number}": 1 for number in range(1_000)})

    text = metrics.text(FailingStore()).decode()
    lines = [line for line in text.splitlines() if line.startswith("watchllm_sender_losses_total")]
    assert len(lines) == 51
    assert 'watchllm_sender_losses_total{reason="other"} 950.0' in lines


class FailingStore:
    """A store that fails at everything."""

    def insert_group(self, *_: Any) -> None:
        """Fail."""
        raise StoreError

    def query(self, *_: Any) -> list[Any]:
        """Fail."""
        raise StoreError

    def run(self, *_: Any) -> None:
        """Fail."""
        raise StoreError

    def ping(self) -> None:
        """Fail."""
        raise StoreError

    def close(self) -> None:
        """Let go of nothing."""


def test_a_store_that_fails_is_counted_and_leaves_the_metrics_readable() -> None:
    """Failed inserts are counted, and a size that is not known is not a number."""
    metrics = Metrics(SystemClock())
    store = MeasuredStore(FailingStore(), metrics, SystemClock())

    with pytest.raises(StoreError):
        store.insert_group([])

    text = metrics.text(store).decode()
    assert "watchllm_commit_failures_total 1.0" in text
    assert "watchllm_store_rows NaN" in text


def test_logs_tell_of_a_request_without_its_content(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """From the level info on each request is a line with route, status and time; no more."""
    with caplog.at_level(logging.INFO):
        account.send(prompt_call(prompt="a secret prompt", user_id="a-secret-user"))
        account.get("/v1/runs/a-secret-run?text=secret")

    lines = [r for r in caplog.records if r.name == "watchllm_server.requests"]
    formatted = [json.loads(JsonFormatter().format(record)) for record in lines]
    assert [(line["route"], line["status"]) for line in formatted] == [
        ("/v1/events/batch", 200), ("/v1/runs/{run_id:path}", 400),
    ]  # fmt: skip
    assert all(line["ms"] >= 0 and line["level"] == "info" for line in formatted)
    assert "secret" not in str(formatted)


def test_a_line_of_json_is_one_line_whatever_is_in_it() -> None:
    """Newlines, quotes and failures stay within one line of valid JSON, with its fields."""
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "f", 1, 'a "%s"\n', ("b",), sys.exc_info(),
            extra={"project": "shop"},
        )  # fmt: skip

    line = JsonFormatter().format(record)

    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["message"], told["project"]) == ("error", 'a "b"\n', "shop")
    assert "two\nlines" in told["exception"]
    assert told["time"].endswith("Z")


def test_every_answer_says_that_its_type_is_not_to_be_guessed(client: TestClient) -> None:
    """Answers of every kind carry the header, the metrics and refusals included."""
    for path in ("/healthz", "/metrics", "/v1/runs", "/none", "/static/style.css"):
        assert client.get(path).headers["x-content-type-options"] == "nosniff"
