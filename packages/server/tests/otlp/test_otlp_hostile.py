"""Exports that are made to cost more than they weigh, and exports of no sense."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import KEY
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from otlp_any import ATTRIBUTES, FEW_ATTRIBUTES
from otlp_spans import attributes, export, pairs, span
from watchllm_server.errors import Problem
from watchllm_server.ingest.otlp.events import rows_of
from watchllm_server.ingest.otlp.frames import SPAN, BrokenFrameError, has_more_messages, parts
from watchllm_server.ingest.otlp.jsonbody import read_json
from watchllm_server.ingest.otlp.protobuf import read_protobuf
from watchllm_server.ingest.otlp.span import DEEPER, MAX_DEPTH, MAX_SPANS

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Server
    from watchllm_server.ingest.otlp.span import Export

MB = 1_000_000


def field(number: int, content: bytes) -> bytes:
    """Return a field of a protobuf message that holds bytes."""
    length = len(content)
    digits = bytearray()
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *digits, length]) + content


def spans(content: bytes) -> bytes:
    """Return the export of one scope that holds these fields."""
    return field(1, field(2, content))


EMPTY_SPANS = spans(b"\x12\x00" * (4 * MB))
EMPTY_SCOPES = field(1, b"\x12\x00" * (4 * MB))
EMPTY_RESOURCES = b"\x0a\x00" * (4 * MB)
EMPTY_ATTRIBUTES = spans(field(2, b"\x4a\x00" * (4 * MB)))
EMPTY_EVENTS = spans(field(2, b"\x5a\x00" * (4 * MB)))
EMPTY_RESOURCE_ATTRIBUTES = field(1, field(1, b"\x0a\x00" * (4 * MB)))


def json_spans(number: int) -> bytes:
    """Return an export of so many empty spans in JSON."""
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % b",".join([b"{}"] * number)


EMPTY_JSON_SPANS = json_spans(3 * MB)


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (read_protobuf, EMPTY_SPANS),
        (read_protobuf, EMPTY_SCOPES),
        (read_protobuf, EMPTY_RESOURCES),
        (read_protobuf, EMPTY_RESOURCE_ATTRIBUTES),
        (read_protobuf, spans(field(2, field(9, b"")) * (MAX_SPANS + 1))),
        (read_json, EMPTY_JSON_SPANS),
        (read_json, json_spans(MAX_SPANS + 1)),
    ],
    ids=["spans", "scopes", "resources", "resource", "one more", "json", "json, one more"],
)
def test_more_than_a_request_may_have_is_413(read: Callable[[bytes], Export], body: bytes) -> None:
    """A body of small parts that would grow is refused by their number."""
    with pytest.raises(Problem) as refused:
        read(body)

    assert refused.value.status == 413


@pytest.mark.parametrize("body", [EMPTY_ATTRIBUTES, EMPTY_EVENTS], ids=["attributes", "events"])
def test_a_span_of_too_many_parts_is_refused_alone(body: bytes) -> None:
    """A span that would grow is refused before it is parsed, and says why."""
    found = read_protobuf(body)

    assert (found.spans, len(found.faults)) == ([], 1)
    assert "20,000 attributes and events" in found.faults[0]


def test_hostile_bodies_keep_the_server_small(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Bodies that would take a gigabyte when parsed leave the server's memory bounded."""
    server = serve(tmp_path)

    def post(body: bytes, kind: str) -> int:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": f"application/{kind}"}
        url = f"http://127.0.0.1:{server.port}/v1/traces"
        request = urllib.request.Request(url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=100) as answer:  # noqa: S310 - loopback
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code

    def most_memory() -> float:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1_000

    assert post(export(span()).SerializeToString(), "x-protobuf") == 200
    before = most_memory()

    statuses = [
        post(body, "x-protobuf")
        for body in (EMPTY_SPANS, EMPTY_SCOPES, EMPTY_RESOURCES, EMPTY_ATTRIBUTES, EMPTY_EVENTS)
    ]
    statuses.append(post(EMPTY_JSON_SPANS, "json"))

    assert statuses == [413, 413, 413, 200, 200, 413]
    assert most_memory() - before < 150


def test_values_are_read_to_a_depth() -> None:
    """Lists within lists end in a mark, in both encodings, and the span is kept."""
    value = AnyValue(string_value="deep")
    for _ in range(40):
        outer = AnyValue()
        outer.array_value.values.append(value)
        value = outer
    body = export(span(attributes=[KeyValue(key="deep", value=value)])).SerializeToString()
    text: Any = {"stringValue": "deep"}
    for _ in range(40):
        text = {"arrayValue": {"values": [text]}}
    given_ids = {"traceId": "1" * 32, "spanId": "1" * 16}
    one = {**given_ids, "attributes": [{"key": "deep", "value": text}]}
    as_json = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}).encode()

    for found in (read_protobuf(body), read_json(as_json)):
        deep = found.spans[0].attributes["deep"]
        for _ in range(MAX_DEPTH):
            (deep,) = deep

        assert deep == DEEPER


def test_a_span_that_is_nested_without_end_is_refused_alone() -> None:
    """Beyond what protobuf's parser follows, a span is refused, and the one beside it is kept.

    In JSON the frame itself cannot be followed so far, and the whole body is refused.
    """
    value = b""
    for _ in range(5_000):
        value = field(5, field(1, value))
    one = field(2, field(9, field(2, value)))
    good = field(2, span().SerializeToString())
    deep = '{"arrayValue":{"values":[' * 5_000 + "]}}" * 5_000
    text = f'{{"resourceSpans":[{{"resource":{{"attributes":[{{"value":{deep}}}]}}}}]}}'

    found = read_protobuf(spans(one + good))
    with pytest.raises(Problem) as refused:
        read_json(text.encode())

    assert (len(found.spans), len(found.faults)) == (1, 1)
    assert "nested too deep" in refused.value.message


def test_json_in_an_attribute_may_be_nested_without_end() -> None:
    """A text that is JSON beyond any sensible depth stays a text, and the span is kept."""
    for depth in (65, 100_000):
        text = "[" * depth + "]" * depth
        sent = export(span(attributes=attributes(**{"gen_ai.tool.definitions": text})))
        found = read_protobuf(sent.SerializeToString())

        assert len(rows_of(found, "proj")) == 1
        assert found.faults == []


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Whatever arrives is an export or a Problem, never another error."""
    for read in (read_protobuf, read_json):
        status = 200
        try:
            rows_of(read(body), "proj")
        except Problem as problem:
            status = problem.status

        assert status in (200, 400)


@given(
    ATTRIBUTES,
    FEW_ATTRIBUTES,
    st.sampled_from(["exception", "gen_ai.choice", "gen_ai.user.message", "other"]),
)
def test_no_value_in_any_place_costs_a_span(
    given_: dict[str, Any], told: dict[str, Any], name: str
) -> None:
    """Whatever the type of a known attribute, the span becomes an event that is valid."""
    event = {"name": name, "attributes": pairs(told)}
    request = export(span(attributes=pairs(given_), events=[event]), resource=told)

    found = read_protobuf(request.SerializeToString())

    assert len(rows_of(found, "proj")) == (2 if name == "exception" else 1)
    assert found.faults == []


@pytest.mark.parametrize(
    "body",
    [b"\x80", b"\xff" * 11, b"\x0a\x05abc", b"\x09\x00", b"\x0d\x00", b"\x0c", b"\x0f"],
)
def test_a_broken_frame_is_found(body: bytes) -> None:
    """Numbers and lengths that lead beyond the end, and unknown kinds of field, are errors."""
    with pytest.raises(BrokenFrameError):
        list(parts(body, 0, len(body)))
    with pytest.raises(BrokenFrameError):
        has_more_messages(10, body, SPAN)


def test_messages_are_counted_at_every_depth() -> None:
    """The count is exact: attributes, their values, and those inside lists."""
    one = span(attributes=pairs({"a": [1, 2], "b": {"c": "d"}}), events=[{"name": "e"}])
    body = one.SerializeToString()

    # a: pair, value, list, 2 values; b: pair, value, list, pair, value; one event.
    assert has_more_messages(10, body, SPAN)
    assert not has_more_messages(11, body, SPAN)
