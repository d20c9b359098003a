"""Real clients get through the gateway what upstreams that others wrote say to them.

llmock is from PyPI, aimock from npm. Each client is asked to make the same calls of the upstream
itself, through the gateway, and through the gateway once more.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from endpoint import PROVIDER_KEY
from foreign import messages_of, running_upstreams
from recorded import events_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from conftest import Server

HERE = Path(__file__).parent / "upstreams"
REFUSED = {"limited": 429, "refusing": 400, "failing": 503}
UPSTREAMS = ("llmock", "aimock")
ENVIRONMENTS = {
    "openai 3": ("WATCHLLM_CLIENTS", "openai"),
    "openai 2": ("WATCHLLM_UPSTREAMS", "openai-2"),
    "anthropic": ("WATCHLLM_CLIENTS", "anthropic"),
}

EVENTS = {"openai 3": 17, "openai 2": 17, "anthropic": 8}
WORDS = (("prompt", "input"), ("completion", "output"))


class Called(NamedTuple):
    """What a client made of its calls: to the upstream itself, and twice through the gateway."""

    direct: dict[str, Any]
    through: dict[str, Any]
    again: dict[str, Any]
    first_events: list[dict[str, Any]]
    second_events: list[dict[str, Any]]


@pytest.fixture(scope="session")
def upstreams() -> Iterator[dict[str, str]]:
    """Run the upstreams that are installed, and return their addresses."""
    with running_upstreams(Path(os.environ["WATCHLLM_UPSTREAMS"])) as found:
        yield found


@pytest.fixture(scope="session")
def gateway_of_all(
    upstreams: dict[str, str], serving: Callable[..., AbstractContextManager[Server]]
) -> Iterator[Server]:
    """Run a server whose providers are the upstreams, by the API that they are asked by."""
    settings = {}
    for name, url in upstreams.items():
        providers = {
            name: (f"{url}/v1", "bearer"),
            f"{name}-messages": (f"{messages_of(name, url)}/v1", "x-api-key"),
        }
        for provider, (base_url, auth) in providers.items():
            prefix = f"WATCHLLM_PROVIDER_{provider.upper().replace('-', '_')}"
            settings[f"{prefix}_BASE_URL"] = base_url
            settings[f"{prefix}_API_KEY"] = PROVIDER_KEY
            settings[f"{prefix}_AUTH"] = auth
            settings[f"{prefix}_PRICE_ID"] = "openai" if provider == name else "anthropic"
    with serving(**settings) as server:
        yield server


@pytest.fixture(scope="session")
def make_calls(upstreams: dict[str, str], gateway_of_all: Server) -> Callable[[str, str], Called]:
    """Return what makes a client's calls to an upstream, each pair once in the session."""
    made: dict[tuple[str, str], Called] = {}

    def make(client: str, name: str) -> Called:
        if name not in upstreams:
            pytest.skip(f"{name} is not installed: it needs npm and node 20.15")
        if (client, name) not in made:
            made[client, name] = call(client, name, upstreams[name], gateway_of_all)
        return made[client, name]

    return make


def call(client: str, name: str, url: str, server: Server) -> Called:
    """Run a client's program: against the upstream, then twice against the gateway before it."""
    speaks_messages = client == "anthropic"
    run = f"{client}-{name}".replace(" ", "-")
    through = {
        "base_url": server.url if speaks_messages else f"{server.url}/v1",
        "key": server.key,
        "headers": {
            "X-WatchLLM-Provider": f"{name}-messages" if speaks_messages else name,
            # Two clients of one upstream ask the same; each shall have its own first time.
            "X-WatchLLM-Cache-Namespace": run,
        },
    }
    direct = {
        "base_url": messages_of(name, url) if speaks_messages else f"{url}/v1",
        "key": PROVIDER_KEY,
        "headers": {},
    }
    targets = [direct] + [
        {**through, "headers": {**through["headers"], "X-WatchLLM-Run-Id": f"{run}-{number}"}}
        for number in (1, 2)
    ]
    variable, environment = ENVIRONMENTS[client]
    done = subprocess.run(
        [
            Path(os.environ[variable]) / environment / "bin" / "python",
            HERE / f"calls_{'anthropic' if speaks_messages else 'openai'}.py",
            json.dumps(targets),
        ],
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Called(
        *json.loads(done.stdout),
        *(events_of(server, f"{run}-{number}", EVENTS[client]) for number in (1, 2)),
    )


def differing(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the outcomes that are not the same."""
    assert first.keys() == second.keys()
    return {name: (first[name], second[name]) for name in first if first[name] != second[name]}


pairs = pytest.mark.parametrize(
    ("client", "name"), [(client, name) for name in UPSTREAMS for client in ENVIRONMENTS]
)


@pairs
def test_a_client_gets_what_the_upstream_says(
    make_calls: Callable[[str, str], Called], client: str, name: str
) -> None:
    """Text, streams, tools, types, vectors and errors are the same with the gateway and without."""
    called = make_calls(client, name)

    assert differing(called.direct, called.through) == {}
    for refused, status in REFUSED.items():
        assert called.direct[refused]["status"] == status
    assert called.direct["limited"]["retry_after"] == "7"
    assert called.direct["tools"]["name"] == called.direct["stream_tools"]["name"] == "get_weather"
    assert called.direct["text"]["text"]
    if client != "anthropic":
        assert called.direct["pieces"] == {"several": True}
        assert called.direct["dropped"]["raised"]


@pairs
def test_a_kept_answer_is_the_same_to_a_client(
    make_calls: Callable[[str, str], Called], client: str, name: str
) -> None:
    """The second time all that succeeded is from the cache, and the client sees no difference."""
    called = make_calls(client, name)

    caches = [
        event["response_metadata"]["cache"]
        for event in called.second_events
        if event["status"] == "success"
    ]
    # A kept answer comes in one piece, also as a stream.
    assert differing(called.through, called.again).keys() <= {"pieces"}
    assert set(caches) == {"HIT"}


@pairs
def test_what_was_called_is_recorded(
    make_calls: Callable[[str, str], Called], client: str, name: str
) -> None:
    """The event of a call has the usage that its client saw; of one that failed, its status."""
    called = make_calls(client, name)

    first = called.first_events[0]
    usage = called.direct["text"]["usage"]
    counts = [usage.get(f"{ours}_tokens", usage.get(f"{theirs}_tokens")) for ours, theirs in WORDS]
    failed = [
        event["response_metadata"]["http_status"]
        for event in called.first_events
        if event["response_metadata"]["http_status"] in REFUSED.values()
    ]
    assert first["response"] == called.direct["text"]["text"]
    assert [first["tokens_input"], first["tokens_output"]] == counts
    assert failed == list(REFUSED.values())
    assert len(called.first_events) == len(called.second_events) == EVENTS[client]
    assert PROVIDER_KEY not in json.dumps(called)
