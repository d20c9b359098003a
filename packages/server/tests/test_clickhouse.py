"""Events in a ClickHouse server: the same answers, outages, and several servers on one store."""

from __future__ import annotations

import json
import random
import sys
import threading
from typing import TYPE_CHECKING, Any

import clickhouse_connect
import pytest
from conftest import CONTRACT, Account, prompt_call
from starlette.testclient import TestClient
from test_serve import HEADERS, ask, post, refusal, stored
from watchllm_server.address import parse_address
from watchllm_server.app import create_app
from watchllm_server.errors import StartError
from watchllm_server.settings import load_settings
from watchllm_server.store.clickhouse import ClickHouseStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Server
    from engines import ClickHouseProcess
    from watchllm_server.address import Address
    from watchllm_server.metadata import Metadata
    from watchllm_server.pricing import Prices


@pytest.fixture
def address(clickhouse: ClickHouseProcess) -> Address:
    """Return the address of an empty database in ClickHouse."""
    return parse_address(clickhouse.url())


@pytest.fixture
def remote(
    address: Address, metadata: Metadata, prices: Prices, account: Account
) -> Iterator[Account]:
    """Return the account's project on a server that keeps its events in ClickHouse."""
    store = ClickHouseStore(address)
    app = create_app(load_settings({}), store=store, metadata=metadata, prices=prices)
    with TestClient(app, base_url="http://127.0.0.1:8787") as client:
        yield Account(account.project, account.key, client)
    store.close()


def test_both_stores_give_the_same_answers(account: Account, remote: Account) -> None:
    """Every accepted event of the contract is read back alike, in lists, by id and in its run."""
    events = [
        {**event, "project_id": account.project}
        for path in sorted((CONTRACT / "accepted").glob("*.json"))
        for event in json.loads(path.read_text()).get("body", {}).get("events", [])
    ]
    paths = {f"/v1/runs/{event['run_id']}" for event in events if event["run_id"].isalnum()}
    for each in (account, remote):
        each.send(*events)

    assert account.query(limit=1_000) == remote.query(limit=1_000)
    assert account.get("/v1/runs?limit=100") == remote.get("/v1/runs?limit=100")
    assert [account.get(path) for path in sorted(paths)] == [
        remote.get(path) for path in sorted(paths)
    ]


@pytest.mark.parametrize("kind", ["account", "remote"])
def test_a_tenth_delivered_twice_is_seen_once(request: pytest.FixtureRequest, kind: str) -> None:
    """Redeliveries, in the same batch and in later ones, change no list, no run and no total."""
    account: Account = request.getfixturevalue(kind)
    seed = random.Random(7)  # noqa: S311 - an order of deliveries, no secret
    events = [prompt_call(run_id=f"run-{n % 5}", event_id=f"event-{n:03}") for n in range(300)]
    deliveries = events + seed.sample(events, 30)
    seed.shuffle(deliveries)
    for at in range(0, len(deliveries), 40):
        account.send(*deliveries[at : at + 40])
    account.send(*seed.sample(events, 30))

    _, runs = account.get("/v1/runs")
    found = account.ids(limit=1_000)
    assert sorted(found) == sorted(event["event_id"] for event in events)
    assert [run["events"] for run in runs["runs"]] == [60] * 5
    assert sum(run["tokens_output"] for run in runs["runs"]) == 45 * len(events)


def test_words_are_found_in_fresh_and_in_merged_parts(address: Address, remote: Account) -> None:
    """Inserts leave the index over words to merges: answers are the same before and after one."""
    remote.send(prompt_call(event_id="1", prompt="Größe XL"), prompt_call(event_id="2"))
    remote.send(prompt_call(event_id="3", response="die größe?"), prompt_call(prompt="Größen"))
    before = remote.ids(text_search="größe"), remote.ids(text_search="absent")

    client = clickhouse_connect.get_client(
        host=address.host, port=address.port, database=address.database
    )
    client.command("OPTIMIZE TABLE events FINAL")
    indexed = client.command(
        "SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = 'events' "
        "AND active AND secondary_indices_compressed_bytes > 0"
    )
    client.close()

    assert indexed == 1
    after = remote.ids(text_search="größe"), remote.ids(text_search="absent")
    assert after == before
    assert (sorted(after[0]), after[1]) == (["1", "3"], [])


def test_an_outage_is_503_and_loses_nothing(
    serve: Callable[..., Server], clickhouse_of_my_own: ClickHouseProcess, tmp_path: Path
) -> None:
    """While ClickHouse is away senders are told to come back; what was answered 200 is kept."""
    clickhouse = clickhouse_of_my_own
    server = serve(tmp_path, WATCHLLM_STORE=clickhouse.url("outage"))
    before, during, after = (
        [prompt_call(run_id="outage", event_id=f"{when}-{n}") for n in range(20)]
        for when in ("before", "during", "after")
    )
    assert post(server, before) == 200
    clickhouse.kill()
    status, headers = _post(server, during)
    ready, _ = ask(server, "GET", "/readyz")
    clickhouse.start()
    again = [post(server, during), post(server, before), post(server, after)]

    assert (status, ready) == (503, 503)
    assert int(headers["retry-after"]) > 0
    assert again == [200, 200, 200]
    expected = [event["event_id"] for event in (*before, *during, *after)]
    assert sorted(stored(server, "outage")) == sorted(expected)


class Senders:
    """Threads that send batches like the SDK: what is refused waits, and is sent again as it is."""

    def __init__(self, server: Server, threads: int, batches: int) -> None:
        self.sent: list[str] = []
        self.accepted = 0
        self.refused: dict[int, dict[str, str]] = {}
        self.statuses: set[int] = set()
        self._server = server
        self._lock = threading.Condition()
        self._is_back = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number, batches)) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def wait_for_accepted(self, batches: int) -> None:
        """Return once so many batches were answered 200."""
        with self._lock:
            assert self._lock.wait_for(lambda: self.accepted >= batches, 30)

    def wait_until_all_are_refused(self) -> None:
        """Return once every thread has a batch that was refused."""
        with self._lock:
            assert self._lock.wait_for(lambda: len(self.refused) == len(self._threads), 30)

    def go_on(self) -> None:
        """Let them send again what was refused, and return once they have sent all."""
        self._is_back.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int, batches: int) -> None:
        left = batches
        while left or not self._is_back.is_set():
            events = [prompt_call(run_id="load") for _ in range(20)]
            with self._lock:
                self.sent += [event["event_id"] for event in events]
            status, headers = _post(self._server, events)
            while status != 200:
                with self._lock:
                    self.statuses.add(status)
                    self.refused[number] = headers
                    self._lock.notify_all()
                assert self._is_back.wait(30)
                status, headers = _post(self._server, events)
            left = max(left - 1, 0)
            with self._lock:
                self.accepted += 1
                self._lock.notify_all()


def test_an_outage_under_load_ends_by_itself(
    serve: Callable[..., Server], clickhouse_of_my_own: ClickHouseProcess, tmp_path: Path
) -> None:
    """Killed in the middle of inserts, ClickHouse comes back: senders go on, all is there once.

    Meanwhile each batch is answered 503 with Retry-After, and the process lives.
    """
    clickhouse = clickhouse_of_my_own
    server = serve(tmp_path, WATCHLLM_STORE=clickhouse.url("load"))
    senders = Senders(server, threads=4, batches=5)
    senders.wait_for_accepted(6)
    clickhouse.kill()
    senders.wait_until_all_are_refused()
    alive, _ = ask(server, "GET", "/healthz")
    ready, _ = ask(server, "GET", "/readyz")
    clickhouse.start()
    senders.go_on()

    assert (alive, ready) == (200, 503)
    assert senders.statuses == {503}
    assert all(int(headers["retry-after"]) > 0 for headers in senders.refused.values())
    assert sorted(stored(server, "load")) == sorted(senders.sent)
    assert ask(server, "GET", "/readyz")[0] == 200


@pytest.fixture
def clickhouse_of_my_own(tmp_path: Path) -> Iterator[ClickHouseProcess]:
    """Run a ClickHouse server that the test may stop."""
    from engines import ClickHouseProcess  # noqa: PLC0415 - otherwise used for its type alone

    server = ClickHouseProcess(tmp_path / "clickhouse")
    yield server
    server.kill()


def _post(server: Server, events: list[dict[str, Any]]) -> tuple[int, dict[str, str]]:
    """Post a batch and return status and headers."""
    import http.client  # noqa: PLC0415 - used here alone

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    body = json.dumps({"events": events}).encode()
    connection.request("POST", "/v1/events/batch", body, HEADERS)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def test_a_redelivery_to_another_server_is_stored_once(
    serve: Callable[..., Server], clickhouse: ClickHouseProcess, tmp_path: Path
) -> None:
    """Two servers get the same events, also at the same moment: lists, runs and totals hold one."""
    url = clickhouse.url("shared")
    servers = [serve(tmp_path / name, WATCHLLM_STORE=url) for name in ("one", "two")]
    batches = [
        [prompt_call(run_id="shared", event_id=f"{b}-{n}") for n in range(50)] for b in range(10)
    ]
    together = threading.Barrier(2)
    statuses: list[int] = []

    def deliver(server: Server) -> None:
        for batch in batches:
            together.wait(30)
            statuses.append(post(server, batch))

    threads = [threading.Thread(target=deliver, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(statuses) == {200}
    expected = sorted(event["event_id"] for batch in batches for event in batch)
    for server in servers:
        assert sorted(stored(server, "shared")) == expected
        _, runs = ask(server, "GET", "/v1/runs")
        assert [run["events"] for run in runs["runs"]] == [len(expected)]
        assert runs["runs"][0]["tokens_input"] == 12 * len(expected)


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """A ClickHouse that cannot be reached ends the start with 2, without showing the password."""
    sentence = refusal(
        *("--port", "0", "--data-dir", str(tmp_path)),
        *("--store", "clickhouse://ann:hunter2@127.0.0.1:9/llm"),
    )

    assert "127.0.0.1:9" in sentence
    assert "hunter2" not in sentence


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where clickhouse-connect is not installed the sentence says what to install."""
    monkeypatch.setitem(sys.modules, "clickhouse_connect", None)

    with pytest.raises(StartError, match=r"watchllm-server\[clickhouse\]"):
        ClickHouseStore(parse_address("clickhouse://db"))
