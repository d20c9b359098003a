"""What must be the same before two questions are compared by their meaning."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.cache.scope import Question, question_of

TEXT = st.text("ab0 é", max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant"]), "content": JSON}
)
SHAPES = ["openai.chat", "anthropic.messages", "openai.responses", "openai.completions"]


def request(shape: str, text: Any, turns: Any = (), **more: Any) -> dict[str, Any]:
    """Return a request of a shape that ends with a text of the user."""
    if shape == "openai.completions":
        return {"model": "m", "prompt": text, "suffix": list(turns), **more}
    name = "input" if shape == "openai.responses" else "messages"
    return {"model": "m", name: [*turns, {"role": "user", "content": text}], **more}


def asked(shape: str, found: dict[str, Any], **where: Any) -> Question | None:
    """Return the question of a request."""
    at: dict[str, Any] = {
        "project": "p", "namespace": "", "provider": "openai", "headers": (), "query": "", **where,
    }  # fmt: skip
    return question_of(shape=shape, request=found, **at)


def scope(shape: str, found: dict[str, Any], **where: Any) -> bytes:
    """Return the scope of a request that has one."""
    question = asked(shape, found, **where)

    assert question is not None
    return question.scope


@pytest.mark.parametrize("shape", SHAPES)
@given(
    turns=st.lists(MESSAGE, max_size=2),
    others=st.lists(MESSAGE, max_size=2),
    more=st.dictionaries(st.sampled_from(["temperature", "seed", "response_format"]), JSON),
    and_more=st.dictionaries(st.sampled_from(["temperature", "seed", "response_format"]), JSON),
)
def test_requests_share_a_scope_when_all_but_the_last_text_is_equal(
    shape: str, turns: Any, others: Any, more: Any, and_more: Any
) -> None:
    """Whatever else differs, however deep, puts two requests into scopes of their own."""
    one, other = request(shape, "a", turns, **more), request(shape, "b", others, **and_more)
    same = repr((turns, sorted(more.items(), key=str))) == repr(
        (others, sorted(and_more.items(), key=str))
    )

    assert scope(shape, one) == scope(shape, request(shape, "c", turns, **more))
    if same:
        assert scope(shape, one) == scope(shape, other)
    elif (turns, more) != (others, and_more):
        assert scope(shape, one) != scope(shape, other)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "other",
    [
        {"project": "other"},
        {"namespace": "other"},
        {"provider": "other"},
        {"query": "api-version=2"},
        {"headers": [("anthropic-beta", "other")]},
    ],
)
def test_what_is_outside_of_the_body_parts_scopes(shape: str, other: dict[str, Any]) -> None:
    """Projects, namespaces and providers never meet, nor do what headers and queries ask for."""
    found = request(shape, "How are you?")

    assert scope(shape, found) != scope(shape, found, **other)


def test_shapes_never_meet() -> None:
    """The same messages asked of two APIs are two scopes."""
    found = request("openai.chat", "How are you?")

    assert scope("openai.chat", found) != scope("anthropic.messages", found)


@given(
    left=st.fixed_dictionaries({"description": JSON, "type": JSON}),
    right=st.fixed_dictionaries({"description": JSON, "type": JSON}),
)
def test_tools_part_scopes_to_any_depth(left: Any, right: Any) -> None:
    """Tools that differ in the type of one parameter, or its description, are two scopes."""

    def with_tool(parameter: Any) -> dict[str, Any]:
        parameters = {"properties": {"city": parameter}}
        tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
        return request("openai.chat", "How are you?", tools=[tool])

    differ = left != right

    assert not differ or scope("openai.chat", with_tool(left)) != scope(
        "openai.chat", with_tool(right)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"seed": 0}, {}),
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"n": 1}, {"n": True}),
        ({"stop": ["a", "b"]}, {"stop": ["b", "a"]}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "text"}}),
    ],
)
def test_parameters_part_scopes(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Absent and zero, integer and float, and other orders are told apart."""
    left, right = (request("openai.chat", "How are you?", **more) for more in (one, other))

    assert scope("openai.chat", left) != scope("openai.chat", right)


def test_the_same_last_message_after_another_turn_is_another_scope() -> None:
    """A "And for dogs?" after a talk of cats is not compared with one after a talk of birds."""
    first, second = (
        request("openai.chat", "And for dogs?", [{"role": "user", "content": f"Food for {who}"}])
        for who in ("cats", "birds")
    )

    assert scope("openai.chat", first) != scope("openai.chat", second)


def test_other_parts_of_the_last_turn_belong_to_the_scope() -> None:
    """An image or a document beside the question must be the same; the last text is compared."""

    def with_document(document: str, text: str) -> dict[str, Any]:
        parts = [
            {"type": "text", "text": document},
            {"type": "image_url", "image_url": {"url": f"data:{document}"}},
            {"type": "text", "text": text},
        ]
        return request("openai.chat", parts)

    question = asked("openai.chat", with_document("a", "What is it?"))

    assert question is not None
    assert question.text == "What is it?"
    assert question.scope == scope("openai.chat", with_document("a", "What's that?"))
    assert question.scope != scope("openai.chat", with_document("b", "What is it?"))


@given(JSON)
def test_no_content_passes_for_the_mark_of_the_question(content: Any) -> None:
    """A content that is no text has no question, so that none can pass for the mark of one."""
    question = asked("openai.chat", request("openai.chat", content))

    assert question is None or (isinstance(content, str) and question.text == content)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ("openai.chat", {"messages": []}),
        ("openai.chat", {"messages": [{"role": "assistant", "content": "Well,"}]}),
        ("openai.chat", {"messages": [{"role": "user", "content": "  "}]}),
        ("openai.chat", {"messages": [{"role": "user", "content": "\ud83d"}]}),
        ("openai.chat", {"messages": "no list"}),
        ("openai.chat", {"messages": [5]}),
        ("openai.completions", {"prompt": ["a", "b"]}),
        ("openai.responses", {"input": [{"type": "function_call_output", "role": "user"}]}),
        ("openai.responses", {"input": "Hello", "conversation": "c1"}),
        ("openai.embeddings", {"input": "Hello"}),
    ],
)
def test_what_has_no_question_is_never_compared(shape: str, found: dict[str, Any]) -> None:
    """Only the user's last text is a question, and only where the request alone is answered."""
    assert asked(shape, found) is None


def test_a_text_alone_is_the_question_of_a_response() -> None:
    """The Responses API takes a bare text."""
    question = asked("openai.responses", {"model": "m", "input": "Hello"})

    assert question is not None
    assert question.text == "Hello"
