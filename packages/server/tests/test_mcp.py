"""`watchllm mcp`, asked by the protocol's own client, before a real server."""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from anyio.from_thread import start_blocking_portal
from conftest import KEY, Server, prompt_call
from mcp import Client, StdioServerParameters
from mcp_types import TextContent
from watchllm_server.commands import run
from watchllm_server.errors import TransferError
from watchllm_server.mcp.shown import MOST_CHARACTERS, shown
from watchllm_server.mcp.tools import TOOLS
from watchllm_server.transfer.connection import Server as Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.from_thread import BlockingPortal
    from mcp_types import CallToolResult, Tool

PASSWORD = "a password of the tests"


class Assistant:
    """An assistant that has started `watchllm mcp` with a key."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal = portal
        self._client = client

    def ask(self, tool: str, **arguments: Any) -> CallToolResult:
        """Return what a tool answers."""
        result: CallToolResult = self._portal.call(self._client.call_tool, tool, arguments)
        return result

    def answer(self, tool: str, **arguments: Any) -> Any:
        """Return what a tool answers, which must be no error."""
        result = self.ask(tool, **arguments)
        assert not result.is_error, text_of(result)
        return json.loads(text_of(result))

    def error(self, tool: str, **arguments: Any) -> str:
        """Return the sentence of a tool's error."""
        result = self.ask(tool, **arguments)
        assert result.is_error
        return text_of(result)

    def tools(self) -> list[Tool]:
        """Return the tools that the server lists."""
        return self._portal.call(self._client.list_tools).tools


@contextmanager
def assistant_with(url: str, key: str) -> Iterator[Assistant]:
    """Start `watchllm mcp` as an assistant does, and end it by closing its input."""
    client = Client(
        StdioServerParameters(
            command=sys.executable,
            args=["-m", "watchllm_server", "mcp"],
            env={**os.environ, "WATCHLLM_BASE_URL": url, "WATCHLLM_API_KEY": key},
        )
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(client):
        yield Assistant(portal, client)


def text_of(result: CallToolResult) -> str:
    """Return the text of a result."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def error_event(event_id: str, message: str) -> dict[str, Any]:
    """Return an error in the run of the tests."""
    return {
        "event_id": event_id,
        "event_type": "error",
        "run_id": "run-weather",
        "timestamp": "2026-11-24T09:30:01.000Z",
        "error": {"type": "ValueError", "message": message},
    }


@dataclass(frozen=True)
class World:
    """A server's address, and two keys of a project: one that reads and one that sends."""

    url: str
    reader: str
    sender: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run a server with two projects: the assistant's, and one that it must never see."""
    server = Server(tmp_path_factory.mktemp("mcp"), WATCHLLM_ADMIN_PASSWORD=PASSWORD)
    try:
        yield filled(f"http://127.0.0.1:{server.port}/v1")
    finally:
        server.stop()


@pytest.fixture(scope="module")
def assistant(world: World) -> Iterator[Assistant]:
    """Return an assistant that may read one project."""
    with assistant_with(world.url, world.reader) as started:
        yield started


def filled(url: str) -> World:
    """Store what the tests ask for, and return who may ask."""
    owner = Target(url, PASSWORD)
    own = made(owner, "/admin/projects", name="asked", id="asked")["id"]
    reader, sender = (
        made(owner, f"/admin/projects/{own}/keys", scopes=[scope])["secret"]
        for scope in ("read", "ingest")
    )
    store(
        Target(url, sender),
        prompt_call(event_id="rome", run_id="run-weather", prompt="Weather in Rome?", tags=["a"]),
        prompt_call(event_id="long", run_id="run-long", prompt="word " * 30_000, model="o3"),
        error_event("failed-1", "order 17 is unknown"),
        error_event("failed-2", "order 4711 is unknown"),
    )
    store(Target(url, KEY), prompt_call(event_id="foreign", run_id="run-foreign", model="secret"))
    return World(url, reader, sender)


def made(target: Target, path: str, **body: Any) -> dict[str, Any]:
    """Return what a POST has made."""
    with target.request("POST", path, json.dumps(body).encode()) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        assert answer.status in (200, 201), found
        return found


def store(target: Target, *events: Any) -> None:
    """Store events."""
    assert made(target, "/events/batch", events=events)["total_errors"] == 0


def test_every_tool_says_what_it_takes_and_that_it_only_reads(assistant: Assistant) -> None:
    """The list has a tool a question, each with a sentence and a schema of its arguments."""
    tools = assistant.tools()

    assert [tool.name for tool in tools] == [tool.name for tool in TOOLS]
    for tool in tools:
        assert tool.description
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True
        assert tool.input_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert all(of["description"] for of in tool.input_schema["properties"].values())


def test_a_key_that_may_only_read_answers_every_tool(assistant: Assistant, world: World) -> None:
    """No tool needs more than the scope read: nothing that it does can write."""
    subjects = {"run_id": "run-weather", "event_id": "rome"}
    questions = {
        tool.name: {tool.subject: subjects[tool.subject]} if tool.subject else {} for tool in TOOLS
    }

    results = [assistant.ask(name, **arguments) for name, arguments in questions.items()]

    assert [text_of(result) for result in results if result.is_error] == []
    with pytest.raises(TransferError, match="scope"):
        store(Target(world.url, world.reader), prompt_call(event_id="more"))


def test_runs_and_what_happened_in_one(assistant: Assistant) -> None:
    """The runs are those of the key's project, and a run has its events in order."""
    runs = assistant.answer("list_runs")["runs"]
    run_ = assistant.answer("get_run", run_id="run-weather")

    assert {each["run_id"] for each in runs} == {"run-weather", "run-long"}
    assert run_["run"]["errors"] == 2
    assert [event["event_id"] for event in run_["events"]] == ["rome", "failed-1", "failed-2"]
    assert run_["events"][0]["prompt"] == "Weather in Rome?"


def test_costs_are_summed_by_what_is_asked_for(assistant: Assistant) -> None:
    """Totals come with their groups, and each unit of a metric's time."""
    since = {
        "date_from": "2026-11-01",
        "date_to": "2026-12-01",
        "event_types": ["prompt_call"],
    }
    sums = assistant.answer("sum_up", group_by="model", **since)
    days = assistant.answer("follow_metric", metric="cost", **since)

    assert sums["stats"]["requests"] == 2
    costs = {group["group"]: group["totals"]["cost_usd"] for group in sums["groups"]}
    assert set(costs) == {"gpt-4o", "o3"}
    assert costs["gpt-4o"] + costs["o3"] == pytest.approx(sums["stats"]["cost_usd"])
    assert sums["stats"]["cost_usd"] > 0
    points = [point["value"] for point in days["series"][0]["data"]]
    assert sum(point or 0 for point in points) == pytest.approx(sums["stats"]["cost_usd"])


def test_errors_that_differ_in_numbers_are_one_kind(assistant: Assistant) -> None:
    """Errors come grouped, with how often each kind came."""
    (kind,) = assistant.answer("list_errors", date_from="2026-11-01")["errors"]

    assert (kind["type"], kind["occurrences"]) == ("ValueError", 2)
    assert kind["pattern"] == "order # is unknown"


def test_search_finds_words_and_takes_lists(assistant: Assistant) -> None:
    """Words, models and tags narrow what is found."""
    questions: list[dict[str, Any]] = [
        {"text_search": "rome weather"},
        {"models": ["o3", "none"]},
        {"tags": ["a"], "event_types": ["prompt_call"]},
        {"text_search": "nowhere"},
    ]

    found = [assistant.answer("search_events", **question)["events"] for question in questions]

    ids = [[event["event_id"] for event in events] for events in found]
    assert ids == [["rome"], ["long"], ["rome"], []]


def test_what_another_project_has_is_not_there(assistant: Assistant) -> None:
    """A run and an event of another project are answered like ones that never were."""
    names = [("get_run", "run_id", "run-foreign"), ("get_event", "event_id", "foreign")]

    for tool, subject, name in names:
        foreign = assistant.error(tool, **{subject: name})

        assert foreign == assistant.error(tool, **{subject: "never-was"})
    assert assistant.answer("search_events", models=["secret"])["events"] == []


def test_a_long_text_is_cut_and_says_so(assistant: Assistant) -> None:
    """An event larger than an assistant can read comes with the start of its long texts."""
    result = assistant.ask("get_event", event_id="long")

    assert len(text_of(result)) <= MOST_CHARACTERS
    prompt = json.loads(text_of(result))["prompt"]
    assert prompt == f"{('word ' * 30_000)[:8_000]} [and 142,000 more characters]"


def test_lists_are_cut_before_it_is_given_up() -> None:
    """A list that is long in itself is cut like a text; what no cut makes short is not shown."""
    long = shown({"steps": list(range(100_000))})
    wide = shown({str(number): "x" for number in range(20_000)})
    deep: dict[str, Any] = {}
    for _ in range(1_000):
        deep = {"in": deep}

    assert long is not None
    assert json.loads(long)["steps"][-1] == "[and 99,000 more]"
    assert wide is None
    assert "too deep" in (shown(deep) or "")


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("drop_tables", {}, "There is no tool 'drop_tables'. There are: list_runs, get_run"),
        ("get_run", {}, "`run_id` is missing."),
        ("get_run", {"run_id": ""}, "`run_id` must be a text"),
        ("get_run", {"run_id": "../admin/projects"}, "There is no run of this id"),
        ("list_runs", {"limit": 101}, "`limit` must be an integer from 1 to 100"),
        ("list_runs", {"project_id": "proj-tests"}, "There is no parameter 'project_id'"),
        ("sum_up", {"group_by": "planet"}, "`group_by` must be one of model"),
        ("follow_metric", {"date_from": "yesterday"}, "`date_from`"),
        ("search_events", {"models": [1]}, "`models[0]` must be a text"),
        ("search_events", {"cursor": "made-up"}, "`cursor` cannot be used"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_why(
    assistant: Assistant, tool: str, arguments: dict[str, Any], told: str
) -> None:
    """What is wrong comes back as a sentence, so that the assistant can ask better."""
    assert told in assistant.error(tool, **arguments)


def test_a_wrong_key_and_a_server_that_is_away_are_told(world: World) -> None:
    """Neither ends the conversation; the key itself is in no answer."""
    places = [
        (world.url, "wllm_wrong-key-0123456789"),
        (world.url, world.sender),
        ("http://127.0.0.1:1/v1", world.reader),
        ("ftp://127.0.0.1/v1", world.reader),
    ]

    with ExitStack() as stack:
        started = [stack.enter_context(assistant_with(*place)) for place in places]
        refused, unable, away, nowhere = (each.error("list_runs") for each in started)

    assert "refuses the key" in refused
    assert "wllm_wrong-key" not in refused
    assert "http://127.0.0.1:1/v1 cannot be reached" in away
    assert "scope" in unable
    assert "--base-url must be" in nowhere


class Odd(BaseHTTPRequestHandler):
    """Answer what WatchLLM never does."""

    bodies: ClassVar = {
        "/v1/runs": b"<html>Welcome</html>",
        "/v1/cache/stats": b'{"entries": "' + b"x" * 20_000_000 + b'"}',
        "/v1/analytics/errors": json.dumps({f"{n}": "x" for n in range(20_000)}).encode(),
    }

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(ConnectionError):  # nobody reads more than there may be
            self.wfile.write(self.bodies[self.path.partition("?")[0]])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""


def test_an_answer_that_is_none_or_too_large_is_told() -> None:
    """Another program's answer is said to be one, and what cannot be shown is not."""
    with HTTPServer(("127.0.0.1", 0), Odd) as odd:
        thread = threading.Thread(target=odd.serve_forever, args=(0.05,))
        thread.start()
        with assistant_with(f"http://127.0.0.1:{odd.server_port}/v1", "wllm_any") as asking:
            foreign, large, wide = (
                asking.error(tool) for tool in ("list_runs", "get_cache_stats", "list_errors")
            )
        odd.shutdown()
        thread.join()

    assert "does not answer as WatchLLM does" in foreign
    assert large == wide
    assert "Ask for fewer rows with `limit`" in large


def test_the_command_needs_a_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a key it does not start, and says what to set."""
    monkeypatch.delenv("WATCHLLM_API_KEY", raising=False)

    assert run(["mcp"]) == 2
    assert "WATCHLLM_API_KEY" in capsys.readouterr().err


def test_a_missing_extra_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the protocol's package is not installed, the command says how to install it."""
    monkeypatch.setitem(sys.modules, "mcp.server.lowlevel", None)
    monkeypatch.delitem(sys.modules, "watchllm_server.mcp.server", raising=False)

    assert run(["mcp", "--api-key", "wllm_any-key-0123456789"]) == 2
    assert "pip install 'watchllm-server[mcp]'" in capsys.readouterr().err
