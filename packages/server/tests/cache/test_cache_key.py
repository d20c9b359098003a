"""The key of a request: what tells two requests apart, and what does not."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.cache.key import NOT_IN_KEY, is_repeatable, request_key

if TYPE_CHECKING:
    import random

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS | st.sampled_from(["", "0", "1", "true", "null", "cd .", "cd ..", "A", "a", 0, 1, 1.0])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
NAMES = st.sampled_from(
    ["model", "messages", "temperature", "seed", "tools", "tool_choice", "response_format", "stop"]
)
REQUESTS = st.dictionaries(NAMES, VALUES, min_size=1)
SHAPES = st.sampled_from(sorted(NOT_IN_KEY))

Path = tuple[Any, ...]


def key(request: dict[str, Any], shape: str = "openai.chat", **scope: str) -> bytes:
    """Return the key of a request in some project."""
    named: dict[str, Any] = {"project": "p", "namespace": "", "provider": "openai", **scope}
    return request_key(shape=shape, request=request, **named)


def paths(value: Any, here: Path = ()) -> list[Path]:
    """Return the place of each value within a value, itself too."""
    found = [here]
    if isinstance(value, dict):
        for name, inner in value.items():
            found += paths(inner, (*here, name))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            found += paths(inner, (*here, index))
    return found


def replaced(value: Any, path: Path, new: Any) -> Any:
    """Return a copy of a value with another one at a place."""
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], new)
    return changed


def exact(value: Any) -> str:
    """Return a value as text in which 1, 1.0 and true differ, and order within objects does not."""
    return json.dumps(value, sort_keys=True)


def shuffled(value: Any, random_: random.Random) -> Any:
    """Return a value with the names of every object in another order."""
    if isinstance(value, dict):
        items = [(name, shuffled(inner, random_)) for name, inner in value.items()]
        random_.shuffle(items)
        return dict(items)
    return [shuffled(inner, random_) for inner in value] if isinstance(value, list) else value


@given(REQUESTS, SHAPES, st.data())
def test_requests_that_differ_in_one_place_have_different_keys(
    request: dict[str, Any], shape: str, data: st.DataObject
) -> None:
    """Another value anywhere, however deep, is another key."""
    path = data.draw(st.sampled_from(paths(request)[1:]))
    other = replaced(request, path, data.draw(VALUES))

    assert (key(request, shape) == key(other, shape)) == (exact(request) == exact(other))


@given(REQUESTS, st.data())
def test_a_value_that_is_there_or_not_makes_the_difference(
    request: dict[str, Any], data: st.DataObject
) -> None:
    """A name, a message or a tool more is another key, whatever its value."""
    path = data.draw(st.sampled_from(paths(request)[1:]))
    above = request
    for step in path[:-1]:
        above = above[step]
    less: Any = copy.copy(above)
    del less[path[-1]]

    assert key(request) != key(replaced(request, path[:-1], less))


@pytest.mark.parametrize("name", ["project", "namespace", "provider"])
@given(REQUESTS, TEXTS, TEXTS)
def test_no_scope_shares_a_key_with_another(
    name: str, request: dict[str, Any], one: str, other: str
) -> None:
    """Project, namespace and provider are each told apart, also where they look alike joined."""
    assert (key(request, **{name: one}) == key(request, **{name: other})) == (one == other)
    joined = key(request, project=one + other, namespace="")
    assert (key(request, project=one, namespace=other) == joined) == (other == "")


@given(REQUESTS, st.lists(SHAPES, min_size=2, max_size=2, unique=True))
def test_no_api_shares_a_key_with_another(request: dict[str, Any], shapes: list[str]) -> None:
    """An answer of one API is nothing to another."""
    assert key(request, shapes[0]) != key(request, shapes[1])


@given(REQUESTS, SHAPES, st.randoms(use_true_random=False), st.sampled_from([None, 2]))
def test_order_whitespace_and_excluded_parameters_do_not_matter(
    request: dict[str, Any], shape: str, random_: random.Random, indent: int | None
) -> None:
    """The same request, written in another way and by another user, has the same key."""
    labels = dict.fromkeys(NOT_IN_KEY[shape], "anything")
    text = json.dumps(shuffled(request | labels, random_), indent=indent)

    assert key(msgspec.json.decode(text), shape) == key(request, shape)


@given(VALUES, SHAPES)
def test_a_parameter_is_left_out_at_the_top_alone(value: Any, shape: str) -> None:
    """Deeper down, as within a tool's schema, a name such as `user` is anything but a label."""
    for name in NOT_IN_KEY[shape]:
        plain: dict[str, Any] = {"tools": [{"parameters": {}}]}
        named: dict[str, Any] = {"tools": [{"parameters": {name: value}}]}

        assert key(plain, shape) != key(named, shape)


def test_headers_that_choose_a_feature_are_in_the_key() -> None:
    """A beta, a version and an account count, in any order; what tells of the client does not."""

    def with_headers(*headers: tuple[str, str], query: str = "") -> bytes:
        return request_key(
            project="p", namespace="", provider="openai", shape="openai.chat",
            request={"model": "m"}, headers=headers, query=query,
        )  # fmt: skip

    version, beta = ("anthropic-version", "2023-06-01"), ("anthropic-beta", "a")
    client = [("user-agent", "a"), ("x-stainless-retry-count", "1"), ("traceparent", "00-1")]

    assert with_headers(version, beta) == with_headers(beta, *client, version)
    assert with_headers(*client) == with_headers()
    different = [
        with_headers(), with_headers(version), with_headers(beta), with_headers(version, beta),
        with_headers(("anthropic-beta", "b")), with_headers(("openai-project", "a")),
        with_headers(query="?api-version=1"), with_headers(query="?api-version=2"),
    ]  # fmt: skip
    assert len(set(different)) == len(different)


def test_seed_zero_is_a_seed() -> None:
    """0, absent, null, false, "0" and 0.0 are six different requests."""
    seeds: list[dict[str, Any]] = [{"seed": seed} for seed in (0, None, False, "0", 0.0)]

    assert len({key(request) for request in [{}, *seeds]}) == 6


def test_numbers_that_are_none_have_keys_of_their_own() -> None:
    """What only lenient parsers read is not taken for null."""
    values = [None, float("nan"), float("inf"), float("-inf"), "null", "NaN"]

    assert len({key({"temperature": value}) for value in values}) == 6


def test_half_a_surrogate_pair_has_a_key_of_its_own() -> None:
    """A text that is no Unicode is neither refused nor taken for its replacement."""
    texts = ["\ud83d", "\\ud83d", "\ufffd", "?"]

    assert len({key({"messages": text}) for text in texts}) == 4


@pytest.mark.parametrize(
    "request_",
    [
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "function"}, {"type": "mcp", "server_url": "https://example.com"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": ["odd"]},
        {"web_search_options": {}},
        {"conversation": "conv_1"},
        {"background": True},
        {"prompt": {"id": "pmpt_1"}},
        {"mcp_servers": [{"url": "https://example.com"}]},
    ],
)
def test_what_depends_on_more_than_the_request_is_not_repeatable(request_: dict[str, Any]) -> None:
    """What a provider remembers, looks up or does is not in the request."""
    assert not is_repeatable(request_)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"tools": None, "background": False, "conversation": None},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tools": [{"name": "f", "input_schema": {}}]},
        {"tools": [{"type": "text_editor_20250728", "name": "edit"}]},
        {"prompt": {"id": "pmpt_1", "version": "2"}},
        {"prompt": "Say hello"},
    ],
)
def test_what_the_client_does_itself_is_repeatable(request_: dict[str, Any]) -> None:
    """A tool that the client runs is only asked for by the answer."""
    assert is_repeatable(request_)
