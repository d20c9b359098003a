"""Which provider a request goes to, under which name of its model, and what comes after it."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from watchllm_server.errors import Problem
from watchllm_server.gateway.providers.base import Target

if TYPE_CHECKING:
    from watchllm_server.gateway.providers.base import Credentials, Provider, Providers

_KNOWN_MODELS: Final = 4_096
_SHOWN: Final = 100
_OPENAI: Final = "openai"
_ANTHROPIC: Final = "anthropic"


class Registry:
    """Route by header, by the prefix of a model's name, by its pattern, else to the default.

    A provider can be used when there is a key for it (the request's, the project's or the server's)
    or when somebody configured it for this server: it then needs none. Never waits.
    """

    def __init__(self, providers: Providers, credentials: Credentials) -> None:
        self._all = providers.by_name
        self._fallbacks = providers.fallbacks
        self._default = providers.default
        self._credentials = credentials
        self._patterns = [
            (provider, re.compile("|".join(translate(each) for each in provider.models)))
            for provider in providers.by_name.values()
            if provider.models
        ]
        self._matching = lru_cache(_KNOWN_MODELS)(self._match)

    def targets(
        self, project_id: str, model: str, *, provider: str = "", key: str = "", shape: str = ""
    ) -> list[Target]:
        """Return where a request goes, and then where it goes when that fails.

        `provider` and `key` are what its headers name; the key goes to the first target alone.
        Raises the Problem that answers 400, 401 or 404.
        """
        first = self._first(project_id, model, provider, key, shape)
        found = [first]
        for name in self._fallbacks_of(model, first):
            try:
                target = self._first(project_id, name, "", "", shape)
            except Problem:
                # A chain names providers that not every project has a key for.
                continue
            if all(
                (target.provider, target.model) != (each.provider, each.model) for each in found
            ):
                found.append(target)
        return found

    def default(self, project_id: str, *, provider: str = "", key: str = "") -> Target:
        """Return where a request goes that names no model; raises as `targets` does."""
        if provider:
            return self._named(project_id, "", provider, key)
        found = self._unnamed(project_id, key)
        if found is None:
            raise _no_provider("")
        return Target(found, "", self._key(project_id, found, key))

    def has_default(self) -> bool:
        """Return whether a request that names neither model nor provider goes anywhere."""
        return bool(self._default) or any(each.configured for each in self._all.values())

    def usable(self, project_id: str) -> list[Target]:
        """Return every provider that a project can use now, by name."""
        return [
            Target(each, "", self._key(project_id, each, ""))
            for each in sorted(self._all.values(), key=lambda each: each.name)
            if self._is_usable(project_id, each, "")
        ]

    def _first(self, project_id: str, model: str, named: str, key: str, shape: str) -> Target:
        if named:
            return self._named(project_id, model, named, key)
        prefix, slash, rest = model.partition("/")
        if slash and (found := self._all.get(prefix)) and self._is_usable(project_id, found, key):
            return Target(found, rest, self._key(project_id, found, key))
        matching = self._matching(model)
        if shape.startswith(_ANTHROPIC) and (speaks := self._all.get(_ANTHROPIC)):
            # Its own API; another provider that speaks it is named by header or prefix.
            matching = (speaks, *matching)
        for each in matching:
            if self._is_usable(project_id, each, key):
                return Target(each, model, self._key(project_id, each, key))
        default = self._unnamed(project_id, "" if matching else key)
        if default is not None:
            return Target(default, model, self._key(project_id, default, key))
        if matching:
            raise _no_key(matching[0].name)
        raise _no_provider(model)

    def _named(self, project_id: str, model: str, name: str, key: str) -> Target:
        found = self._all.get(name)
        if found is None:
            names = ", ".join(sorted(self._all))
            message = f"There is no provider {name[:_SHOWN]!r} here. There are: {names}."
            raise Problem(400, "unknown_provider", message)
        if not self._is_usable(project_id, found, key):
            raise _no_key(name)
        return Target(found, model.removeprefix(f"{name}/"), self._key(project_id, found, key))

    def _unnamed(self, project_id: str, key: str) -> Provider | None:
        if self._default:
            return self._all.get(self._default)
        configured = [each for each in self._all.values() if each.configured]
        if len(configured) == 1:
            return configured[0]
        openai = self._all.get(_OPENAI)
        return openai if openai and self._is_usable(project_id, openai, key) else None

    def _fallbacks_of(self, model: str, first: Target) -> tuple[str, ...]:
        name = first.provider.name
        for key in (model, f"{name}/{first.model}", f"{name}/"):
            if key in self._fallbacks:
                return self._fallbacks[key]
        return ()

    def _match(self, model: str) -> tuple[Provider, ...]:
        return tuple(provider for provider, pattern in self._patterns if pattern.match(model))

    def _is_usable(self, project_id: str, provider: Provider, key: str) -> bool:
        return provider.configured or bool(self._key(project_id, provider, key))

    def _key(self, project_id: str, provider: Provider, key: str) -> str:
        return key or self._credentials.key(project_id, provider.name) or provider.key


def _no_key(name: str) -> Problem:
    message = (
        f"There is no key for the provider {name}: set WATCHLLM_PROVIDER_{_env(name)}_API_KEY on "
        f"the server, store one for the project with `watchllm providers set`, or send one in the "
        "header X-WatchLLM-Provider-Key."
    )
    return Problem(401, "provider_key_missing", message)


def _no_provider(model: str) -> Problem:
    what = f"the model {model[:_SHOWN]!r}" if model else "a request that names no model"
    message = (
        f"No provider is configured for {what}: write it as PROVIDER/MODEL, name the provider in "
        "the header X-WatchLLM-Provider, or configure one on the server."
    )
    return Problem(404, "model_not_found", message)


def _env(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())
