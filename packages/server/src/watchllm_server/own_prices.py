"""Prices that a server or a project has of its own, which win over the price lists."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from watchllm_server.errors import MetadataError
from watchllm_server.metadata.models import ModelPrice
from watchllm_server.pricing import SCALE, named_providers
from watchllm_server.usage import details

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.metadata import Metadata
    from watchllm_server.pricing import Prices
    from watchllm_server.rows import Call

_MILLION: Final = 1_000_000
_MAX_PRICE: Final = Decimal(1_000_000)
_MAX_PROVIDER = 40
_MAX_MODEL = 200


class OwnPrice(NamedTuple):
    """A price in US dollars a million tokens; `cached_input` is of input from a cache."""

    input: Decimal
    output: Decimal
    cached_input: Decimal

    def of(self, call: Call) -> Decimal | None:
        """Return what a call costs, or None while its tokens are not known."""
        if call.tokens_input is None or call.tokens_output is None:
            return None
        counts = details(call.response_metadata, call.tokens_input, call.tokens_output) or {}
        given = counts.get("input_tokens", call.tokens_input)
        cached = counts.get("cache_read_tokens", 0)
        total = (
            (given - cached) * self.input
            + cached * self.cached_input
            + call.tokens_output * self.output
        )
        return (total / _MILLION).quantize(SCALE)


class OwnPrices:
    """Price calls by the prices that people have set, else by the lists. Safe from any thread.

    A price of the project wins over one of the server, and one for a provider over one for any.
    A cost that the sender gave wins over all. `cost` answers from memory, as of the last `refresh`.
    """

    def __init__(self, metadata: Metadata, lists: Prices) -> None:
        self._metadata = metadata
        self._lists = lists
        self._prices: Mapping[tuple[str, str, str], OwnPrice] = {}

    @property
    def is_warm(self) -> bool:
        """Return whether the price lists are loaded, so that a price takes microseconds."""
        return self._lists.is_warm

    def warm(self) -> None:
        """Load the price lists, so that the first call does not wait for them."""
        self._lists.warm()

    def refresh(self) -> None:
        """Read all prices anew; raise MetadataUnavailableError while the database is away."""
        self._prices = own_prices_of(self._metadata)

    def cost(self, call: Call, project_id: str) -> Decimal | None:
        """Return the cost in US dollars, or None when it is not known; never 0 for unknown."""
        if self._prices and call.cost_estimate_usd is None:
            place = find(self._prices, project_id, call.model, call.response_metadata)
            if place is not None:
                return self._prices[place].of(call)
        return self._lists.cost(call)


def find(
    prices: Mapping[tuple[str, str, str], OwnPrice],
    project_id: str,
    model: str,
    response_metadata: bytes | None = None,
) -> tuple[str, str, str] | None:
    """Return which of the prices, by project, provider and model, is a call's; None for none."""
    name = model.lower()
    named = named_providers(response_metadata)
    prefix, slash, rest = name.partition("/")
    places = [(provider.lower(), name) for provider in named]
    if slash:
        places.append((prefix, rest))
    places.append(("", name))
    for owner in (project_id, ""):
        for provider, model_name in places:
            if (owner, provider, model_name) in prices:
                return owner, provider, model_name
    return None


def own_price(
    *,
    project_id: str,
    provider: str,
    model: str,
    input_price: str,
    output_price: str,
    cached_price: str | None = None,
) -> ModelPrice:
    """Return a price as it is stored; raise MetadataError for what can be none."""
    provider, model = provider.strip().lower(), model.strip().lower()
    if len(provider) > _MAX_PROVIDER or not (provider == "" or provider.isprintable()):
        raise MetadataError(f"A provider's name has {_MAX_PROVIDER} printable characters at most.")
    if not 0 < len(model) <= _MAX_MODEL or not model.isprintable():
        raise MetadataError(f"A model's name has 1 to {_MAX_MODEL} printable characters.")
    return ModelPrice(
        project_id=project_id,
        provider=provider,
        model=model,
        input=_dollars(input_price),
        output=_dollars(output_price),
        cached_input=None if cached_price is None else _dollars(cached_price),
    )


def own_prices_of(metadata: Metadata) -> dict[tuple[str, str, str], OwnPrice]:
    """Return all prices that are set, by project, provider and model."""
    return {
        (row.project_id, row.provider, row.model): _price(row)
        for row in metadata.model_prices.all()
    }


def provider_metadata(provider: str) -> bytes | None:
    """Return a call's `response_metadata` that names a provider; None for no name."""
    return msgspec.json.encode({"provider": provider}) if provider else None


def _price(row: ModelPrice) -> OwnPrice:
    cached = row.input if row.cached_input is None else row.cached_input
    return OwnPrice(Decimal(row.input), Decimal(row.output), Decimal(cached))


def _dollars(text: str) -> str:
    try:
        amount = Decimal(text.strip())
        fits = amount.is_finite() and 0 <= amount <= _MAX_PRICE and amount == round(amount, 12)
    except InvalidOperation:
        fits = False
    if not fits:
        raise MetadataError(
            f"A price is in US dollars a million tokens, from 0 to {_MAX_PRICE:,}: not {text!r}."
        )
    return f"{amount.normalize():f}"
