"""What addresses say of lists of events and of runs beyond what they say of every page."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse

from watchllm_server.errors import invalid_query
from watchllm_server.query.choices import choices

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from starlette.responses import Response

    from watchllm_server.pages.filters import State
    from watchllm_server.pages.site import Visit
    from watchllm_server.query.choices import ChoiceOf

    Values = Mapping[ChoiceOf, list[tuple[str, str]]]

NAMES: Final = ("cost", "latency", "columns")
"""The names that addresses have for it."""

_MOST: Final = 10**12


def values_of(visit: Visit) -> Values:
    """Return the environments, models and releases that a form can choose, the most frequent first.

    Each is (value, label), as templates take it. There are those of the page's time, and none of
    what has too many.
    """
    found = choices(visit.services.store, visit.state.filter(visit.project.id))
    return {name: [(value, value) for value in values] for name, values in found.items()}


def least_cost(state: State) -> Decimal:
    """Return the US dollars that an address asks for at least; 0 without any."""
    return _number(state, "cost", "an amount in US dollars such as 0.05")


def least_ms(state: State) -> float:
    """Return the milliseconds that an address asks for at least; it gives seconds."""
    return float(_number(state, "latency", "a number of seconds such as 2.5")) * 1_000


def _number(state: State, name: str, allowed: str) -> Decimal:
    text = state[name] or "0"
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not (value.is_finite() and 0 <= value <= _MOST):
        raise invalid_query(f"`{name}` must be {allowed}, but it is {text[:40]!r}.")
    return value


def one_address(visit: Visit) -> Response | None:
    """Lead to the one address of a list when a form has named each of its columns apart."""
    several = visit.request.query_params.getlist("columns")
    if len(several) <= 1:
        return None
    address = visit.state.url(columns=",".join(several), cursor=visit.state["cursor"] or None)
    return RedirectResponse(address, 303, headers=visit.site.headers(visit.request))


def columns_of(state: State, known: Collection[str], default: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the columns to show, in the order to have.

    Raises the Problem that answers 400 to a name that is none.
    """
    given = tuple(dict.fromkeys(state["columns"].split(","))) if state["columns"] else default
    for name in given:
        if name not in known:
            message = f"There is no column {name[:40]!r}. There are: {', '.join(known)}."
            raise invalid_query(message)
    return given


def check_sort(state: State, known: Collection[str]) -> None:
    """Raise the Problem that answers 400 to an order of a list that is none."""
    if state["sort"] not in known:
        names = ", ".join(name for name in known if name)
        raise invalid_query(f"`sort` must be one of {names}, but it is {state['sort'][:40]!r}.")
