"""Ids, times, outcomes and bounds of the events that spans become."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from otlp_spans import SPAN, START, TRACE, attributes, events, export, pairs, span
from watchllm_server.ingest.otlp.events import event_id, rows_of
from watchllm_server.ingest.otlp.protobuf import read_protobuf
from watchllm_server.ingest.otlp.source import sample_rate
from watchllm_server.ingest.otlp.values import MAX_ATTRIBUTES, MAX_TEXT, bounded

FAILED = Status(code=Status.STATUS_CODE_ERROR, message="it broke")


def exception(**given: Any) -> Span.Event:
    """Return the event of an exception."""
    told = {f"exception.{name}": value for name, value in given.items()}
    return Span.Event(name="exception", time_unix_nano=START + 1_000, attributes=pairs(told))


def made(kind: str, size: int) -> Any:
    """Return a value of a kind and of about so many characters."""
    return {"number": size, "text": "x" * size, "list": [1] * (size // 2)}[kind]


def test_the_id_of_an_event_never_changes() -> None:
    """An id depends on trace and span alone: what was sent a year ago is still known."""
    (event,) = events(span())

    assert event["event_id"] == "2de41ba9-c414-5c87-955d-27cdd0384d49"
    assert event["run_id"] == TRACE.hex()
    assert event["span_id"] == SPAN.hex()


@given(st.sets(st.tuples(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8))))
def test_ids_of_different_spans_differ(spans: set[tuple[bytes, bytes]]) -> None:
    """Every span, and every exception of a span, has an id of its own: a UUID made of its name."""
    ids = [
        event_id(trace.hex(), each.hex(), number)
        for trace, each in spans
        for number in (None, 0, 1)
    ]

    assert len(set(ids)) == 3 * len(spans)
    assert all(str(uuid.UUID(one)) == one for one in ids)
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in ids} <= {(5, uuid.RFC_4122)}


def test_a_parent_is_named_by_the_id_of_its_event() -> None:
    """A child points at its parent's event; a parent of zeros is none."""
    parent, child, root = events(
        span(), span(span_id=b"child___", parent_span_id=SPAN), span(parent_span_id=b"\0" * 8)
    )

    assert child["parent_event_id"] == parent["event_id"]
    assert "parent_event_id" not in parent
    assert "parent_event_id" not in root


def test_an_event_happens_when_its_span_ends() -> None:
    """The timestamp is the end, in microseconds, and the latency is exact to the nanosecond."""
    (event,) = events(span(end_time_unix_nano=START + 1_234_567))

    assert event["timestamp"] == "2026-11-25T09:46:40.001234Z"
    assert event["latency_ms"] == 1.234567


@pytest.mark.parametrize(("start", "end"), [(START, START - 1), (0, START), (START, 0)])
def test_times_that_do_not_tell_leave_the_latency_unknown(start: int, end: int) -> None:
    """A clock that was set back, or a time left out, gives no latency, and the span is kept."""
    (event,) = events(span(start_time_unix_nano=start, end_time_unix_nano=end))

    assert set(event["invalid_fields"]) == {"latency_ms"}
    assert event["timestamp"].startswith("2026-11-25T09:46:")


def test_steps_are_numbered_by_their_start_in_each_trace() -> None:
    """Numbers follow the start, not the order of the export, and begin anew in every trace."""
    late = span(span_id=b"late____", attributes=[], start_time_unix_nano=START + 9)
    early = span(span_id=b"early___", attributes=[])
    other = span(trace_id=b"another trace id", attributes=[], start_time_unix_nano=START + 5)
    found = read_protobuf(export(late, early, other).SerializeToString())

    rows = rows_of(found, "proj")

    assert [row.event_id for row in rows] == [
        event_id(TRACE.hex(), b"early___".hex()),
        event_id(b"another trace id".hex(), SPAN.hex()),
        event_id(TRACE.hex(), b"late____".hex()),
    ]
    assert [event["step_number"] for event in events(early, other, late)] == [1, 1, 2]


def test_a_failed_span_says_why() -> None:
    """Status and error come from the span's status, and error.type names the kind."""
    (bare,) = events(span(status=FAILED))
    (named,) = events(span(status=FAILED, attributes=attributes(**{"error.type": "Broken"})))
    (typed,) = events(span(attributes=attributes(**{"error.type": "500"})))
    (silent,) = events(span(status=Status(code=Status.STATUS_CODE_ERROR)))

    assert (bare["status"], bare["error"]) == ("error", {"message": "it broke"})
    assert named["error"] == {"message": "it broke", "type": "Broken"}
    assert (typed["status"], typed["error"]["type"]) == ("error", "500")
    assert silent["error"] == {"message": "The span failed and does not say why."}


@pytest.mark.parametrize("kind", ["openai.APITimeoutError", "TimeoutError", "timeout"])
def test_a_timeout_is_a_status_of_its_own(kind: str) -> None:
    """An error whose type speaks of a timeout is one."""
    (event,) = events(span(status=FAILED, attributes=attributes(**{"error.type": kind})))

    assert (event["status"], event["error"]["type"]) == ("timeout", kind)


def test_an_exception_is_an_error_of_its_own() -> None:
    """Type, message, stack and further attributes of an exception are kept, below its span."""
    told = exception(type="ValueError", message="no", stacktrace="Traceback ...", order="17")

    call, error = events(span(status=FAILED, events=[told]))

    assert call["error"] == {"message": "no", "type": "ValueError"}
    assert error["event_type"] == "error"
    assert error["error"] == {"message": "no", "type": "ValueError"}
    assert error["stack_trace"] == "Traceback ..."
    assert error["parent_event_id"] == call["event_id"]
    assert error["timestamp"] == "2026-11-25T09:46:40.000001Z"
    assert error["context"] == {
        "span": "chat gpt-4o", "span_id": SPAN.hex(), "exception.order": "17",
    }  # fmt: skip


def test_an_exception_that_was_handled_leaves_its_span_a_success() -> None:
    """A recorded exception is an error event; only the span's status makes the span fail."""
    call, error = events(span(events=[exception(type="ValueError")]))

    assert (call["status"], "error" in call) == ("success", False)
    assert error["error"] == {"message": "ValueError", "type": "ValueError"}


def test_other_events_and_links_are_kept_with_their_span() -> None:
    """Events of a span are listed with their time after its start, links by their ids."""
    event = Span.Event(
        name="cache.miss", time_unix_nano=START + 2_000_000, attributes=pairs({"key": "k"})
    )
    chunk = Span.Event(name="gen_ai.content.completion.chunk", time_unix_nano=START)
    link = Span.Link(trace_id=TRACE, span_id=b"linked__")

    (found,) = events(span(events=[event, chunk], links=[link]))

    assert found["response_metadata"]["events"] == [
        {"name": "cache.miss", "after_ms": 2.0, "attributes": {"key": "k"}}
    ]
    assert found["response_metadata"]["links"] == [
        {"trace_id": TRACE.hex(), "span_id": b"linked__".hex()}
    ]


def test_what_is_left_out_is_counted() -> None:
    """Attributes, events, links and exceptions beyond the bounds, and the sender's own losses."""
    many = span(
        attributes=attributes(**{f"own.{n}": n for n in range(MAX_ATTRIBUTES + 3)}),
        events=[*(Span.Event(name="e") for _ in range(34)), *(exception() for _ in range(17))],
        links=[Span.Link(trace_id=TRACE, span_id=SPAN) for _ in range(20)],
        dropped_attributes_count=5,
        dropped_events_count=6,
        dropped_links_count=7,
    )

    call, *errors = events(many)

    metadata = call["response_metadata"]
    assert len(metadata["attributes"]) == MAX_ATTRIBUTES
    assert (len(metadata["events"]), len(metadata["links"]), len(errors)) == (32, 16, 16)
    assert metadata["left_out"] == 3 + 2 + 4 + 1 + 5 + 6 + 7


@given(
    st.lists(st.tuples(st.sampled_from(["number", "text", "list"]), st.integers(0, 30_000))),
    st.integers(1, 400),
)
def test_kept_attributes_are_bounded_whatever_is_sent(
    values: list[tuple[str, int]], name_length: int
) -> None:
    """No more than so many attributes and characters are kept, and the rest is counted."""
    sent = {
        f"{number:0>{name_length}}": made(kind, size)
        for number, (kind, size) in enumerate(values * 4)
    }

    kept, left_out = bounded(sent)

    assert len(kept) <= MAX_ATTRIBUTES
    assert len(json.dumps(kept, separators=(",", ":"))) < 64_000 + 60 * len(kept)
    assert all(len(value) < MAX_TEXT + 40 for value in kept.values() if isinstance(value, str))
    assert left_out == len(sent) - len(kept)


@pytest.mark.parametrize(
    ("state", "share"),
    [
        ("", None),
        ("ot=th:8", 0.5),
        ("congo=t61, ot=rv:6e6d1a75832a2f;th:c", 0.25),
        ("ot=th:0", None),
        ("ot=th:ffffffffffffff", 2.0**-56),
        ("ot=th:xyz", None),
        ("ot=th:", None),
        ("ot=th:000000000000001", None),
        ("other=th:8", None),
    ],
)
def test_the_weight_of_a_sampled_trace_is_read(state: str, share: float | None) -> None:
    """The threshold in `ot=th:` becomes the share of traces that were kept."""
    assert sample_rate(state) == share


def test_the_resource_is_shared_by_its_events() -> None:
    """Service, release and environment have fields; the rest of the resource is kept."""
    resource = {
        "service.name": "shop",
        "service.version": "1.2.0",
        "deployment.environment": "production",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": "1.45.2",
        "telemetry.sdk.language": "go",
        "host.name": "web-1",
        "k8s.pod.name": "shop-7",
    }

    (event,) = events(span(), resource=resource)

    assert (event["service"], event["release"], event["env"]) == ("shop", "1.2.0", "production")
    assert event["client"] == {
        "sdk_version": "opentelemetry 1.45.2",
        "platform": "go",
        "hostname": "web-1",
        "instrumentation": "tests",
        "resource": {"k8s.pod.name": "shop-7"},
    }
