"""Two spans of one call count once, and two calls count twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from otlp_spans import CALL, SPAN, START, TRACE, attributes, export, pairs, span
from watchllm_server.ingest.otlp.events import event_id, events_of
from watchllm_server.ingest.otlp.protobuf import read_protobuf
from watchllm_server.ingest.otlp.retold import find_retold

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

MS = 1_000_000
OTHER = {"gen_ai.usage.output_tokens": 46}


def told(name: bytes, start: int, end: int, answer: str = "msg_1", **fields: Any) -> Span:
    """Return a call that lasted from one millisecond to another, with the id of its answer."""
    return span(
        **{
            "span_id": name.ljust(8, b"_"),
            "start_time_unix_nano": START + start * MS,
            "end_time_unix_nano": START + end * MS,
            "attributes": pairs({**CALL, "gen_ai.response.id": answer}),
            **fields,
        }
    )


def retold(*spans: Span) -> dict[str, str]:
    """Return the names of the spans that tell again, and whose call they tell of."""
    found = find_retold(read_protobuf(export(*spans).SerializeToString()).spans)
    return {
        bytes.fromhex(key[1]).decode().strip("_"): bytes.fromhex(outer.span_id).decode().strip("_")
        for key, outer in found.items()
    }


def test_a_call_below_a_call_is_the_same_call() -> None:
    """The inner span is told of by the outer, whatever the order of the export."""
    outer = told(b"outer", 0, 9, "")
    inner = told(b"inner", 1, 8, parent_span_id=b"outer___")

    assert retold(outer, inner) == retold(inner, outer) == {"inner": "outer"}


def test_the_id_of_an_answer_tells_the_same_call_in_another_trace() -> None:
    """An instrumentation that does not make its span the parent is found by the answer's id."""
    inner = told(b"inner", 1, 8, trace_id=b"another trace id")

    assert retold(told(b"outer", 0, 9), inner) == {"inner": "outer"}


@pytest.mark.parametrize(
    "spans",
    [
        (told(b"first", 0, 9), told(b"second", 10, 19)),
        (told(b"first", 0, 9), told(b"second", 5, 19)),
        (told(b"first", 0, 9), told(b"second", 1, 8, "msg_2")),
        (told(b"first", 0, 9, ""), told(b"second", 1, 8, "")),
        (told(b"first", 0, 9, attributes=[]), told(b"second", 1, 8, parent_span_id=b"first___")),
        (told(b"first", 0, 9, parent_span_id=b"first___"),),
        (
            told(b"first", 0, 9, ""),
            told(b"second", 1, 8, parent_span_id=b"first___", attributes=attributes(**OTHER)),
        ),
    ],
    ids=[
        *("one after the other", "overlapping", "other answers", "no answers", "a step", "itself"),
        "other tokens",
    ],
)
def test_other_calls_are_calls_of_their_own(spans: tuple[Span, ...]) -> None:
    """An answer's id within its time, or a parent of as many tokens: else two calls are two."""
    assert retold(*spans) == {}


def test_a_call_that_is_told_again_is_a_step_that_names_it() -> None:
    """What tells of a call again keeps its attributes, and adds neither tokens nor cost."""
    spans = read_protobuf(export(told(b"inner", 1, 8), span()).SerializeToString()).spans

    (step,) = events_of(spans[0], {}, spans[1])

    assert step["event_type"] == "agent_step"
    assert step["context"]["same_call_as"] == event_id(TRACE.hex(), SPAN.hex())
    assert step["context"]["attributes"]["gen_ai.usage.input_tokens"] == 12
    assert "tokens_input" not in step
