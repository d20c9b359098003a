"""The price lists for people: which models they have, at which prices, and from when."""

from __future__ import annotations

from datetime import date
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from watchllm_server.pricing import find_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from decimal import Decimal

    from genai_prices.types import ModelInfo, Provider


class ListedPrice(NamedTuple):
    """A model's price in US dollars a million tokens; None is what the list does not say."""

    provider: str
    model: str
    input: Decimal | None
    output: Decimal | None
    cached_input: Decimal | None
    by_size: bool
    """Whether large requests have another price."""
    since: date | None
    """The day from which it counts; None where the list knows of no price before it."""
    pages: tuple[str, ...]
    """Where the provider says so."""


def source() -> str:
    """Return the name and version of the lists."""
    return f"genai-prices {version('genai-prices')}"


def listed(at: datetime, words: str = "", provider: str = "") -> Iterator[ListedPrice]:
    """Return the models whose names have all the words, in the order of the lists."""
    from genai_prices.data import providers  # noqa: PLC0415 - takes seconds to import

    wanted = words.lower().split()
    for each in providers:
        if provider and each.id != provider.lower():
            continue
        for model in each.models:
            name = f"{each.id}/{model.id} {model.name or ''}".lower()
            if all(word in name for word in wanted):
                yield _listed(each, model, at)


def where(at: datetime, model: str, provider: str = "") -> ListedPrice | None:
    """Return the price that a call of a model at a moment has by the lists, or None."""
    found = find_model(model, provider or None)
    return None if found is None else _listed(*found, at)


def _listed(provider: Provider, model: ModelInfo, at: datetime) -> ListedPrice:
    price: Any = model.get_prices(at)
    return ListedPrice(
        provider=provider.id,
        model=model.id,
        input=_base(price, "input_mtok"),
        output=_base(price, "output_mtok"),
        cached_input=_base(price, "cache_read_mtok"),
        by_size=any(hasattr(value, "tiers") for value in vars(price).values()),
        since=_since(model, at),
        pages=tuple(provider.pricing_urls or ()),
    )


def _base(price: Any, name: str) -> Decimal | None:
    value = getattr(price, name, None)
    found: Decimal | None = getattr(value, "base", value)
    return found


def _since(model: ModelInfo, at: datetime) -> date | None:
    if not isinstance(model.prices, list):
        return None
    starts = [getattr(each.constraint, "start_date", None) for each in model.prices]
    begun = [start for start in starts if isinstance(start, date) and start <= at.date()]
    return max(begun, default=None)
