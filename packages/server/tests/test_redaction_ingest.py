"""A project's redaction on every way in: batches, traces, imports; and on every way out."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from conftest import KEY, Account, Server, prompt_call
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from test_serve import HEADERS, ask
from watchllm_server.commands import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ADDRESS = "jane.doe@example.com"
CARD = "4111 1111 1111 1111"
CARD_NUMBER = 5_555_555_555_554_444
SECRETS = (ADDRESS, "jane.doe", CARD, CARD.replace(" ", ""), str(CARD_NUMBER))
SDK = {"User-Agent": "watchllm-python/0.2.0"}


def change(account: Account, redact: Any) -> None:
    """Set a project's redaction through the admin API, which counts at once."""
    path = f"/v1/admin/projects/{account.project}"
    answer = account.client.patch(path, json={"redact": redact})
    assert (answer.status_code, answer.json()["redact"]) == (200, redact)


def sent(account: Account, **headers: str) -> str:
    """Send an event with an address, a card and a social security number; return the prompt."""
    event = prompt_call(prompt=f"{ADDRESS}, {CARD}, 078-05-1120")
    body = json.dumps({"events": [event]}).encode()
    status, answer = account.post("/v1/events/batch", body, **headers)
    assert (status, answer["total_processed"]) == (200, 1)
    found: str = account.get(f"/v1/events/{event['event_id']}")[1]["prompt"]
    return found


def test_without_a_setting_all_but_the_sdk_is_redacted(account: Account) -> None:
    """What the SDK sends is as its app chose; of any other sender addresses and cards go."""
    assert sent(account) == "[REDACTED_EMAIL], [REDACTED_CC], 078-05-1120"
    assert sent(account, **SDK) == f"{ADDRESS}, {CARD}, 078-05-1120"


@pytest.mark.parametrize("headers", [{}, SDK], ids=["another sender", "the SDK"])
def test_a_project_gets_what_its_setting_says_whoever_sends(
    account: Account, headers: dict[str, str]
) -> None:
    """on, off and a list of kinds count for every sender, from the next request on."""
    wanted: list[tuple[Any, str]] = [
        ("on", "[REDACTED_EMAIL], [REDACTED_CC], 078-05-1120"),
        ("off", f"{ADDRESS}, {CARD}, 078-05-1120"),
        (["SSN"], f"{ADDRESS}, {CARD}, [REDACTED_SSN]"),
    ]

    for setting, expected in wanted:
        change(account, setting)
        assert sent(account, **headers) == expected


def test_two_projects_in_one_group_each_get_their_own(
    new_account: Callable[[], Account],
) -> None:
    """One project's setting changes nothing for another."""
    one, two = new_account(), new_account()
    change(two, "off")

    assert ADDRESS not in sent(one)
    assert ADDRESS in sent(two)


@pytest.mark.parametrize("wrong", ["yes", [], ["NAME"], ["EMAIL", ""], 1, ["on"]])
def test_a_setting_that_is_none_changes_nothing(account: Account, wrong: Any) -> None:
    """A wrong setting is refused with a sentence, with all else that came with it."""
    path = f"/v1/admin/projects/{account.project}"

    answer = account.client.patch(path, json={"redact": wrong, "retention_days": 5})

    assert answer.status_code == 400
    (shown,) = [
        each for each in account.client.get("/v1/admin/projects").json()["projects"]
        if each["id"] == account.project
    ]  # fmt: skip
    assert (shown["redact"], shown["retention_days"]) == (None, None)


def test_the_commands_set_and_show_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`projects set --redact` takes every setting, `projects list` shows it, wrong ones end 2."""
    place = ["--data-dir", str(tmp_path)]
    assert run(["projects", "create", "shop", "--redact", "off", *place]) == 0
    shown = []
    for setting in ("on", "email,ssn", "default"):
        assert run(["projects", "set", "shop", "--redact", setting, *place]) == 0
        shown.append(capfd.readouterr().out.strip().rpartition(": ")[2])
    assert run(["projects", "list", *place]) == 0
    listed = capfd.readouterr().out
    assert run(["projects", "set", "shop", "--redact", "NAME", *place]) == 2

    assert shown == ["on.", "EMAIL, SSN.", "on, but for the SDK's events."]
    assert "redaction" in listed
    assert "on, but for" in " ".join(listed.split())


@pytest.fixture
def server(serve: Callable[..., Server], tmp_path: Path) -> Iterator[Server]:
    """Start a server whose whole log is kept."""
    started = serve(tmp_path / "data", WATCHLLM_LOG_LEVEL="debug")
    yield started
    started.stop()


def test_nothing_that_was_planted_is_anywhere(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """By batch, by traces in both encodings and by import: not stored, shown, found or logged."""
    batches(server)
    traces(server)
    monkeypatch.setenv("WATCHLLM_API_KEY", KEY)
    monkeypatch.setenv("WATCHLLM_BASE_URL", f"http://127.0.0.1:{server.port}/v1")
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(planted("imported")) + "\n")
    assert run(["import", str(source)]) == 0
    assert run(["export"]) == 0
    exported = capfd.readouterr().out
    seen = [exported, *(page(server, path) for path in ("/", "/events/batch", "/runs/run-batch"))]
    found = [ids(server, text) for text in (ADDRESS, "jane.doe", "1111 1111", "[REDACTED_EMAIL]")]
    server.process.terminate()
    seen += server.process.communicate(timeout=100)
    rows = stored_rows(tmp_path / "data" / "events")
    seen += [rows, (tmp_path / "data" / "metadata.db").read_bytes().decode("latin-1")]

    assert [text for text in seen for secret in SECRETS if secret in text] == []
    assert len(rows.splitlines()) == len(exported.splitlines()) == 8
    assert found[:3] == [[], [], []]
    assert {"batch", "escaped", "imported"} <= set(found[3])
    counted = [json.loads(line)["redactions"] for line in exported.splitlines()]
    assert all(counts["email"] and counts["credit_card"] for counts in counted)


def planted(event_id: str) -> dict[str, Any]:
    """Return an event with personal data in every kind of place."""
    return prompt_call(
        event_id=event_id, run_id="run-batch", prompt=f"I am {ADDRESS}, card {CARD}",
        response=f"Thanks, {ADDRESS}", user_id=ADDRESS, tags=[ADDRESS, f"card {CARD}"],
        release=f"r {ADDRESS}", env=ADDRESS, model_version=f"v {ADDRESS}",
        response_metadata={"to": [ADDRESS, {ADDRESS: CARD_NUMBER}]},
        tool_calls=[{
            "tool_name": ADDRESS, "input": {"card": CARD}, "output": [ADDRESS], "latency_ms": 1,
            "status": "success", "error": {"message": ADDRESS, "stack": CARD},
        }],
        error={"message": f"no {ADDRESS}", "context": {ADDRESS: CARD}}, session_id=ADDRESS,
        client={"hostname": ADDRESS}, invalid_fields={"x": f"expected a number, got {CARD}"},
        status="error", **{f"own {ADDRESS}": CARD_NUMBER},
    )  # fmt: skip


def batches(server: Server) -> None:
    """Send the planted data as events, also with the characters written as escapes."""
    step = {
        "event_id": "step", "event_type": "agent_step", "run_id": "run-batch",
        "timestamp": "2026-11-24T09:30:01Z", "step_number": 1, "step_name": ADDRESS,
        "step_type": "reasoning", "input_data": {"card": CARD_NUMBER}, "output_data": {ADDRESS: 1},
        "reasoning": CARD, "latency_ms": 1, "status": "success",
    }  # fmt: skip
    unknown = {
        "event_id": "unknown", "event_type": f"my {ADDRESS}", "run_id": ADDRESS,
        "timestamp": "2026-11-24T09:30:01Z", "threshold": ADDRESS, "note": [[CARD]],
    }  # fmt: skip
    escaped = json.dumps(planted("escaped")).replace("@", "\\u0040").replace("4111", "\\u0034111")
    body = json.dumps({"events": [planted("batch"), step, unknown]})
    body = f"{body[:-2]}, {escaped}]}}"
    status, answer = ask(server, "POST", "/v1/events/batch", body.encode())
    assert (status, answer["total_errors"]) == (200, 0)


def traces(server: Server) -> None:
    """Send the planted data as spans, in protobuf and in JSON."""

    def pairs(**texts: str) -> list[KeyValue]:
        return [
            KeyValue(key=name.replace("__", "."), value=AnyValue(string_value=text))
            for name, text in texts.items()
        ]

    export = ExportTraceServiceRequest()
    resource = export.resource_spans.add()
    resource.resource.attributes.extend(
        pairs(service__name=f"shop of {ADDRESS}", owner=ADDRESS, service__version=ADDRESS)
    )
    span = resource.scope_spans.add().spans.add(
        trace_id=bytes(range(1, 17)), span_id=bytes(range(1, 9)), name=f"chat with {ADDRESS}",
        start_time_unix_nano=1_795_600_000_000_000_000,
        end_time_unix_nano=1_795_600_001_000_000_000,
    )  # fmt: skip
    messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": ADDRESS}]}])
    span.attributes.extend(
        pairs(
            gen_ai__operation__name="chat", gen_ai__request__model="gpt-4o", user__id=ADDRESS,
            gen_ai__input__messages=messages, card=CARD, session__id=ADDRESS,
        )
    )  # fmt: skip
    span.attributes.append(KeyValue(key=ADDRESS, value=AnyValue(int_value=CARD_NUMBER)))
    event = span.events.add(name="exception", time_unix_nano=1_795_600_000_500_000_000)
    event.attributes.extend(
        pairs(exception__type="Denied", exception__message=ADDRESS, exception__stacktrace=CARD)
    )
    told = MessageToDict(export)
    (as_json,) = told["resourceSpans"][0]["scopeSpans"][0]["spans"]
    as_json |= {"traceId": "ab" * 16, "spanId": "cd" * 8}
    del as_json["events"]
    for body, kind in (
        (export.SerializeToString(), "x-protobuf"),
        (json.dumps(told).encode(), "json"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
        headers = {**HEADERS, **SDK, "Content-Type": f"application/{kind}"}
        connection.request("POST", "/v1/traces", body, headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"{}" if kind == "json" else b"")
        connection.close()


def page(server: Server, path: str) -> str:
    """Return what a page shows."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def ids(server: Server, text: str) -> list[str]:
    """Return the ids of the events in which a search finds a text."""
    question = json.dumps({"text_search": text, "limit": 100}).encode()
    status, answer = ask(server, "POST", "/v1/events/query", question)
    assert status == 200
    return [event["event_id"] for event in answer["events"]]


def stored_rows(events: Path) -> str:
    """Return all rows of a store that no process has open, with every column, a line each."""
    program = (
        "import chdb, sys; c = chdb.connect(sys.argv[1]); "
        "print(c.query('SELECT * FROM events', 'JSONEachRow').bytes().decode()); c.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(events.resolve())],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
