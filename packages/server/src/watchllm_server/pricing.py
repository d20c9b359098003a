"""From a prompt call to its cost, by the list price in force at the call's own time."""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from watchllm_server.usage import details

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

    from watchllm_server.rows import Call

_MAX_NAME = 200
_KNOWN_MODELS = 4_096
SCALE = Decimal("1e-12")
"""The scale of the column that costs are stored in."""


class _Metadata(msgspec.Struct):
    provider: str | None = None
    price_id: str | None = None


class Prices:
    """Price calls by the lists of genai-prices. Safe to use from any thread.

    Loading the lists takes about two seconds, at the first call or ahead of it by `warm()`.
    """

    def __init__(self) -> None:
        self._find = lru_cache(_KNOWN_MODELS)(find_model)
        self._lines: dict[int, tuple[ModelPrice, _Lines]] = {}
        self.is_warm = False
        """Whether the lists are loaded, so that a price takes microseconds."""

    def warm(self) -> None:
        """Load the price lists, so that the first call does not wait for them."""
        self._find("gpt-4o", None)
        self.is_warm = True

    def cost(self, call: Call, project_id: str = "") -> Decimal | None:  # noqa: ARG002 - a project's own prices are not here
        """Return the cost in US dollars, or None when it is not known; never 0 for unknown.

        A cost that the sender gave wins over the list price. The provider is the sender's
        `response_metadata.price_id` or `provider`, else the prefix of a `provider/model` name, else
        inferred from the model's name. Tokens that `response_metadata.usage` counts as read from or
        written to the provider's cache, as reasoning or as audio have the price of their kind.
        """
        if call.cost_estimate_usd is not None:
            return Decimal(call.cost_estimate_usd.decode()).quantize(SCALE)
        tokens_input, tokens_output = call.tokens_input, call.tokens_output
        if tokens_input is None or tokens_output is None:
            return None
        if not call.model or len(call.model) > _MAX_NAME:
            return None
        found = self._find(call.model, _provider(call.response_metadata))
        self.is_warm = True
        if found is None:
            return None
        provider, model = found
        counts = details(call.response_metadata, tokens_input, tokens_output)
        if counts is None:
            line = self._lines_of(model.get_prices(call.at)).line(tokens_input)
            if line is not None:
                return line.of(tokens_input, tokens_output).quantize(SCALE)
            counts = {"input_tokens": tokens_input, "output_tokens": tokens_output}
        total = _listed(provider, model, call, counts)
        return None if total is None else total.quantize(SCALE)

    def _lines_of(self, price: ModelPrice) -> _Lines:
        # Price lists are constants of the package, so there are as many entries as lists.
        known = self._lines.get(id(price))
        if known is None:
            known = self._lines[id(price)] = (price, _Lines(price))
        return known[1]


class _Line:
    """A price that is linear in the tokens: what the exact calculation gives, without its cost."""

    def __init__(self, fixed: Decimal, per_input: Decimal, per_output: Decimal) -> None:
        self._fixed = fixed
        self._per_input = per_input
        self._per_output = per_output

    def of(self, tokens_input: int, tokens_output: int) -> Decimal:
        return self._fixed + self._per_input * tokens_input + self._per_output * tokens_output


class _Lines:
    """The lines of one price list: one, or one for each size of request that has its own price."""

    def __init__(self, price: ModelPrice) -> None:
        from genai_prices.types import TieredPrices  # noqa: PLC0415 - takes seconds to import

        tiered = [value for value in vars(price).values() if isinstance(value, TieredPrices)]
        self._starts = sorted({tier.start for value in tiered for tier in value.tiers})
        ends = [*self._starts, None]
        # A price counts from one token beyond its start.
        lows = [0, *(start + 1 for start in self._starts)]
        self._lines = [_fit(price, low, end) for low, end in zip(lows, ends, strict=True)]

    def line(self, tokens_input: int) -> _Line | None:
        """Return what a request of that size costs, or None when it takes the exact calculation."""
        return self._lines[bisect_left(self._starts, tokens_input)]


def _fit(price: ModelPrice, low: int, end: int | None) -> _Line | None:
    """Return the line through three points, of inputs between the bounds."""
    from genai_prices.types import Usage  # noqa: PLC0415 - takes seconds to import

    if end is not None and end <= low:
        return None
    try:
        base, next_input, next_output = (
            price.calc_price(Usage(input_tokens=i, output_tokens=o))["total_price"]
            for i, o in ((low, 0), (low + 1, 0), (low, 1))
        )
    except (LookupError, ValueError):
        return None
    per_input = next_input - base
    return _Line(base - low * per_input, per_input, next_output - base)


def _listed(
    provider: Provider, model: ModelInfo, call: Call, counts: dict[str, int]
) -> Decimal | None:
    from genai_prices.types import Usage  # noqa: PLC0415 - takes seconds to import

    try:
        found = model.calc_price(Usage(**counts), provider, genai_request_timestamp=call.at)
    except (LookupError, ValueError):
        return None
    return found.total_price


def find_model(model: str, provider_id: str | None) -> tuple[Provider, ModelInfo] | None:
    """Return the entry of a model in the price lists, or None."""
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


def named_providers(response_metadata: bytes | None) -> list[str]:
    """Return how a call names its provider: its name in the price lists, if that differs, first."""
    if response_metadata is None or b'"provider"' not in response_metadata:
        return []
    try:
        told = _metadata(response_metadata)
    except msgspec.DecodeError:
        return []
    names = (name.strip()[:_MAX_NAME] for name in (told.price_id, told.provider) if name)
    return [name for name in names if name]


def _provider(response_metadata: bytes | None) -> str | None:
    return next(iter(named_providers(response_metadata)), None)
