"""From a call to its cost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from conftest import utc
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.rows import Call

if TYPE_CHECKING:
    from watchllm_server.pricing import Prices


def call(model: str = "gpt-4o", **fields: Any) -> Call:
    """Return a call of a million tokens each way in November 2026."""
    metadata = fields.pop("metadata", None)
    values: dict[str, Any] = {
        "at": utc("2026-11-24"),
        "tokens_input": 1_000_000,
        "tokens_output": 1_000_000,
        "response_metadata": None if metadata is None else json.dumps(metadata).encode(),
        "cost_estimate_usd": None,
    }
    return Call(model=model, **(values | fields))


def test_a_call_costs_its_list_price(prices: Prices) -> None:
    """A million tokens each way of gpt-4o cost 2.50 and 10 dollars."""
    assert prices.cost(call()) == Decimal("12.5")


def test_the_price_is_that_of_the_day_of_the_call(prices: Prices) -> None:
    """A call of o3 cost five times as much before its price was cut in June 2025."""
    before = prices.cost(call("o3", at=utc("2025-02-01"), tokens_output=0))
    after = prices.cost(call("o3", at=utc("2026-02-01"), tokens_output=0))

    assert (before, after) == (Decimal(10), Decimal(2))


def test_a_large_request_pays_the_price_of_its_size(prices: Prices) -> None:
    """A model with a higher price for long inputs is priced by the size of the whole request."""
    small = prices.cost(call("claude-sonnet-4-5", tokens_input=100_000, tokens_output=0))
    large = prices.cost(call("claude-sonnet-4-5", tokens_input=300_000, tokens_output=0))

    assert (small, large) == (Decimal("0.3"), Decimal("1.8"))


def test_cached_input_is_cheaper(prices: Prices) -> None:
    """Tokens that the provider's usage counts as cached are priced as such."""
    usage = {"usage": {"prompt_tokens_details": {"cached_tokens": 1_000_000}}}

    assert prices.cost(call(tokens_output=0, metadata=usage)) == Decimal("1.25")


SONNET = "claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("model", "tokens_input", "usage", "dollars"),
    [
        # OpenAI counts cached tokens within its input, in both of its APIs.
        ("gpt-4o", 100_000, {"prompt_tokens_details": {"cached_tokens": 60_000}}, "1.175"),
        ("gpt-4o", 100_000, {"input_tokens_details": {"cached_tokens": 60_000}}, "1.175"),
        # Anthropic counts them beside its input: read at a tenth, written at five quarters.
        (
            SONNET, 100_000,
            {"input_tokens": 100_000, "cache_read_input_tokens": 50_000}, "1.815",
        ),
        (
            SONNET, 100_000,
            {"input_tokens": 100_000, "cache_creation_input_tokens": 40_000}, "1.95",
        ),
        (
            SONNET, 100_000,
            {
                "input_tokens": 100_000,
                "cache_creation_input_tokens": 40_000,
                "cache_creation": {"ephemeral_1h_input_tokens": 40_000},
            },
            "2.04",
        ),
        # With what is cached the request is a large one, which has prices of its own.
        (
            SONNET, 100_000,
            {"input_tokens": 100_000, "cache_read_input_tokens": 200_000}, "2.97",
        ),
        # A sender that passes the whole count on.
        (
            SONNET, 150_000,
            {"input_tokens": 100_000, "cache_read_input_tokens": 50_000}, "1.815",
        ),
        # Reasoning is part of the output and has its price, where it has none of its own.
        ("gpt-4o", 100_000, {"completion_tokens_details": {"reasoning_tokens": 90_000}}, "1.25"),
        # A usage that contradicts the counts is none.
        ("gpt-4o", 100_000, {"prompt_tokens_details": {"cached_tokens": 100_001}}, "1.25"),
        ("gpt-4o", 100_000, {"prompt_tokens_details": {"cached_tokens": -1}}, "1.25"),
        ("gpt-4o", 100_000, {"prompt_tokens_details": None, "cached": True}, "1.25"),
    ],
)  # fmt: skip
def test_each_kind_of_token_has_its_price(
    prices: Prices, model: str, tokens_input: int, usage: Any, dollars: str
) -> None:
    """Tokens read from and written to the cache are priced as the provider's usage counts them."""
    counted = call(
        model, tokens_input=tokens_input, tokens_output=100_000, metadata={"usage": usage}
    )

    assert prices.cost(counted) == Decimal(dollars)


@pytest.mark.parametrize(
    ("model", "metadata"),
    [
        ("text-embedding-3-small", {"provider": "openai"}),
        ("openai/gpt-4o", None),
        ("gpt-4o", {"provider": "OpenAI"}),
        ("GPT-4o", {"provider": None}),
    ],
)
def test_the_provider_is_found(prices: Prices, model: str, metadata: Any) -> None:
    """The provider is the sender's, the name's prefix, or inferred from the name."""
    assert prices.cost(call(model, metadata=metadata)) is not None


@pytest.mark.parametrize(
    "unknown",
    [
        call("my-own-model"),
        call(""),
        call("m" * 10_000),
        call(metadata={"provider": "nobody-knows"}),
        call(tokens_input=None),
        call(tokens_output=None),
    ],
)
def test_an_unknown_price_is_none_and_never_zero(prices: Prices, unknown: Call) -> None:
    """Without a price or a count there is no cost."""
    assert prices.cost(unknown) is None


def test_the_senders_own_cost_wins(prices: Prices) -> None:
    """A cost that the sender knows is taken as it is, also for a model without a price."""
    assert prices.cost(call("mine", cost_estimate_usd=b"0.0021")) == Decimal("0.0021")


@pytest.mark.parametrize("metadata", [[], "x", {"provider": 3}, {"usage": {"cached_tokens": "x"}}])
def test_metadata_of_another_shape_does_not_matter(prices: Prices, metadata: Any) -> None:
    """Metadata that is not as a provider sends it leaves the price as it is."""
    assert prices.cost(call(metadata=metadata)) == Decimal("12.5")


@pytest.mark.parametrize(
    ("model", "provider"),
    [("gpt-4o", "openai"), (SONNET, "anthropic"), ("gemini-2.5-pro", "google"),
     ("deepseek-chat", "deepseek"), ("o3", "openai")],
)  # fmt: skip
@given(
    given_in=st.integers(0, 10**9) | st.integers(199_998, 200_002),
    given_out=st.integers(0, 10**9),
    at=st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_the_fast_way_gives_the_exact_price(
    prices: Prices, *, model: str, provider: str, given_in: int, given_out: int, at: datetime
) -> None:
    """For any counts and times the cost equals that of the price list's own calculation."""
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - seconds, which other tests spare

    usage = Usage(input_tokens=given_in, output_tokens=given_out)
    listed = calc_price(usage, model, provider_id=provider, genai_request_timestamp=at)

    ours = prices.cost(call(model, at=at, tokens_input=given_in, tokens_output=given_out))

    assert ours == listed.total_price
