"""From a provider's own account of a call to the kinds of token that have prices of their own."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

_Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)] | None
# A quick look for what only a usage with details has; most calls have none.
_MARKS = (b"cache", b"reasoning_tokens", b"thinking_tokens", b"audio_tokens", b"oughtsTokenCount")


class _InputDetails(Struct):
    cached_tokens: _Count = None
    cache_write_tokens: _Count = None
    audio_tokens: _Count = None


class _OutputDetails(Struct):
    reasoning_tokens: _Count = None
    thinking_tokens: _Count = None
    audio_tokens: _Count = None


class _CacheCreation(Struct):
    ephemeral_5m_input_tokens: _Count = None
    ephemeral_1h_input_tokens: _Count = None


class _Usage(Struct):
    """What OpenAI (both of its APIs), Anthropic and Google report of a call."""

    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    input_tokens: _Count = None
    output_tokens: _Count = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    cache_creation_input_tokens: _Count = None
    cache_read_input_tokens: _Count = None
    cache_creation: _CacheCreation | None = None
    cached_content: _Count = msgspec.field(default=None, name="cachedContentTokenCount")
    thoughts: _Count = msgspec.field(default=None, name="thoughtsTokenCount")


class _Metadata(Struct):
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Metadata).decode


def details(
    response_metadata: bytes | None, tokens_input: int, tokens_output: int
) -> dict[str, int] | None:
    """Return how many tokens a call used of each kind, by the names of genai-prices.

    Returns None when `response_metadata.usage` tells no more than the call's own two counts, which
    win over a usage that contradicts them. Anthropic counts cached tokens beside its input, all
    others within: where the sender passed the smaller count on, the larger is returned.
    """
    if response_metadata is None or not any(mark in response_metadata for mark in _MARKS):
        return None
    try:
        usage = _decode(response_metadata).usage
    except msgspec.DecodeError:
        return None
    if usage is None:
        return None
    counts = _kinds(usage)
    beside = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    if beside and usage.input_tokens == tokens_input:
        tokens_input += beside
    read_and_written = counts.get("cache_read_tokens", 0) + counts.get("cache_write_tokens", 0)
    output_kinds = (counts.get("output_reasoning_tokens", 0), counts.get("output_audio_tokens", 0))
    if read_and_written > tokens_input or max(output_kinds) > tokens_output:
        return None
    if not counts:
        return None
    return {"input_tokens": tokens_input, "output_tokens": tokens_output, **counts}


def _kinds(usage: _Usage) -> dict[str, int]:
    given = usage.prompt_tokens_details or usage.input_tokens_details or _InputDetails()
    made = usage.completion_tokens_details or usage.output_tokens_details or _OutputDetails()
    creation = usage.cache_creation or _CacheCreation()
    kinds = {
        "cache_read_tokens": (
            given.cached_tokens or usage.cache_read_input_tokens or usage.cached_content
        ),
        "cache_write_tokens": given.cache_write_tokens or usage.cache_creation_input_tokens,
        "cache_write_5m_tokens": creation.ephemeral_5m_input_tokens,
        "cache_write_1h_tokens": creation.ephemeral_1h_input_tokens,
        "input_audio_tokens": given.audio_tokens,
        "output_reasoning_tokens": (
            made.reasoning_tokens or made.thinking_tokens or usage.thoughts
        ),
        "output_audio_tokens": made.audio_tokens,
    }
    return {name: count for name, count in kinds.items() if count}
