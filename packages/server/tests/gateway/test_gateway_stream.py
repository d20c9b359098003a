"""Streams on their way to a client that did not ask for their usage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from upstream import chat_events
from watchllm_server.gateway.stream import UsageFilter

USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 1}}'
KEPT = [
    b"data: [DONE]",
    b": comment",
    b'data: {"choices": [{"delta": {"content": "\\"usage\\": {"}}]}',
    b'data: {"choices": [{"delta": {}}], "usage": {"prompt_tokens": 1}}',
    b'data: {"choices": [], "usage": null, "prompt_filter_results": []}',
    b"event: x\ndata: nonsense",
    b'data: {"choices": [], "usage": {',
]


def passed(stream: bytes, cuts: list[int]) -> bytes:
    """Return what a filter lets through of a stream that comes in pieces."""
    usage = UsageFilter()
    ends = [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    return b"".join(map(usage.feed, pieces)) + usage.end()


@given(
    st.lists(st.sampled_from([USAGE, *KEPT]), max_size=8),
    st.sampled_from([b"\n\n", b"\r\n\r\n"]),
    st.lists(st.integers(0, 2_000), max_size=12),
)
def test_only_the_event_that_tells_usage_alone_is_taken_out(
    events: list[bytes], end: bytes, cuts: list[int]
) -> None:
    """However the bytes are split, all else comes through as it was."""
    stream = b"".join(event + end for event in events)

    kept = b"".join(event + end for event in events if event != USAGE)
    assert passed(stream, cuts) == kept


def test_what_breaks_off_is_passed_on() -> None:
    """The end of a stream that is no whole event reaches the client too."""
    stream = b"".join(chat_events("Hello"))[:-9]

    assert passed(stream, [3, 500]) == stream
