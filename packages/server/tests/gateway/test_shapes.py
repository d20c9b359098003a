"""Each API's shape: a kept body becomes a stream and a stream a body, whole or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bodies import BODIES
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.gateway.shapes import SHAPES

if TYPE_CHECKING:
    from watchllm_server.gateway.shapes.base import Assembly, Shape

STREAMING = {shape.name: shape for shape in SHAPES if shape.name in BODIES}
ANSWERS = st.sampled_from(sorted(BODIES)).flatmap(
    lambda name: st.tuples(st.just(STREAMING[name]), BODIES[name])
)


def sent(shape: Shape, body: dict[str, Any], *, include_usage: bool = True) -> bytes:
    """Return the stream of a body."""
    return b"".join(shape.chunks(json.dumps(body).encode(), include_usage=include_usage))


def assembled(shape: Shape, *chunks: bytes) -> Assembly:
    """Return what a stream is put together to."""
    assembly = shape.assembly()
    for chunk in chunks:
        assembly.feed(chunk)
    return assembly


@given(ANSWERS)
def test_a_stream_of_a_body_is_that_body(answer: tuple[Shape, dict[str, Any]]) -> None:
    """Texts, tool calls, refusals, usage, probabilities and choices all come through a stream."""
    shape, body = answer

    assembly = assembled(shape, sent(shape, body))

    assert assembly.complete
    assert json.loads(assembly.body()) == body
    assert assembly.answer() == shape.answer(json.dumps(body).encode())
    assert shape.successful(200, assembly.body())


@given(ANSWERS, st.lists(st.integers(1, 40), max_size=60), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_where_the_bytes_are_split_does_not_matter(
    answer: tuple[Shape, dict[str, Any]], cuts: list[int], end: bytes
) -> None:
    """A stream gives the same body in any pieces, with any ends of lines that the format has."""
    shape, body = answer
    text = sent(shape, body).replace(b"\n", end)
    chunks = []
    for cut in cuts:
        chunks.append(text[:cut])
        text = text[cut:]

    assembly = assembled(shape, *chunks, text)

    assert assembly.complete
    assert json.loads(assembly.body()) == body


@given(ANSWERS, st.data())
def test_a_truncated_stream_is_never_complete(
    answer: tuple[Shape, dict[str, Any]], data: st.DataObject
) -> None:
    """Whatever is missing at the end, if only an empty line, nothing is kept."""
    shape, body = answer
    text = sent(shape, body)
    cut = data.draw(st.integers(0, len(text) - 1))

    assembly = assembled(shape, text[:cut])

    assert not assembly.complete
    assert isinstance(json.loads(assembly.body()), dict)
    assert assembly.answer().model in ("", body["model"])


@given(ANSWERS, st.data())
def test_a_stream_with_anything_else_in_it_is_never_complete(
    answer: tuple[Shape, dict[str, Any]], data: st.DataObject
) -> None:
    """An event of something else, an error or noise between events is the end of trust."""
    shape, body = answer
    events = shape.chunks(json.dumps(body).encode(), include_usage=True)
    place = data.draw(st.integers(0, len(events) - 1))
    wrong = data.draw(
        st.sampled_from(
            [
                b'data: {"choices": [{"index": 0, "delta"\n\n',
                b"data: not JSON\n\n",
                b'data: "text"\n\n',
                b'data: {"choices": 5}\n\n' if shape.name in _CHOICES else b"data: []\n\n",
                b'event: error\ndata: {"type": "error", "error": {"message": "overloaded"}}\n\n',
                b"HTTP/1.1 502 Bad Gateway\n\n",
                b'data: "\xff"\n\n',
            ]
        )
    )

    assembly = assembled(shape, *events[:place], wrong, *events[place:])

    assert not assembly.complete
    assembly.body()
    assembly.answer()


_CHOICES = ("openai.chat", "openai.completions")


@given(st.sampled_from(sorted(STREAMING)), st.lists(st.binary(max_size=60), max_size=6))
def test_noise_never_raises(name: str, chunks: list[bytes]) -> None:
    """Bytes of any kind make an incomplete stream that says nothing, and no error."""
    assembly = assembled(STREAMING[name], *chunks)

    assert not assembly.complete
    assert assembly.answer().text == ""
    json.loads(assembly.body())


def test_interleaved_tool_calls_are_put_together_by_their_index() -> None:
    """Arguments of several calls may come in turn, an id repeated or empty in later pieces."""
    shape = STREAMING["openai.chat"]
    calls = [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"index": 0, "id": "a", "function": {"arguments": '{"x"'}},
        {"index": 1, "id": "", "function": {"arguments": "{"}},
        {"index": 0, "function": {"arguments": ": 1}"}},
        {"index": 1, "function": {"arguments": "}"}},
    ]
    deltas = [{"tool_calls": [call]} for call in calls]

    assembly = assembled(shape, *_chat(*deltas, reason="tool_calls"))

    assert assembly.complete
    assert assembly.answer().tool_calls == [
        {"id": "a", "name": "f", "arguments": '{"x": 1}'},
        {"id": "b", "name": "g", "arguments": "{}"},
    ]


@pytest.mark.parametrize("index", [{}, {"index": 0}])
def test_calls_of_different_ids_are_different_calls(index: dict[str, int]) -> None:
    """Some providers send each call whole, and all of them with the index 0 or none."""
    calls = [
        {**index, "id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for name in "abc"
    ]

    assembly = assembled(
        STREAMING["openai.chat"], *_chat(*[{"tool_calls": [call]} for call in calls])
    )

    assert assembly.complete
    assert [call["id"] for call in assembly.answer().tool_calls] == ["a", "b", "c"]
    assert {call["arguments"] for call in assembly.answer().tool_calls} == {"{}"}


def _chat(*deltas: dict[str, Any], reason: str | None = "stop") -> list[bytes]:
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    events = [{"id": "c", "model": "m", "choices": [choice]} for choice in choices]
    return [b"data: " + json.dumps(each).encode() + b"\n\n" for each in events] + [
        b"data: [DONE]\n\n"
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"content": "Good "}, {"content": {"text": "day"}}),
        ({"content": "Good "}, {"content": ["day"]}),
        ({"audio": {"data": "A"}}, {"audio": "B"}),
        ({"annotations": [1]}, {"annotations": "B"}),
        ({"tool_calls": [{"index": 0}]}, {"tool_calls": {"index": 0}}),
        ({"tool_calls": ["odd"]}, {}),
        ({"tool_calls": [{"index": "odd"}]}, {}),
        ({"reasoning_details": {"index": 0}}, {"reasoning_details": [{"index": 0}]}),
    ],
)
def test_pieces_of_different_kinds_are_no_answer(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    """What cannot be put together is passed on, and never kept."""
    assembly = assembled(STREAMING["openai.chat"], *_chat(first, second))

    assert not assembly.complete
    json.loads(assembly.body())
    assembly.answer()


@pytest.mark.parametrize("place", range(6))
def test_a_message_whose_events_are_out_of_order_is_not_complete(place: int) -> None:
    """A block without a beginning, after its end, or without one: none of it is kept."""
    body = {
        "id": "m", "type": "message", "role": "assistant", "model": "c", "stop_sequence": None,
        "content": [{"type": "text", "text": "Hello."}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }  # fmt: skip
    shape = STREAMING["anthropic.messages"]
    chunks = shape.chunks(json.dumps(body).encode(), include_usage=True)
    kinds = [json.loads(chunk.partition(b"data: ")[2])["type"] for chunk in chunks]
    swapped = [*chunks[:place], *chunks[place + 1 :], chunks[place]]

    complete = assembled(shape, *swapped).complete

    assert len(chunks) == 6
    # A place beyond the last event swaps nothing.
    assert complete == (place >= kinds.index("message_stop"))


def test_what_a_model_thinks_and_says_in_parts_is_put_together() -> None:
    """As Mistral streams it: pieces of thoughts in lists of parts, then plain pieces of text."""

    def thought(words: str) -> dict[str, Any]:
        return {"type": "thinking", "thinking": [{"type": "text", "text": words}]}

    shape = STREAMING["openai.chat"]
    stream = _chat(
        {"role": "assistant", "content": ""},
        {"content": [thought("Two and ")]},
        {"content": [thought("two.")]},
        {"content": "It is "},
        {
            "content": [
                {"type": "text", "text": "four"},
                {"type": "reference", "reference_ids": [1]},
            ]
        },
        {"content": [{"type": "reference", "reference_ids": [2]}]},
        {"content": "."},
        {"content": ""},
    )

    assembly = assembled(shape, *stream)

    assert assembly.complete
    assert assembly.answer().text == "It is four."
    assert json.loads(assembly.body())["choices"][0]["message"]["content"] == [
        thought("Two and two."),
        {"type": "text", "text": "It is four"},
        {"type": "reference", "reference_ids": [1]},
        {"type": "reference", "reference_ids": [2]},
        {"type": "text", "text": "."},
    ]


def test_parts_after_a_plain_text_follow_it() -> None:
    """A text that began plainly is the first part of what goes on in parts."""
    chunks = _chat({"content": "It is "}, {"content": [{"type": "text", "text": "four."}]})

    assembly = assembled(STREAMING["openai.chat"], *chunks)

    assert json.loads(assembly.body())["choices"][0]["message"]["content"] == [
        {"type": "text", "text": "It is four."}
    ]


def test_a_role_in_every_piece_is_one_role() -> None:
    """Some providers repeat the role; the message has it once."""
    deltas = [{"role": "assistant", "content": text} for text in ("Good ", "day")]

    body = json.loads(assembled(STREAMING["openai.chat"], *_chat(*deltas)).body())

    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Good day"}


@pytest.mark.parametrize("reason", [None, "error"])
def test_a_choice_without_an_end_is_not_complete(reason: str | None) -> None:
    """A provider that gives up still sends [DONE]."""
    chunks = _chat({"content": "Good "}, reason=reason)

    assert not assembled(STREAMING["openai.chat"], *chunks).complete


def test_comments_and_what_follows_the_end_are_told_apart() -> None:
    """Comments keep a connection alive and mean nothing; an event after the end is a fault."""
    chunks = _chat({"content": "Hello"})
    shape = STREAMING["openai.chat"]

    assert assembled(shape, b": OPENROUTER PROCESSING\n\n", *chunks, b": bye\n\n").complete
    assert not assembled(shape, *chunks, chunks[0]).complete


def test_a_text_cut_within_a_character_is_read_but_not_kept() -> None:
    """Half a surrogate pair is no text to send to others; the event has the rest."""
    chunks = _chat({"content": "smile"})
    half = chunks[0].replace(b"smile", rb"\ud83d")

    assembly = assembled(STREAMING["openai.chat"], half, *chunks[1:])

    assert not assembly.complete
    assert assembly.answer().text == "\ufffd"


def test_an_answer_of_many_pieces_is_put_together_in_time() -> None:
    """The pieces of a long answer are joined once, not at each piece."""
    chunks = _chat(*[{"content": "word "}] * 50_000)

    assert assembled(STREAMING["openai.chat"], *chunks).answer().text == "word " * 50_000


def test_a_stream_beyond_the_limit_is_read_as_far_as_it_is_kept() -> None:
    """A stream of any length takes 32 MB at most, and is not complete."""
    shape = STREAMING["openai.chat"]
    chunks = _chat({"content": "x" * 10_000_000})

    assembly = assembled(shape, *chunks[:1] * 4, *chunks[1:])

    assert not assembly.complete
    assert assembly.answer().text == "x" * 30_000_000


@pytest.mark.parametrize("include_usage", [True, False])
def test_usage_comes_to_those_who_asked_for_it(include_usage: bool) -> None:
    """A chat's stream has its usage in the last event, or not at all."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    message = {"role": "assistant", "content": "Hello"}
    body = {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }  # fmt: skip
    shape = STREAMING["openai.chat"]

    assembly = assembled(shape, sent(shape, body, include_usage=include_usage))

    assert assembly.complete
    assert assembly.answer().usage == (usage if include_usage else None)


def test_a_message_whose_tool_input_is_cut_is_not_complete() -> None:
    """Anthropic ends a tool's input in the middle when the tokens run out."""
    shape = STREAMING["anthropic.messages"]
    body = {
        "id": "m", "type": "message", "role": "assistant", "model": "c", "stop_sequence": None,
        "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"city": "Rome"}}],
        "stop_reason": "max_tokens", "usage": {"input_tokens": 1, "output_tokens": 2},
    }  # fmt: skip
    text = sent(shape, body).replace(rb"\"Rome\"}", rb"\"Ro")

    assembly = assembled(shape, text)

    assert not assembly.complete
    assert assembly.answer().tool_calls == [{"id": "t", "name": "f", "arguments": '{"city":"Ro'}]
