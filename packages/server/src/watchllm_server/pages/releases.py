"""The page of releases: all of them, and one against another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from watchllm_server.pages.narrowing import values_of
from watchllm_server.pages.site import Page, Visit
from watchllm_server.query.errors import error_groups
from watchllm_server.query.profiles import profiles

if TYPE_CHECKING:
    from starlette.responses import Response

    from watchllm_server.pages.narrowing import Values
    from watchllm_server.query.errors import ErrorGroup
    from watchllm_server.query.profiles import Profile

_RELEASES: Final = 100
_ERRORS: Final = 200


@dataclass(frozen=True, slots=True)
class Comparison:
    """One release against an earlier one."""

    now: Profile
    before: Profile
    new: list[tuple[ErrorGroup, str]]
    """Kinds of errors that the earlier one has not, each with the address of its page."""
    gone: list[tuple[ErrorGroup, str]]
    """Kinds that it alone has."""


@dataclass(frozen=True, slots=True)
class ReleasesPage:
    """Releases, the newest first."""

    values: Values
    releases: list[Profile]
    names: list[tuple[str, str]]
    """What can be chosen, as a form has it."""
    comparison: Comparison | None
    """None with less than two releases."""


def releases(visit: Visit) -> Response:
    """List releases, and compare two of them: the newest two unless the address names others."""
    store, state = visit.services.store, visit.state
    where = state.filter(visit.project.id)
    found = profiles(store, where, "release", limit=_RELEASES, order="last_seen")
    found.sort(key=lambda each: (each.first_seen, each.name), reverse=True)
    known = {each.name: each for each in found}
    now = known.get(state["now"]) or next(iter(found), None)
    others = [each for each in found if now is not None and each.name != now.name]
    older = [each for each in others if now is not None and each.first_seen <= now.first_seen]
    before = known.get(state["before"]) or next(iter(older or others), None)
    comparison = None
    if now is not None and before is not None and now.name != before.name:
        comparison = _compare(visit, now, before)
    names = [(each.name, each.name) for each in found]
    return visit.render("releases.html", ReleasesPage(values_of(visit), found, names, comparison))


def _compare(visit: Visit, now: Profile, before: Profile) -> Comparison:
    where = visit.state.filter(visit.project.id)

    def kinds_of(release: Profile) -> dict[str, ErrorGroup]:
        narrowed = replace(where, release=release.name)
        found = error_groups(visit.services.store, narrowed, limit=_ERRORS)
        return {each.fingerprint: each for each in found}

    with ThreadPoolExecutor(2) as pool:
        kinds = list(pool.map(kinds_of, (now, before)))

    def only(one: int, other: int, release: str) -> list[tuple[ErrorGroup, str]]:
        return [
            (each, visit.link("/errors/one", fingerprint=fingerprint, release=release))
            for fingerprint, each in kinds[one].items()
            if fingerprint not in kinds[other]
        ]

    return Comparison(now, before, only(0, 1, now.name), only(1, 0, before.name))


PAGES: Final = (
    Page(
        "/releases",
        releases,
        name="Releases",
        key="v",
        place=9,
        default_range="30d",
        more=("now", "before"),
    ),
)
