"""POST /v1/traces: encodings, keys, and the answers that OTLP asks for."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from otlp_spans import SPAN, START, TRACE, attributes, export, span
from starlette.testclient import TestClient
from watchllm_server.app import create_app
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Account
    from watchllm_server.metadata import Metadata
    from watchllm_server.pricing import Prices
    from watchllm_server.store.embedded import EmbeddedStore

PATH = "/v1/traces"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}


def post(account: Account, body: bytes, **headers: str) -> tuple[int, bytes]:
    """Post an export with the account's key and return status and body."""
    answer = account.client.post(
        PATH, content=body, headers={**account.headers, **PROTOBUF, **headers}
    )
    return answer.status_code, answer.content


def as_json(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """Return an export in OTLP's JSON, in which ids are hexadecimal digits."""
    found = MessageToDict(request)
    for resource in found["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for each, origin in zip(
                scope["spans"], request.resource_spans[0].scope_spans[0].spans, strict=True
            ):
                each["traceId"] = origin.trace_id.hex()
                each["spanId"] = origin.span_id.hex()
                if origin.parent_span_id:
                    each["parentSpanId"] = origin.parent_span_id.hex()
    return dict(found)


def run(account: Account, trace: bytes = TRACE) -> list[dict[str, Any]]:
    """Return the events of a trace in the order in which they ended."""
    status, answer = account.get(f"/v1/runs/{trace.hex()}")
    assert status == 200, answer
    return list(answer["events"])


def test_an_export_in_protobuf_is_stored_and_answered_in_protobuf(account: Account) -> None:
    """The answer of full success is an empty response, and the run holds the span's event."""
    status, content = post(account, export(span()).SerializeToString())

    assert (status, ExportTraceServiceResponse.FromString(content)) == (
        200,
        ExportTraceServiceResponse(),
    )
    assert [event["event_type"] for event in run(account)] == ["prompt_call"]


def test_the_same_export_in_json_and_gzip_gives_the_same_event(
    account: Account, new_account: Any
) -> None:
    """Both encodings, plain and compressed, lead to the same stored events."""
    request = export(span(attributes=attributes(ratio=0.5, flags=[True, 7], raw=b"\x01\xff")))
    body = request.SerializeToString()
    text = json.dumps(as_json(request)).encode()
    accounts = [account, new_account(), new_account(), new_account()]

    answers = [
        post(accounts[0], body),
        post(accounts[1], gzip.compress(body), **{"Content-Encoding": "gzip"}),
        post(accounts[2], text, **JSON),
        post(accounts[3], gzip.compress(text), **JSON, **{"Content-Encoding": "gzip"}),
    ]

    assert answers == [(200, b""), (200, b""), (200, b"{}"), (200, b"{}")]
    events = [run(each) for each in accounts]
    for event in events:
        del event[0]["project_id"]
    assert events[1:] == [events[0]] * 3


def test_an_export_that_is_sent_again_is_stored_once(account: Account) -> None:
    """A retry of the same spans adds no event."""
    body = export(span(), span(span_id=b"other___")).SerializeToString()

    answers = [post(account, body), post(account, body)]

    assert answers == [(200, b"")] * 2
    assert len(run(account)) == 2


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer no"}, {"x-api-key": "no"}])
def test_without_a_known_key_nothing_is_stored(account: Account, headers: dict[str, str]) -> None:
    """An absent or unknown key is 401, told as google.rpc.Status."""
    body = export(span()).SerializeToString()

    answer = account.client.post(PATH, content=body, headers={**PROTOBUF, **headers})

    assert (answer.status_code, answer.content[:3]) == (401, b"\x08\x10\x12")
    assert account.ids() == []


def test_the_key_may_come_as_x_api_key(account: Account) -> None:
    """`x-api-key` opens the project like a bearer's key."""
    headers = {**PROTOBUF, "x-api-key": account.key}

    answer = account.client.post(PATH, content=export(span()).SerializeToString(), headers=headers)

    assert answer.status_code == 200
    assert len(run(account)) == 1


def test_a_span_that_cannot_be_stored_is_refused_and_the_others_are_kept(account: Account) -> None:
    """Partial success counts the refused spans and says why; 200 forbids the client to retry."""
    request = export(span(), span(span_id=b"\0" * 8), span(trace_id=b"short"))

    status, content = post(account, request.SerializeToString())
    json_status, text = post(account, json.dumps(as_json(request)).encode(), **JSON)

    found = ExportTraceServiceResponse.FromString(content).partial_success
    assert (status, found.rejected_spans) == (200, 2)
    assert "spanId must be 8 bytes" in found.error_message
    assert "traceId must be 16 bytes" in found.error_message
    assert json_status == 200
    assert json.loads(text)["partialSuccess"]["rejectedSpans"] == "2"
    assert [event["span_id"] for event in run(account)] == [SPAN.hex()]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff\xff\xff", PROTOBUF),
        (b"\x0a\x7f", PROTOBUF),
        (b"\x0a\x02\x12\x7f", PROTOBUF),
        (b"\x0b", PROTOBUF),
        (b"", JSON),
        (b"[]", JSON),
        (b'{"resourceSpans": 7}', JSON),
        (b'{"resourceSpans": [{"resource": {"attributes": 1}}]}', JSON),
        (b"\xff", JSON),
    ],
    ids=range(9),
)
def test_a_body_that_is_no_export_is_400(
    account: Account, body: bytes, headers: dict[str, str]
) -> None:
    """What cannot be read is 400, which OTLP's clients do not send again."""
    status, content = post(account, body, **headers)

    assert status == 400
    if headers is JSON:
        answer = json.loads(content)
        assert (answer["code"], answer["error"]["code"]) == (3, "invalid_export")
        assert answer["message"] == answer["error"]["message"]
    else:
        assert content.startswith(b"\x08\x03\x12")
        assert b"OTLP" in content


def test_another_content_type_is_415(account: Account) -> None:
    """A type that is neither protobuf nor JSON is named as such."""
    status, content = post(account, b"a=b", **{"Content-Type": "text/plain"})

    assert status == 415
    assert b"application/x-protobuf or application/json" in content


def json_export(**fields: Any) -> bytes:
    """Return the export of one span in JSON, with these fields."""
    ids = {"traceId": TRACE.hex().upper(), "spanId": SPAN.hex().upper()}
    one = {**ids, "startTimeUnixNano": str(START), "endTimeUnixNano": START + 1, **fields}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}).encode()


def test_json_is_read_as_leniently_as_it_is_written(account: Account) -> None:
    """Ids in capitals, kinds by name, numbers as texts, nulls and unknown fields are taken."""
    values = [
        {"key": "big", "value": {"intValue": str(2**60)}},
        {"key": "small", "value": {"intValue": 7}},
        {"key": "odd", "value": {"doubleValue": "NaN"}},
        {"key": "raw", "value": {"bytesValue": "AQID"}},
        {"key": "none", "value": None},
        {"key": "empty", "value": {}},
        {"key": "pairs", "value": {"kvlistValue": {"values": [{"key": "a"}]}}},
    ]
    body = json_export(
        kind="SPAN_KIND_CLIENT", parentSpanId=None, attributes=values, ownField={"a": [1]},
        events=[{"name": "exception", "timeUnixNano": str(START)}],
        links=[{"traceId": TRACE.hex(), "spanId": SPAN.hex()}],
        status={"code": "STATUS_CODE_ERROR"},
    )  # fmt: skip

    assert post(account, body, **JSON) == (200, b"{}")
    step = next(event for event in run(account) if event["event_type"] == "agent_step")
    assert (step["status"], step["step_type"]) == ("error", "tool_call")
    assert step["context"]["attributes"] == {
        "big": 2**60, "small": 7, "odd": "nan", "raw": "AQID", "none": None, "empty": None,
        "pairs": {"a": None},
    }  # fmt: skip


def test_half_a_character_does_not_cost_an_export(account: Account) -> None:
    """A name that was cut within a surrogate pair is mended."""
    assert post(account, json_export(name="cut \ud83d"), **JSON) == (200, b"{}")
    assert run(account)[0]["step_name"] == "cut \ufffd"


@pytest.mark.parametrize(
    "wrong", [{"name": 7}, {"startTimeUnixNano": "soon"}, {"startTimeUnixNano": -5}]
)
def test_a_span_of_wrong_types_is_refused_with_a_reason(
    account: Account, wrong: dict[str, Any]
) -> None:
    """A span of a wrong type is counted in the partial success, and says what is wrong."""
    status, content = post(account, json_export(**wrong), **JSON)

    found = json.loads(content)["partialSuccess"]
    assert (status, found["rejectedSpans"]) == (200, "1")
    assert found["errorMessage"]


def test_many_refused_spans_are_told_in_short(account: Account) -> None:
    """The first reasons are given in full, and the others are counted."""
    request = export(*(span(span_id=b"") for _ in range(8)))

    _, content = post(account, request.SerializeToString())

    found = ExportTraceServiceResponse.FromString(content).partial_success
    assert found.rejected_spans == 8
    assert found.error_message.endswith("And 3 more.")
    assert found.error_message.count("spanId must be") == 5


def test_an_empty_export_is_a_success(account: Account) -> None:
    """An export without spans, as a collector may send it, is answered 200."""
    assert post(account, b"") == (200, b"")
    assert post(account, b"{}", **JSON) == (200, b"{}")


def test_an_export_counts_as_a_batch_does(
    new_account: Callable[[], Account], store: EmbeddedStore, metadata: Metadata, prices: Prices
) -> None:
    """Events of good spans, refused spans and refused requests are in /metrics, once each."""
    app = create_app(load_settings({}), store=store, metadata=metadata, prices=prices)
    with TestClient(app, base_url="http://127.0.0.1:8787") as client:
        account = replace(new_account(), client=client)
        post(account, export(span(), span(span_id=b"too short")).SerializeToString())
        post(account, b"\xff")
        text = client.get("/metrics").text

    assert "watchllm_events_accepted_total 1.0" in text
    assert 'watchllm_events_rejected_total{code="invalid_span"} 1.0' in text
    assert 'watchllm_problems_total{code="invalid_export"} 1.0' in text
