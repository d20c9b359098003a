"""The pages of users: all of them, one of them, and erasing what is stored of one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast, get_args

from watchllm_server.errors import Problem, invalid_query
from watchllm_server.pages.charts import Chart, Line, number
from watchllm_server.pages.narrowing import values_of
from watchllm_server.pages.site import NotFoundError, Page, Visit
from watchllm_server.query.costs import costs
from watchllm_server.query.profiles import ProfileOrder, profiles
from watchllm_server.query.runs import page_of_runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from watchllm_server.metadata import Erasure
    from watchllm_server.pages.narrowing import Values
    from watchllm_server.query.costs import Cost
    from watchllm_server.query.filter import Filter
    from watchllm_server.query.profiles import Profile
    from watchllm_server.query.runs import Run

_USERS: Final = 100
_RUNS: Final = 20
_MODELS: Final = 10
ORDERS: Final[Mapping[ProfileOrder, str]] = {
    "cost": "Cost",
    "calls": "Calls",
    "errors": "Errors",
    "last_seen": "Last seen",
}
"""What lists of users, templates and releases are ordered by, and the names of it."""


@dataclass(frozen=True, slots=True)
class UsersPage:
    """The users of which there is the most."""

    values: Values
    users: list[tuple[Profile, str]]
    """Each with the address of its page."""
    orders: list[tuple[str, str]]
    is_cut: bool
    """Whether there are more than are listed."""


@dataclass(frozen=True, slots=True)
class UserPage:
    """What there was of one user."""

    user_id: str
    profile: Profile | None
    """None when there was nothing in the stretch of time."""
    charts: list[Chart]
    models: list[Cost]
    runs: list[Run]
    """The newest ones."""
    list_url: str
    erased: Erasure | None = None
    """What was erased just now."""


def users(visit: Visit) -> Response:
    """List users."""
    where, state = visit.state.filter(visit.project.id), visit.state
    found = profiles(
        visit.services.store,
        where,
        "user",
        limit=_USERS + 1,
        order=order_of(visit),
        search=state["find"],
    )
    context = UsersPage(
        values=values_of(visit),
        users=[(each, visit.link("/users/one", user=each.name)) for each in found[:_USERS]],
        orders=[*ORDERS.items()],
        is_cut=len(found) > _USERS,
    )
    return visit.render("users.html", context)


def user(visit: Visit) -> Response:
    """Show one user."""
    return _user(visit, None)


def erase_user(visit: Visit) -> Response:
    """Erase all that the project holds of a user whose id was typed once more."""
    user_id = visit.state["user"]
    if not user_id or visit.form.get("again", "") != user_id:
        message = "Nothing was erased: type the id of the user exactly as it is shown."
        raise Problem(400, "invalid_request", message)
    erased = visit.services.eraser.erase(visit.project.id, "user", user_id)
    return _user(visit, erased)


def order_of(visit: Visit) -> ProfileOrder:
    """Return what a list is ordered by; raise the Problem that answers 400 to anything else."""
    wanted = visit.state["sort"] or "cost"
    if wanted not in get_args(ProfileOrder):
        known = ", ".join(get_args(ProfileOrder))
        raise invalid_query(f"`sort` must be one of {known}, but it is {wanted[:40]!r}.")
    return cast("ProfileOrder", wanted)


def _user(visit: Visit, erased: Erasure | None) -> Response:
    store, state = visit.services.store, visit.state
    user_id = state["user"]
    if not user_id:
        raise NotFoundError("The address names no user.")
    where = replace(state.filter(visit.project.id), user_id=user_id)
    found = profiles(store, where, "user", limit=1)
    context = UserPage(
        user_id=user_id,
        profile=next(iter(found), None),
        charts=_charts(visit, where) if found else [],
        models=costs(store, where, by="model", limit=_MODELS) if found else [],
        runs=page_of_runs(store, where, limit=_RUNS).runs if found else [],
        list_url=visit.link("/users", user=None),
        erased=erased,
    )
    return visit.render("user.html", context)


def _charts(visit: Visit, where: Filter) -> list[Chart]:
    start, end, width = visit.state.stretches
    of = {each.at: each for each in costs(visit.services.store, where, width=width)}
    times = [start + place * width for place in range((end - start) // width)]
    steps = [of.get(at) for at in times]
    usd = [number(each.usd) if each else 0 for each in steps]
    calls = [each.calls if each else 0 for each in steps]
    return [
        Chart("Cost", "usd", times, width, [Line("Cost", usd)], kind="bars"),
        Chart("Calls", "count", times, width, [Line("Calls", [*calls])], kind="bars"),
    ]


PAGES: Final = (
    Page("/users", users, name="Users", key="u", place=7, default_range="7d", more=("find",)),
    Page("/users/one", user, default_range="30d"),
    Page("/users/one", erase_user, method="POST", default_range="30d"),
)
