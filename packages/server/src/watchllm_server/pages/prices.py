"""The page of prices: those of the lists, and a project's own, which win over them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from watchllm_server.errors import MetadataError, Problem
from watchllm_server.own_prices import find, own_price, own_prices_of
from watchllm_server.pages.site import Page, Visit
from watchllm_server.price_lists import listed, source, where
from watchllm_server.query.costs import costs
from watchllm_server.query.filter import Filter
from watchllm_server.query.stretches import recently

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from starlette.responses import Response

    from watchllm_server.metadata.models import ModelPrice
    from watchllm_server.own_prices import OwnPrice
    from watchllm_server.price_lists import ListedPrice

_MODELS: Final = 50
_LISTED: Final = 100
PATH: Final = "/costs/prices"


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A model that was called in the last 30 days, and the price that a call now has."""

    name: str
    calls: int
    input: Decimal | None
    """US dollars a million tokens, like the output; None where no price is known."""
    output: Decimal | None
    source: str
    """Where the price is from, in words; empty where none is known."""


@dataclass(frozen=True, slots=True)
class PricesPage:
    """The prices that the project's calls have, its own prices, and what the lists have."""

    used: list[PricedModel]
    own: list[ModelPrice]
    found: list[ListedPrice]
    """What a search of the lists finds."""
    is_cut: bool
    """Whether it finds more than is shown."""
    lists: str
    """Name and version of the lists."""


def prices(visit: Visit) -> Response:
    """Show prices."""
    services, state, project_id = visit.services, visit.state, visit.project.id
    # From a whole hour on, so that sums by the hour can answer.
    recent = Filter(project_id, date_from=recently(state.now))
    own = own_prices_of(services.metadata)
    words = state["find"]
    found = list(islice(listed(state.now, words), _LISTED + 1)) if words else []
    context = PricesPage(
        used=[
            _priced(visit, each.one, each.calls, own)
            for each in costs(services.store, recent, by="model", limit=_MODELS)
            if each.one
        ],
        own=[
            each for each in services.metadata.model_prices.all() if each.project_id == project_id
        ],
        found=found[:_LISTED],
        is_cut=len(found) > _LISTED,
        lists=source(),
    )
    return visit.render("prices.html", context)


def act(visit: Visit) -> Response:
    """Carry out the form that was sent, and lead back to the prices."""
    visit.chosen(_ACTIONS)(visit)
    visit.services.pricing.refresh()
    return visit.redirect(PATH)


def _set(visit: Visit) -> None:
    """Set a price of the project's own."""
    form = visit.form
    try:
        price = own_price(
            project_id=visit.project.id,
            provider=form.get("provider", ""),
            model=form.get("model", ""),
            input_price=form.get("input", ""),
            output_price=form.get("output", ""),
            cached_price=form.get("cached_input", "") or None,
        )
        visit.services.metadata.model_prices.put(price)
    except MetadataError as error:
        raise Problem(400, "invalid_request", str(error)) from None


def _remove(visit: Visit) -> None:
    """Remove a price of the project's own; a click too many does no harm."""
    form = visit.form
    visit.services.metadata.model_prices.remove(
        visit.project.id, form.get("provider", ""), form.get("model", "")
    )


def _priced(
    visit: Visit, model: str, calls: int, own: Mapping[tuple[str, str, str], OwnPrice]
) -> PricedModel:
    place = find(own, visit.project.id, model)
    if place is not None:
        price = own[place]
        whose = "this project's own" if place[0] else "this server's own"
        return PricedModel(model, calls, price.input, price.output, whose)
    entry = where(visit.state.now, model)
    if entry is None:
        return PricedModel(model, calls, None, None, "")
    return PricedModel(model, calls, entry.input, entry.output, f"{entry.provider}/{entry.model}")


_ACTIONS: Final[Mapping[str, Callable[[Visit], None]]] = {"set": _set, "remove": _remove}
"""By what a form says it does: what carries it out."""

PAGES: Final = (Page(PATH, prices, more=("find",)), Page(PATH, act, method="POST"))
