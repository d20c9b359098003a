"""Answers that the scripted endpoint does not give: odd, cut and large ones."""

from __future__ import annotations

from typing import Any

import pytest

from watchllm.instrumentation import _answer
from watchllm.instrumentation._answer import Answer, plain
from watchllm.instrumentation._anthropic import LIBRARY as ANTHROPIC
from watchllm.instrumentation._call import Call
from watchllm.instrumentation._openai import LIBRARY as OPENAI
from watchllm.instrumentation._stream import ObservedIterator

CHAT, COMPLETIONS = OPENAI.apis["/chat/completions"], OPENAI.apis["/completions"]
RESPONSES, MESSAGES = OPENAI.apis["/responses"], ANTHROPIC.apis["/v1/messages"]


class Thing:
    """An object as a library makes them."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


def read(api: Any, content: Any, *chunks: Any) -> Answer:
    """Read a whole answer, or one in chunks."""
    answer = Answer()
    if content is not None:
        api.read(answer, content)
    for chunk in chunks:
        api.read_chunk(answer, chunk)
    return answer


def test_objects_are_read_like_dicts() -> None:
    """Their fields are kept, within lists too; what is None or private is not."""
    usage = Thing(
        input_tokens=3,
        _private=1,
        nothing=None,
        details=[Thing(cached=1)],
    )

    assert plain(usage) == {"input_tokens": 3, "details": [{"cached": 1}]}


def test_extra_fields_of_pydantic_are_kept() -> None:
    """What a newer API adds is in the usage."""

    class Model(Thing):
        __pydantic_extra__ = {"unheard_of": 2}  # noqa: RUF012 - as a library's class has it

    assert plain(Model(a=1)) == {"a": 1, "unheard_of": 2}


def test_depth_is_bounded() -> None:
    """A cycle ends."""
    cycle: dict[str, Any] = {}
    cycle["again"] = [cycle]

    assert "class" in str(plain(cycle))


def test_a_long_stream_is_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound nothing more is kept, and reading goes on."""
    monkeypatch.setattr(_answer, "MOST_CHARACTERS", 10)
    answer = Answer()
    texts: list[Any] = []

    assert all(answer.add(texts, "abcde") for _ in range(5))
    assert texts == ["abcde", "abcde"]


def test_arguments_that_are_no_json_stay_text() -> None:
    """A tool call cut off in the middle is kept as far as it came."""
    call = {"id": "c", "function": {"name": "f", "arguments": '{"city": "Ro'}}
    answer = read(CHAT, {"choices": [{"message": {"tool_calls": [call]}}]})

    assert answer.metadata()["tool_calls"] == [
        {"id": "c", "name": "f", "arguments": '{"city": "Ro'}
    ]


def test_a_custom_tools_input_and_reasoning_of_other_endpoints_are_read() -> None:
    """Endpoints that speak OpenAI's API tell their reasoning beside the content."""
    call = {"id": "c", "custom": {"name": "sql", "input": "SELECT 1"}}
    answer = read(
        CHAT, {"choices": [{"message": {"reasoning_content": "Hm.", "tool_calls": [call]}}]}
    )

    assert answer.text() == "sql(SELECT 1)"
    assert answer.metadata()["reasoning"] == "Hm."


def test_a_refusal_in_a_stream_is_something_said() -> None:
    """The time to the first token counts it."""
    delta = Thing(content=None, refusal="No.", tool_calls=None)
    choice = Thing(index=0, finish_reason=None, delta=delta)
    chunk = Thing(id="c", model="m", choices=[choice], usage=None)

    assert CHAT.read_chunk(Answer(), chunk)


def test_completions_tell_usage_in_a_chunk_without_choices() -> None:
    """The usage comes last."""
    answer = read(
        COMPLETIONS, None, Thing(id="c", model="m", choices=[], usage={"prompt_tokens": 1})
    )

    assert answer.tokens() == (1, None)


@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        ({"type": "response.refusal.delta", "delta": "No."}, "No."),
        ({"type": "response.output_text.delta", "delta": "Yes."}, "Yes."),
        ({"type": "response.unheard_of", "delta": "?"}, ""),
    ],
)
def test_parts_of_a_response_that_was_not_completed(chunk: Any, said: str) -> None:
    """A stream that breaks off has what was said until then."""
    assert read(RESPONSES, None, chunk).text() == said


def test_all_items_of_a_response_are_read() -> None:
    """Reasoning, refusals, tool calls of both kinds; items of other kinds are passed over."""
    answer = read(
        RESPONSES,
        {
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "output": [
                {"type": "reasoning", "summary": [{"text": "Hm."}]},
                {"type": "message", "content": [{"refusal": "No."}]},
                {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "SELECT 1"},
                {"type": "web_search_call"},
            ],
        },
    )

    assert answer.text() == "No.\nsql(SELECT 1)"
    assert answer.metadata()["finish_reason"] == "max_output_tokens"
    assert answer.metadata()["reasoning"] == "Hm."


def test_messages_keep_blocks_apart_and_pass_over_unknown_ones() -> None:
    """Two texts are two lines; a block or a delta of a new kind harms nothing."""
    blocks = [
        {"type": "text", "text": "One."},
        {"type": "unheard_of"},
        {"type": "text", "text": "Two."},
    ]
    answer = read(
        MESSAGES,
        {"content": blocks},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "unheard_of"}},
        {"type": "unheard_of"},
    )

    assert answer.text() == "One.\nTwo."


def test_a_part_of_a_chat_without_a_message_still_tells_the_rest() -> None:
    """A choice may lack its message or its number; what else is told counts."""
    told = Thing(prompt_tokens=3, completion_tokens=4)
    filtered = Thing(finish_reason=None, index=0, delta=None)
    word = Thing(finish_reason="stop", delta=Thing(content="Hi", tool_calls=None))
    answer = read(CHAT, None, Thing(choices=[filtered], usage=told), Thing(choices=[word]))

    assert (answer.text(), answer.tokens()) == ("Hi", (3, 4))


def test_speech_and_functions_of_a_chat_are_read() -> None:
    """What was spoken is there as text, and a function as the tool that it is."""
    spoken = {"content": None, "audio": {"data": "UklG", "transcript": "Sunny."}}
    function = {"content": None, "function_call": {"name": "weather", "arguments": "{}"}}
    answer = read(CHAT, {"choices": [{"message": spoken}, {"message": function}]})
    parts = [
        Thing(content=None, tool_calls=None, function_call=Thing(name=name, arguments=part))
        for name, part in (("weather", "{"), (None, "}"))
    ]
    chunks = [Thing(choices=[Thing(finish_reason=None, index=0, delta=part)]) for part in parts]

    assert answer.text() == "Sunny.\n\nweather({})"
    assert read(CHAT, None, *chunks).text() == "weather({})"


def test_what_only_the_beginning_of_messages_tells_is_kept() -> None:
    """Zeros at the end correct nothing."""
    begun = {"usage": {"input_tokens": 24, "output_tokens": 1, "cache_read_input_tokens": 16}}
    ended = {"input_tokens": 0, "output_tokens": 12, "cache_read_input_tokens": 0}
    answer = read(
        MESSAGES,
        None,
        {"type": "message_start", "message": begun},
        {"type": "message_delta", "delta": {}, "usage": ended},
    )

    assert answer.tokens() == (24, 12)
    assert answer.usage["cache_read_input_tokens"] == 16


def test_a_tool_that_takes_nothing_has_no_arguments() -> None:
    """An empty object is no argument."""
    answer = read(MESSAGES, {"content": [{"type": "tool_use", "id": "t", "name": "now"}]})

    assert answer.text() == "now()"


def test_what_is_observed_can_do_all_that_it_could() -> None:
    """A library that closes the generator below a stream closes it."""
    call = Call(CHAT, {"model": "m"})
    inner = (number for number in range(3))
    observed = ObservedIterator(inner, call)
    assert next(iter(observed)) == 0
    observed.close()

    assert list(inner) == []
    call.end()
