"""The OpenAPI document: complete, true, and held against what a server really answers."""

from __future__ import annotations

import http.client
import json
import re
import signal
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from conftest import KEY, Server, prompt_call
from gateways import parts_of
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from starlette.testclient import TestClient
from test_isolation import routes_of
from watchllm_server.api.openapi import OPERATIONS, document
from watchllm_server.app import create_app
from watchllm_server.cache.store import CacheStore
from watchllm_server.clock import SystemClock
from watchllm_server.credentials import ProjectKeys
from watchllm_server.secrets import Secret
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchllm_server.api.described import Operation
    from watchllm_server.metadata import Metadata
    from watchllm_server.pricing import Prices
    from watchllm_server.store.embedded import EmbeddedStore

HEADERS = {"Authorization": f"Bearer {KEY}"}
PASSWORD = "correct horse battery"
ADMINISTRATOR = {"Authorization": f"Bearer {PASSWORD}"}
JSON = {"Content-Type": "application/json"}
# OTLP is described by OpenTelemetry.
UNDESCRIBED = {"/v1/traces"}
load_all_checks()
# Some questions keep to each parameter's schema and make no sense together, which is 400 as well.
UNUSED = [CHECKS.get_one("positive_data_acceptance")]
# More than ten wrong passwords a minute would close the admin API for all other questions.
NO_GUESSES = [*UNUSED, CHECKS.get_one("ignored_auth"), CHECKS.get_one("missing_required_header")]
EXAMPLES = settings(
    max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
described = schemathesis.openapi.from_dict(document())
# A body that is too large is told so, whatever else is wrong with it.
described.config.checks.negative_data_rejection.expected_statuses.append("413")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server with a run of one event and a second project, and return its address."""
    server = Server(tmp_path_factory.mktemp("openapi"), WATCHLLM_ADMIN_PASSWORD=PASSWORD)
    address = f"http://127.0.0.1:{server.port}"
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for path, body, status in (
        ("/v1/events/batch", {"events": [prompt_call(event_id="event", run_id="run")]}, 200),
        ("/v1/admin/projects", {"name": "second"}, 201),
    ):
        headers = {**(ADMINISTRATOR if "admin" in path else HEADERS), **JSON}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        assert (answer.read() != b"", answer.status) == (True, status)
    connection.close()
    yield address
    server.stop(signal.SIGKILL)


@described.include(path_regex="^(?!/v1/admin/)").parametrize()
@EXAMPLES
def test_every_answer_is_as_described(case: Any, address: str) -> None:
    """Whatever is asked, right or wrong, is answered with a described status and body."""
    excluded = UNUSED
    if case.operation.path == "/v1/events/batch":
        # A wrong event is told in the answer, and the others are stored: that is 200.
        excluded = [*UNUSED, CHECKS.get_one("negative_data_rejection")]
    case.call_and_validate(base_url=address, headers=HEADERS, excluded_checks=excluded)


@described.include(path_regex="^/v1/admin/").parametrize()
@EXAMPLES
def test_every_answer_to_an_administrator_is_as_described(case: Any, address: str) -> None:
    """The same for what the owner of the password asks, of any project and of one that is there."""
    case.call_and_validate(base_url=address, headers=ADMINISTRATOR, excluded_checks=NO_GUESSES)
    if "project_id" in case.path_parameters and case.method != "DELETE":
        case.path_parameters["project_id"] = "second"
        # What was wrong with it may have been the id.
        excluded = [*NO_GUESSES, CHECKS.get_one("negative_data_rejection")]
        case.call_and_validate(base_url=address, headers=ADMINISTRATOR, excluded_checks=excluded)


def test_every_route_that_reads_or_administers_is_described(guarded: TestClient) -> None:
    """The document has each of their routes with its method, and none that there is not."""
    found = {
        (method.lower(), re.sub(r":\w+}", "}", path)) for method, path in routes_of(guarded.app)
    }

    told = {(each.method, each.path) for each in OPERATIONS}

    assert told - found == set()
    assert {path for _, path in found - told if path.startswith("/v1/")} == UNDESCRIBED


@pytest.fixture(scope="module")
def guarded(
    store: EmbeddedStore,
    metadata: Metadata,
    prices: Prices,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TestClient]:
    """Serve the application with a password and a gateway."""
    folder = tmp_path_factory.mktemp("gateway")
    secret = Secret(b"s" * 32)
    configured = load_settings({"WATCHLLM_ADMIN_PASSWORD": PASSWORD})
    with closing(
        CacheStore(folder / "cache", secret, max_bytes=1_000_000, clock=SystemClock())
    ) as cache:
        app = create_app(
            configured,
            store=store,
            metadata=metadata,
            prices=prices,
            provider_keys=ProjectKeys(metadata, secret),
            gateway=parts_of(folder, metadata, cache),
        )
        with TestClient(app, base_url="http://127.0.0.1:8787") as client:
            yield client


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_the_document_says_what_needs_a_key(guarded: TestClient, operation: Operation) -> None:
    """Without a key what is said to need one answers 401, and what is said not to does not."""
    path = operation.path.replace("{", "").replace("}", "").replace("key_id", "7")

    answer = guarded.request(operation.method, path)

    assert (answer.status_code in {401, 403}) is (operation.admits != "anyone")


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
