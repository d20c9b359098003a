"""The settings of a project: what is kept and redacted, keys, providers, limits; and health."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, get_args

from starlette.responses import RedirectResponse

from watchllm_server.errors import MetadataError, StartError, StoreError
from watchllm_server.limits import shown_amount
from watchllm_server.metadata.keys import DEFAULT_SCOPES, SCOPES
from watchllm_server.pages.budgets import CHOICES, fields_of, put_limit, remove_limit
from watchllm_server.pages.first_run import Start, start_of
from watchllm_server.pages.site import Page, Visit, project_url
from watchllm_server.provider_settings import check_name
from watchllm_server.redaction import KindName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.responses import Response

    from watchllm_server.credentials import StoredKey
    from watchllm_server.metadata import ApiKey, Limit
    from watchllm_server.store.base import EventStore

_MOST_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Health:
    """How the server is. Sizes are None while the store does not answer."""

    version: str
    has_gateway: bool
    events: int | None
    """Rows in the store, of all projects."""
    bytes: int | None
    """On disk."""
    losses: dict[str, int]
    """How many events the project's senders say that they lost, by reason."""


@dataclass(frozen=True, slots=True)
class SettingsPage:
    """A project's settings with the forms that change them."""

    retention_days: int
    """The server's own, which a project without one has; 0 is for ever."""
    cache_ttl: int
    """The server's own, in seconds."""
    kinds: tuple[str, ...]
    """What redaction can be told to replace."""
    scopes: tuple[str, ...]
    default_scopes: tuple[str, ...]
    keys: list[ApiKey]
    providers: list[StoredKey] | None
    """None on a server that cannot keep keys."""
    limits: list[tuple[Limit, str, list[tuple[str, str]]]]
    """Each with its amount as people write it, and what a form names it by."""
    choices: Mapping[str, tuple[str, ...]]
    """What a limit's scope, unit, per and action may be."""
    health: Health
    start: Start | None = None
    """The lines to paste, with the secret of a key that was just made."""
    problem: str = ""
    """Why the form that was sent could not be carried out."""


def settings(visit: Visit) -> Response:
    """Show the settings."""
    return visit.render("settings.html", _page(visit))


def act(visit: Visit) -> Response:
    """Carry out the form that was sent, and lead back to its section; else say what is wrong."""
    section, action = visit.chosen(_ACTIONS)
    try:
        answer = action(visit)
    except (MetadataError, StartError) as error:
        page = replace(_page(visit), problem=str(error))
        return visit.render("settings.html", page, 400)
    visit.services.keyring.forget()
    return answer or visit.redirect(f"/settings#{section}")


def _page(visit: Visit) -> SettingsPage:
    services, project = visit.services, visit.project
    keys = services.provider_keys
    found = services.metadata.limits.all(project.id)
    return SettingsPage(
        retention_days=services.settings.retention_days,
        cache_ttl=services.settings.cache_ttl,
        kinds=get_args(KindName),
        scopes=SCOPES,
        default_scopes=DEFAULT_SCOPES,
        keys=[key for key, _ in services.metadata.all_keys(project.id)],
        providers=None if keys is None else keys.stored(project.id),
        limits=[(each, shown_amount(each.amount, each.unit), fields_of(each)) for each in found],
        choices=CHOICES,
        health=_health(visit),
    )


def _health(visit: Visit) -> Health:
    size = _size(visit.services.store)
    return Health(
        version=version("watchllm-server"),
        has_gateway=visit.services.cache is not None,
        events=size and size[0],
        bytes=size and size[1],
        losses=visit.services.metadata.losses(visit.project.id),
    )


def _size(store: EventStore) -> tuple[int, int] | None:
    try:
        [[rows, size, _]] = store.query("store_size", {})
    except StoreError:
        return None
    return int(rows), int(size)


def _change_project(visit: Visit) -> None:
    form = visit.form
    redact: str | None = form.get("redact", "")
    if redact == "kinds":
        redact = ",".join(kind for kind in get_args(KindName) if form.get(f"kind-{kind}"))
        if not redact:
            raise MetadataError("Choose at least one kind that is replaced.")
    visit.services.metadata.change_project(
        visit.project.id,
        retention_days=_number(form.get("retention_days", ""), "Days"),
        redact=redact or None,
        cache_ttl=_number(form.get("cache_ttl", ""), "Seconds"),
    )


def _make_project(visit: Visit) -> Response:
    made = visit.services.metadata.create_project(visit.form.get("name", "").strip())
    return RedirectResponse(
        project_url(made.id, "/settings"), 303, headers=visit.site.headers(visit.request)
    )


def _make_key(visit: Visit) -> Response:
    """Make a key and show its secret, this once."""
    form = visit.form
    _, secret = visit.services.metadata.create_key(
        visit.project.id,
        name=form.get("name", "").strip(),
        scopes=[scope for scope in SCOPES if form.get(f"scope-{scope}")],
        rate_limit=_number(form.get("rate_limit", ""), "A rate limit"),
    )
    page = replace(_page(visit), start=start_of(visit, secret))
    return visit.render("settings.html", page)


def _revoke_key(visit: Visit) -> None:
    number = _number(visit.form.get("key", ""), "A key")
    if visit.services.metadata.revoke_key(number or 0, project_id=visit.project.id) is None:
        raise MetadataError("There is no key of this number in the project.")


def _put_provider(visit: Visit) -> None:
    provider = visit.form.get("provider", "").strip().lower()
    check_name(provider, "The form")
    if visit.services.provider_keys is None:
        raise MetadataError("This server cannot keep keys of providers.")
    visit.services.provider_keys.put(visit.project.id, provider, visit.form.get("api_key", ""))


def _remove_provider(visit: Visit) -> None:
    keys, provider = visit.services.provider_keys, visit.form.get("provider", "")
    if keys is None or not keys.remove(visit.project.id, provider):
        raise MetadataError("The project has no key for this provider.")


def _number(text: str, what: str) -> int | None:
    """Return a number of a form, None when it is empty; raise MetadataError for anything else."""
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise MetadataError(f"{what} must be a whole number of at least 0, not {text[:40]!r}.")
    return int(text)


_ACTIONS: Final[Mapping[str, tuple[str, Callable[[Visit], Response | None]]]] = {
    "change-project": ("project", _change_project),
    "make-project": ("project", _make_project),
    "make-key": ("keys", _make_key),
    "revoke-key": ("keys", _revoke_key),
    "put-provider": ("providers", _put_provider),
    "remove-provider": ("providers", _remove_provider),
    "put-limit": ("limits", put_limit),
    "remove-limit": ("limits", remove_limit),
}
"""By what a form says it does: the section that it is in, and what carries it out."""

PAGES: Final = (
    Page("/settings", settings, name="Settings", key="s", place=11),
    Page("/settings", act, method="POST"),
)
