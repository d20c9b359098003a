"""Embeddings by input: only what is unknown is asked for, and the answer is as if all had been."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.cache.embeddings import apportioned, merged, parts, remaining, split

INPUTS = st.text(max_size=6) | st.lists(st.integers(0, 100_000), min_size=1, max_size=4)
LISTS = st.lists(INPUTS, min_size=1, max_size=6)


def answered(request: dict[str, Any]) -> bytes:
    """Return what a provider answers: a vector that tells its input, and a count of tokens."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector(each["input"])}
        for index, each in enumerate(split(request))
    ]
    tokens = 3 * len(data)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "data": data, "model": "embed-1", "usage": usage}
    return json.dumps(body, indent=1).encode()


def vector(text: Any) -> list[float]:
    """Return a vector that tells its input."""
    return [1e-7, *(float(ord(each)) if isinstance(each, str) else each + 0.5 for each in text)]


@given(LISTS, st.data())
def test_a_list_of_which_some_is_known_is_answered_as_a_whole(
    inputs: list[Any], data: st.DataObject
) -> None:
    """Whatever is known already, the vectors stand in the order of the inputs, each its own."""
    request = {"model": "embed-1", "input": inputs}
    whole = answered(request)
    kept = parts(request, whole)
    assert kept is not None
    is_known = data.draw(st.lists(st.booleans(), min_size=len(inputs), max_size=len(inputs)))
    known = [body if there else None for body, there in zip(kept, is_known, strict=True)]

    rest = remaining(request, known)
    asked = None if rest is None else rest["input"]
    body = merged(known, None if rest is None else answered(rest))

    expected = [each for each, there in zip(inputs, is_known, strict=True) if not there]
    assert asked == (expected or None)
    assert body is not None
    assert json.loads(body)["data"] == json.loads(whole)["data"]
    assert json.loads(body)["model"] == "embed-1"


@given(LISTS)
def test_the_shares_of_usage_sum_up(inputs: list[Any]) -> None:
    """The tokens of all inputs that are kept are those that the provider has counted."""
    request = {"model": "embed-1", "input": inputs}

    kept = parts(request, answered(request))

    assert kept is not None
    used = [json.loads(body)["usage"] for body in kept]
    assert sum(each["prompt_tokens"] for each in used) == 3 * len(inputs)
    whole = merged(kept, None)
    assert whole is not None
    assert json.loads(whole)["usage"]["total_tokens"] == 3 * len(inputs)


@given(st.integers(0, 10_000), st.lists(st.integers(0, 50), min_size=1))
def test_shares_are_whole_and_fair(total: int, weights: list[int]) -> None:
    """No token is lost or made, and no share is off by a whole one."""
    shares = apportioned(total, weights)

    assert sum(shares) == total
    fair = [total * weight / (sum(weights) or 1) for weight in weights]
    if sum(weights):
        assert all(abs(share - ideal) < 1 for share, ideal in zip(shares, fair, strict=True))


def test_one_input_is_the_same_alone_and_in_a_list() -> None:
    """A text, a list of it, and tokens in either form."""
    assert split({"input": "a"}) == split({"input": ["a"]}) == [{"input": "a"}]
    assert split({"input": [1, 2]}) == split({"input": [[1, 2]]}) == [{"input": [1, 2]}]
    assert split({"input": ["a", "b"], "dimensions": 8}) == [
        {"input": "a", "dimensions": 8},
        {"input": "b", "dimensions": 8},
    ]


@pytest.mark.parametrize("odd", [None, 5, {}, [], [[]], [True], ["a", 1], ["a", None], [1.5]])
def test_what_is_no_input_is_not_split(odd: Any) -> None:
    """The provider says what is wrong with it."""
    assert split({"input": odd}) == [] or odd == []


def test_vectors_pass_as_they_were_written() -> None:
    """Numbers keep their digits, and base64 its text."""
    vectors = {"input": ["a", "b"]}
    body = b'{"data":[{"embedding":[1.10, -2e-05],"index":0},{"embedding":"AACAPw==","index":1}]}'

    kept = parts(vectors, body)

    assert kept is not None
    assert b"[1.10, -2e-05]" in kept[0]
    assert b'"AACAPw=="' in kept[1]
    whole = merged(kept, None)
    assert whole is not None
    assert b"usage" not in whole


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"data":[{"embedding":[1],"index":0}]}',
        b'{"data":[{"embedding":[1],"index":0},{"embedding":[1],"index":0}]}',
        b'{"data":[{"embedding":[1],"index":0},{"embedding":[2],"index":2}]}',
        b'{"data":[{"embedding":[1],"index":0},{"index":1}]}',
    ],
)
def test_a_body_that_does_not_answer_each_input_is_not_kept(body: bytes) -> None:
    """Too few, too many or doubtful vectors make no entries and no answer."""
    assert parts({"input": ["a", "b"]}, body) is None
    assert merged([None, None, None], body) is None
