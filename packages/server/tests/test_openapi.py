"""The OpenAPI document: complete, true, and held against what a server really answers."""

from __future__ import annotations

import http.client
import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from conftest import KEY, Account, Server, prompt_call
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from watchllm_server.api.openapi import OPERATIONS, Operation, document
from watchllm_server.api.routes import Api
from watchllm_server.auth import Authenticator, Keyring
from watchllm_server.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchllm_server.metadata import Metadata
    from watchllm_server.store.embedded import EmbeddedStore

HEADERS = {"Authorization": f"Bearer {KEY}"}
load_all_checks()
# Some questions keep to each parameter's schema and make no sense together, which is 400 as well.
UNUSED = [CHECKS.get_one("positive_data_acceptance")]
described = schemathesis.openapi.from_dict(document())
# A body that is too large is told so, whatever else is wrong with it.
described.config.checks.negative_data_rejection.expected_statuses.append("413")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server with a run of one event, and return its address."""
    server = Server(tmp_path_factory.mktemp("openapi"))
    address = f"http://127.0.0.1:{server.port}"
    body = json.dumps({"events": [prompt_call(event_id="event", run_id="run")]}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/v1/events/batch", body, HEADERS)
    assert connection.getresponse().status == 200
    connection.close()
    yield address
    server.stop(signal.SIGKILL)


@described.parametrize()
@settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: Any, address: str) -> None:
    """Whatever is asked, right or wrong, is answered with a described status and body."""
    excluded = UNUSED
    if case.operation.path == "/v1/events/batch":
        # A wrong event is told in the answer, and the others are stored: that is 200.
        excluded = [*UNUSED, CHECKS.get_one("negative_data_rejection")]
    case.call_and_validate(base_url=address, headers=HEADERS, excluded_checks=excluded)


def test_every_route_that_reads_is_described(store: EmbeddedStore, metadata: Metadata) -> None:
    """The document has each route of the API with its method, and none that there is not."""
    clock = SystemClock()
    keys = Authenticator(Keyring(metadata, clock), "read")
    routes = Api(store, keys, clock).routes()
    found = {
        (method.lower(), re.sub(r":\w+}", "}", route.path))
        for route in routes
        for method in route.methods or ()
        if method != "HEAD"
    }

    told = {(each.method, each.path) for each in OPERATIONS}

    assert told - found == {("post", "/v1/events/batch")}
    assert found <= told


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_the_document_says_what_needs_a_key(account: Account, operation: Operation) -> None:
    """Without a key what is said to need one answers 401, and what is said not to does not."""
    path = operation.path.replace("{", "").replace("}", "")

    answer = account.client.request(operation.method, path)

    assert (answer.status_code == 401) is operation.needs_key


def test_errors_are_described_where_they_can_be() -> None:
    """What needs a key can be refused, limited and unavailable, and what is asked can be wrong."""
    for path, methods in document()["paths"].items():
        for described in methods.values():
            told = set(described["responses"])
            if described["security"]:
                assert {"401", "403", "429", "503"} <= told, path
            if "{" in path:
                assert "404" in told, path
            if "requestBody" in described:
                assert {"400", "413"} <= told, path
