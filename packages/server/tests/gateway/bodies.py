"""Bodies of each API as hypothesis makes them: with all that a stream must carry over."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.just("long 𝄞 " * 600)
NAMES = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
COUNTS = st.integers(0, 1_000_000)
PLAIN = st.recursive(
    st.none() | st.booleans() | COUNTS | st.floats(-1e6, 1e6) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, PLAIN, max_size=3)


def maybe(fields: dict[str, st.SearchStrategy[Any]], **more: Any) -> st.SearchStrategy[Any]:
    """Return objects that have some of the fields and all the others."""
    return st.fixed_dictionaries(
        {name: st.just(value) if not isinstance(value, st.SearchStrategy) else value
         for name, value in more.items()},
        optional=fields,
    )  # fmt: skip


def _numbered(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"index": index, **choice} for index, choice in enumerate(choices)]


FUNCTION_CALLS = maybe(
    {}, id=TEXTS, type="function",
    function=maybe({}, name=NAMES, arguments=st.just('{"city": "Zürich"}') | TEXTS),
)  # fmt: skip
CUSTOM_CALLS = maybe({}, id=TEXTS, type="custom", custom=maybe({}, name=NAMES, input=TEXTS))
PROBABILITIES = st.lists(maybe({}, token=TEXTS, logprob=st.floats(-9, 0)), max_size=3)
MESSAGES = maybe(
    {
        "refusal": st.none() | TEXTS,
        "reasoning_content": st.none() | TEXTS,
        "annotations": st.lists(OBJECTS, max_size=2),
        "tool_calls": st.lists(FUNCTION_CALLS | CUSTOM_CALLS, min_size=1, max_size=3),
        "audio": maybe({}, id=TEXTS, data=TEXTS, transcript=TEXTS),
    },
    role="assistant",
    content=st.none() | TEXTS,
)
HEAD = {
    "created": COUNTS,
    "system_fingerprint": st.none() | TEXTS,
    "service_tier": NAMES,
    "citations": st.lists(TEXTS, max_size=2),
}
USAGE = maybe(
    {"prompt_tokens_details": maybe({"cached_tokens": COUNTS})},
    prompt_tokens=COUNTS, completion_tokens=COUNTS, total_tokens=COUNTS,
)  # fmt: skip


def _choices(fields: dict[str, Any], logprobs: Any) -> st.SearchStrategy[Any]:
    reasons = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])
    choice = maybe({"logprobs": st.none() | logprobs}, finish_reason=reasons, **fields)
    return st.lists(choice, min_size=1, max_size=3).map(_numbered)


CHAT_PROBABILITIES = maybe({"refusal": PROBABILITIES}, content=PROBABILITIES)
CHAT = maybe(
    HEAD, id=TEXTS, object="chat.completion", model=NAMES, usage=USAGE,
    choices=_choices({"message": MESSAGES}, CHAT_PROBABILITIES),
)  # fmt: skip
COMPLETION = maybe(
    HEAD, id=TEXTS, object="text_completion", model=NAMES, usage=USAGE,
    choices=_choices({"text": TEXTS}, maybe({}, tokens=st.lists(TEXTS, max_size=3))),
)  # fmt: skip

PARTS = st.one_of(
    maybe(
        {"logprobs": PROBABILITIES}, type="output_text", text=TEXTS,
        annotations=st.lists(OBJECTS, max_size=2),
    ),
    maybe({}, type="refusal", refusal=TEXTS),
)  # fmt: skip
OUTPUT = st.one_of(
    maybe(
        {}, type="message", id=NAMES, role="assistant", status="completed",
        content=st.lists(PARTS, max_size=2),
    ),
    maybe(
        {}, type="function_call", id=NAMES, call_id=NAMES, name=NAMES, arguments=TEXTS,
        status="completed",
    ),
    maybe({}, type="custom_tool_call", id=NAMES, call_id=NAMES, name=NAMES, input=TEXTS),
    maybe(
        {}, type="reasoning", id=NAMES,
        summary=st.lists(maybe({}, type="summary_text", text=TEXTS), max_size=2),
    ),
    maybe({}, type="of_the_future", id=NAMES, payload=OBJECTS),
)  # fmt: skip
RESPONSE = maybe(
    {"incomplete_details": st.none(), "metadata": OBJECTS},
    id=NAMES, object="response", model=NAMES, error=None,
    status=st.sampled_from(["completed", "incomplete"]), output=st.lists(OUTPUT, max_size=3),
    usage=maybe({}, input_tokens=COUNTS, output_tokens=COUNTS, total_tokens=COUNTS),
)  # fmt: skip

BLOCKS = st.one_of(
    maybe(
        {"citations": st.none() | st.lists(OBJECTS, max_size=2)}, type="text", text=TEXTS
    ),
    maybe({}, type="tool_use", id=NAMES, name=NAMES, input=OBJECTS),
    maybe({}, type="thinking", thinking=TEXTS, signature=TEXTS),
    maybe({}, type="redacted_thinking", data=TEXTS),
)  # fmt: skip
MESSAGE = maybe(
    {"container": st.none() | OBJECTS},
    id=NAMES, type="message", role="assistant", model=NAMES,
    content=st.lists(BLOCKS, max_size=4),
    stop_reason=st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal"]),
    stop_sequence=st.none() | TEXTS,
    usage=maybe(
        {"cache_read_input_tokens": COUNTS, "server_tool_use": st.none()},
        input_tokens=COUNTS, output_tokens=COUNTS,
    ),
)  # fmt: skip
BODIES = {
    "openai.chat": CHAT,
    "openai.completions": COMPLETION,
    "openai.responses": RESPONSE,
    "anthropic.messages": MESSAGE,
}
