"""The rows that spans become, beside those of the same events when a sender's JSON is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from otlp_any import ATTRIBUTES, FEW_ATTRIBUTES
from otlp_spans import CALL, START, attributes, export, pairs, span
from row_contents import contents
from watchllm_server.events import read_event
from watchllm_server.ingest.otlp.events import events_of, rows_of
from watchllm_server.ingest.otlp.protobuf import read_protobuf

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

KNOWN = st.fixed_dictionaries({}, optional={name: st.just(value) for name, value in CALL.items()})
TIMES = st.sampled_from([0, 1, START, START + 999, START + 1_000_000_000, START + 1_234_567_890])
SPANS = st.builds(
    lambda known, given_, told, **fields: span(
        attributes=pairs({**known, **given_}),
        events=[{"name": name, "attributes": pairs(told)} for name in ("exception", "other")],
        **fields,
    ),
    KNOWN,
    ATTRIBUTES,
    FEW_ATTRIBUTES,
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    parent_span_id=st.sampled_from([b"", b"parent__"]),
    start_time_unix_nano=TIMES,
    end_time_unix_nano=TIMES.map(lambda time: time or START),
    trace_state=st.sampled_from(["", "ot=th:8", "ot=th:fff"]),
    status=st.sampled_from([Status(), Status(code=Status.STATUS_CODE_ERROR, message="it broke")]),
)


def rows(*spans: Span, resource: dict[str, Any]) -> list[Any]:
    """Return what the rows of an export hold."""
    found = read_protobuf(export(*spans, resource=resource).SerializeToString())
    made = [contents(row) for row in rows_of(found, "p")]
    assert found.faults == []
    return made


def rows_read(*spans: Span, resource: dict[str, Any]) -> list[Any]:
    """Return what the rows of an export hold when its events come as a sender's JSON."""
    found = read_protobuf(export(*spans, resource=resource).SerializeToString())
    return [
        contents(read_event(Raw(msgspec.json.encode(event)), "p"))
        for each in found.spans
        for event in events_of(each, {})
    ]


@given(SPANS, FEW_ATTRIBUTES)
def test_a_row_is_the_one_that_the_events_json_gives(one: Span, resource: dict[str, Any]) -> None:
    """A span's events pass every check of a sender's event, and become the same rows unread."""
    made, read = rows(one, resource=resource), rows_read(one, resource=resource)

    assert made == read
    assert len(made) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"end_time_unix_nano": START + 1_234_567_890_123_457},
        {"start_time_unix_nano": 0},
        {"attributes": attributes(**{"llm.cost.total": 0.25, "user.id": "u"})},
        {"attributes": attributes(**{"gen_ai.usage.input_tokens": "unknown"})},
        {"trace_state": "ot=th:8"},
    ],
    ids=["more digits than a float has", "no latency", "a cost", "no count", "a share of all"],
)
def test_what_a_row_keeps_apart_is_kept_alike(fields: dict[str, Any]) -> None:
    """Numbers beyond a column, unknown ones, costs and weights are where a reader expects them."""
    resource = {"service.version": "1.2", "deployment.environment": "production"}

    made = rows(span(**fields), resource=resource)

    assert made == rows_read(span(**fields), resource=resource)
    assert made[0][3]["release"] == "1.2"
    assert made[0][3]["env"] == "production"
