"""The pages of prompt templates: all of them, and the versions of one side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchllm_server.pages.charts import Chart, Line, number
from watchllm_server.pages.narrowing import values_of
from watchllm_server.pages.site import NotFoundError, Page, Visit
from watchllm_server.pages.users import ORDERS, order_of
from watchllm_server.query.costs import costs
from watchllm_server.query.profiles import profiles, template_families, template_family

if TYPE_CHECKING:
    from starlette.responses import Response

    from watchllm_server.pages.charts import Tone
    from watchllm_server.pages.narrowing import Values
    from watchllm_server.query.profiles import Profile

_TEMPLATES: Final = 500
_TONES: Final[tuple[Tone, ...]] = ("1", "2", "3", "4", "5", "6")


@dataclass(frozen=True, slots=True)
class PromptsPage:
    """Prompt templates with their versions."""

    values: Values
    families: list[tuple[str, list[Profile], str]]
    """Name, versions from the oldest to the newest, and the address of its page."""
    orders: list[tuple[str, str]]
    is_cut: bool
    """Whether there are more than are listed."""


@dataclass(frozen=True, slots=True)
class PromptPage:
    """The versions of one template side by side."""

    name: str
    versions: list[tuple[str, Profile]]
    """The version, or the whole id where it has none, from the oldest to the newest."""
    chart: Chart
    """How often each of the newest versions was called."""
    list_url: str


def prompts(visit: Visit) -> Response:
    """List prompt templates."""
    found = profiles(
        visit.services.store,
        visit.state.filter(visit.project.id),
        "template",
        limit=_TEMPLATES + 1,
        order=order_of(visit),
        search=visit.state["find"],
    )
    context = PromptsPage(
        values=values_of(visit),
        families=[
            (name, versions, visit.link("/prompts/one", name=name))
            for name, versions in template_families(found[:_TEMPLATES]).items()
        ],
        orders=[*ORDERS.items()],
        is_cut=len(found) > _TEMPLATES,
    )
    return visit.render("prompts.html", context)


def prompt(visit: Visit) -> Response:
    """Show the versions of one template."""
    store, state, name = visit.services.store, visit.state, visit.state["name"]
    where = state.filter(visit.project.id)
    found = profiles(store, where, "template", limit=_TEMPLATES, order="last_seen", search=name)
    versions = template_families(found).get(name, []) if name else []
    if not versions:
        message = "No call of this time was made of this template. Choose more time."
        raise NotFoundError(message)
    context = PromptPage(
        name=name,
        versions=[(template_family(each.name)[1] or each.name, each) for each in versions],
        chart=_chart(visit, versions),
        list_url=visit.link("/prompts", name=None),
    )
    return visit.render("prompt.html", context)


def _chart(visit: Visit, versions: list[Profile]) -> Chart:
    start, end, width = visit.state.stretches
    newest = [each.name for each in versions[-len(_TONES) :]]
    where = visit.state.filter(visit.project.id)
    found = costs(visit.services.store, where, by="template", among=newest, width=width)
    calls = {(each.one, each.at): each.calls for each in found}
    times = [start + place * width for place in range((end - start) // width)]
    lines = [
        Line(
            template_family(name)[1] or name,
            [number(calls.get((name, at), 0)) for at in times],
            tone,
        )
        for name, tone in zip(newest, _TONES, strict=False)
    ]
    return Chart("Calls by version", "count", times, width, lines, kind="stacked")


PAGES: Final = (
    Page(
        "/prompts", prompts, name="Prompts", key="p", place=8, default_range="30d", more=("find",)
    ),
    Page("/prompts/one", prompt, default_range="30d", more=("name",)),
)
