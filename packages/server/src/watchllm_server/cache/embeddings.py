"""Embeddings are kept by input: of a list, only the inputs that are not yet known are asked for.

All here works on requests and bodies of POST /v1/embeddings; the vectors themselves are passed on
as they were written, never read as numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    total_tokens: int = 0


class _Vector(msgspec.Struct):
    embedding: Raw
    index: int
    object: str = "embedding"


class _Body(msgspec.Struct):
    data: list[_Vector]
    object: str = "list"
    model: str | UnsetType = UNSET
    usage: _Usage | UnsetType | None = UNSET


_decode: Final = msgspec.json.Decoder(_Body).decode


def split(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a request for each input of a request, from which the key of each is made.

    A list of one input and that input alone are the same. Where `input` is none that the API knows,
    nothing is returned.
    """
    given = request.get("input")
    inputs = [given] if _is_input(given) else given
    if not isinstance(inputs, list) or not all(map(_is_input, inputs)):
        return []
    return [{**request, "input": each} for each in inputs]


def _is_input(value: Any) -> bool:
    """Say whether a value is one input: a text, or a text as tokens."""
    if isinstance(value, list):
        return bool(value) and all(type(token) is int for token in value)
    return isinstance(value, str)


def remaining(request: dict[str, Any], known: Sequence[bytes | None]) -> dict[str, Any] | None:
    """Return the request for the inputs of which no body is known, None where all are.

    `known` has a place for each request that `split` gave.
    """
    singles = split(request)
    rest = [each["input"] for each, body in zip(singles, known, strict=True) if body is None]
    if singles and not rest:
        return None
    return request if len(rest) == len(singles) else {**request, "input": rest}


def parts(request: dict[str, Any], body: bytes) -> list[bytes] | None:
    """Return a body for each input of a request that was answered with `body`, to be kept.

    The provider counts all tokens together: each input has its share of them by its length, so that
    the sum is theirs. Returns None for a body that does not answer each input once.
    """
    singles = split(request)
    try:
        found = _decode(body)
    except (ValueError, RecursionError):
        return None
    vectors = {vector.index: vector for vector in found.data}
    if len(found.data) != len(singles) or sorted(vectors) != list(range(len(singles))):
        return None
    shares = _shares(found.usage, [len(each["input"]) for each in singles])
    return [
        msgspec.json.encode(
            _Body(
                [_Vector(vectors[place].embedding, 0, vectors[place].object)],
                found.object,
                found.model,
                shares[place],
            )
        )
        for place in range(len(singles))
    ]


def merged(known: Sequence[bytes | None], rest: bytes | None) -> bytes | None:
    """Return one body of those that are known and, in the other places, of what answers the rest.

    Its usage is the sum. Returns None for bodies that do not fill the places.
    """
    try:
        bodies = [None if body is None else _decode(body) for body in known]
        answer = _Body([]) if rest is None else _decode(rest)
    except (ValueError, RecursionError):
        return None
    fresh = sorted(answer.data, key=lambda vector: vector.index)
    if [each.index for each in fresh] != list(range(bodies.count(None))):
        return None
    if any(body is not None and len(body.data) != 1 for body in bodies):
        return None
    following = iter(fresh)
    vectors = [next(following) if body is None else body.data[0] for body in bodies]
    told = [*(body for body in bodies if body is not None), *([] if rest is None else [answer])]
    return msgspec.json.encode(
        _Body(
            [_Vector(each.embedding, place, each.object) for place, each in enumerate(vectors)],
            "list",
            next((body.model for body in reversed(told) if body.model), UNSET),
            _sum([body.usage for body in told]),
        )
    )


def _sum(usages: Sequence[_Usage | UnsetType | None]) -> _Usage | UnsetType:
    told = [usage for usage in usages if isinstance(usage, _Usage)]
    if not told:
        return UNSET
    return _Usage(
        sum(usage.prompt_tokens for usage in told), sum(usage.total_tokens for usage in told)
    )


def _shares(
    usage: _Usage | UnsetType | None, lengths: Sequence[int]
) -> Sequence[_Usage | UnsetType]:
    if not isinstance(usage, _Usage):
        return [UNSET] * len(lengths)
    prompts = apportioned(usage.prompt_tokens, lengths)
    totals = apportioned(usage.total_tokens, lengths)
    return [_Usage(*pair) for pair in zip(prompts, totals, strict=True)]


def apportioned(total: int, weights: Sequence[int]) -> list[int]:
    """Return a total in whole shares by weight, whose sum is the total."""
    whole = sum(weights) or len(weights)
    given, passed, shares = 0, 0, []
    for weight in weights if sum(weights) else [1] * len(weights):
        passed += weight
        share = total * passed // whole - given
        given += share
        shares.append(share)
    return shares
