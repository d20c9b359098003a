"""From a prompt call to its cost, by the list price in force at the call's own time."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

    from watchllm_server.events import Call

_MAX_NAME = 200
_KNOWN_MODELS = 4_096
# The scale of the column that costs are stored in.
_SCALE = Decimal("1e-12")


class _CachedTokens(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens_details: _CachedTokens | None = None
    input_tokens_details: _CachedTokens | None = None


class _Metadata(msgspec.Struct):
    provider: str | None = None


class _MetadataUsage(msgspec.Struct):
    usage: _Usage | None = None


class Prices:
    """Price calls by the lists of genai-prices. Safe to use from any thread.

    Loading the lists takes about two seconds, at the first call or ahead of it by `warm()`.
    """

    def __init__(self) -> None:
        self._find = lru_cache(_KNOWN_MODELS)(_find_model)
        self._flat: dict[int, tuple[ModelPrice, _Flat | None]] = {}

    def warm(self) -> None:
        """Load the price lists, so that the first call does not wait for them."""
        self._find("gpt-4o", None)

    def cost(self, call: Call) -> Decimal | None:
        """Return the cost in US dollars, or None when it is not known; never 0 for unknown.

        A cost that the sender gave wins over the list price. The provider is the sender's
        `response_metadata.provider`, else the prefix of a `provider/model` name, else inferred
        from the model's name.
        """
        if call.cost_estimate_usd is not None:
            return Decimal(call.cost_estimate_usd.decode()).quantize(_SCALE)
        if call.tokens_input is None or call.tokens_output is None:
            return None
        if not call.model or len(call.model) > _MAX_NAME:
            return None
        found = self._find(call.model, _provider(call.response_metadata))
        if found is None:
            return None
        provider, model = found
        cached = _cached_tokens(call)
        flat = None if cached else self._flat_price(model.get_prices(call.at))
        if flat is None:
            total = _listed(provider, model, call, cached)
        else:
            total = flat.of(call.tokens_input, call.tokens_output)
        return None if total is None else total.quantize(_SCALE)

    def _flat_price(self, price: ModelPrice) -> _Flat | None:
        """Return the price as a linear function, or None when it depends on the call's size.

        Price lists are constants of the package, so there are as many entries as lists.
        """
        known = self._flat.get(id(price))
        if known is None:
            known = self._flat[id(price)] = (price, _flatten(price))
        return known[1]


class _Flat:
    """A price that is linear in the tokens: what the exact calculation gives, without its cost."""

    def __init__(self, fixed: Decimal, per_input: Decimal, per_output: Decimal) -> None:
        self._fixed = fixed
        self._per_input = per_input
        self._per_output = per_output

    def of(self, tokens_input: int, tokens_output: int) -> Decimal:
        return self._fixed + self._per_input * tokens_input + self._per_output * tokens_output


def _flatten(price: ModelPrice) -> _Flat | None:
    from genai_prices.types import TieredPrices, Usage  # noqa: PLC0415 - takes seconds to import

    if any(isinstance(value, TieredPrices) for value in vars(price).values()):
        return None
    try:
        fixed, one_input, one_output = (
            price.calc_price(Usage(input_tokens=i, output_tokens=o))["total_price"]
            for i, o in ((0, 0), (1, 0), (0, 1))
        )
    except (LookupError, ValueError):
        return None
    return _Flat(fixed, one_input - fixed, one_output - fixed)


def _listed(provider: Provider, model: ModelInfo, call: Call, cached: int) -> Decimal | None:
    from genai_prices.types import Usage  # noqa: PLC0415 - takes seconds to import

    usage: dict[str, Any] = {
        "input_tokens": call.tokens_input,
        "output_tokens": call.tokens_output,
    }
    if cached:
        usage["cache_read_tokens"] = cached
    try:
        found = model.calc_price(Usage(**usage), provider, genai_request_timestamp=call.at)
    except (LookupError, ValueError):
        return None
    return found.total_price


def _find_model(model: str, provider_id: str | None) -> tuple[Provider, ModelInfo] | None:
    # The package's own look-up remembers every name that it ever saw; this one is bounded.
    from genai_prices.data import providers  # noqa: PLC0415 - takes seconds to import
    from genai_prices.data_snapshot import find_provider_by_id  # noqa: PLC0415 - likewise

    name = model.lower()
    if provider_id is not None:
        provider = find_provider_by_id(providers, provider_id)
    elif "/" in name and (named := find_provider_by_id(providers, name.split("/", 1)[0])):
        provider, name = named, name.split("/", 1)[1]
    else:
        provider = next(
            (each for each in providers if each.model_match and each.model_match.is_match(name)),
            None,
        )
    if provider is None:
        return None
    found = provider.find_model(name, all_providers=providers)
    if found is None and provider_id is not None and name.startswith(f"{provider.id}/"):
        found = provider.find_model(name.split("/", 1)[1], all_providers=providers)
    return None if found is None else (provider, found)


_metadata = msgspec.json.Decoder(_Metadata).decode
_metadata_usage = msgspec.json.Decoder(_MetadataUsage).decode


def _provider(response_metadata: bytes | None) -> str | None:
    if response_metadata is None:
        return None
    try:
        name = _metadata(response_metadata).provider
    except msgspec.DecodeError:
        return None
    return name.strip()[:_MAX_NAME] or None if name else None


def _cached_tokens(call: Call) -> int:
    """Return how many input tokens came from the provider's cache, as OpenAI's usage tells it."""
    if call.response_metadata is None or b"cached_tokens" not in call.response_metadata:
        return 0
    try:
        usage = _metadata_usage(call.response_metadata).usage
    except msgspec.DecodeError:
        return 0
    details = usage and (usage.prompt_tokens_details or usage.input_tokens_details)
    cached = (details.cached_tokens or 0) if details else 0
    return cached if 0 < cached <= (call.tokens_input or 0) else 0
