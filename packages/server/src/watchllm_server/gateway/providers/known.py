"""The providers that the gateway knows of itself, as data, and those it was told of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from watchllm_server.errors import StartError
from watchllm_server.gateway.providers.base import Provider, Providers
from watchllm_server.provider_settings import variable_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchllm_server.provider_settings import ProviderSettings

# Patterns are of names that no other provider gives its models; all others need the prefix or the
# header. Those on this machine have an address, and are asked only when somebody has named them.
KNOWN: Final[tuple[Provider, ...]] = (
    Provider(
        "openai",
        "https://api.openai.com/v1",
        models=(
            "gpt-*", "chatgpt-*", "o1", "o1-*", "o3", "o3-*", "o4-*", "text-embedding-*",
            "davinci-*", "babbage-*", "codex-*", "omni-moderation-*",
        ),
    ),
    Provider(
        "anthropic",
        "https://api.anthropic.com/v1",
        auth="x-api-key",
        models=("claude-*",),
    ),
    Provider("groq", "https://api.groq.com/openai/v1"),
    Provider("openrouter", "https://openrouter.ai/api/v1"),
    Provider(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        models=("gemini-*", "gemini-embedding-*"),
        price_id="google",
    ),
    Provider(
        "mistral",
        "https://api.mistral.ai/v1",
        models=(
            "mistral-*", "ministral-*", "magistral-*", "codestral-*", "devstral-*", "pixtral-*",
            "voxtral-*", "open-mistral-*", "open-mixtral-*",
        ),
        stream_usage=False,  # its streams have their usage unasked
    ),
    Provider(
        "deepseek",
        "https://api.deepseek.com/v1",
        models=("deepseek-chat", "deepseek-reasoner"),
    ),
    Provider("azure", "", auth="api-key"),
    Provider("ollama", "http://127.0.0.1:11434/v1"),
    Provider("vllm", "http://127.0.0.1:8000/v1"),
)  # fmt: skip
_BY_NAME: Final = {provider.name: provider for provider in KNOWN}
# What each needs before it can be asked; a key, for all others.
_NAMED_BY: Final = frozenset({"base_url", "api_key"})


def providers_of(settings: ProviderSettings, default: str = "") -> Providers:
    """Return the providers of a server: those known, as changed by its settings, and its own.

    Raises StartError for a provider of its own without an address, and for a fallback or a default
    that names none.
    """
    by_name = {name: provider for name, provider in _BY_NAME.items() if provider.base_url}
    for name, given in settings.given.items():
        by_name[name] = _told(name, given)
    if default and default not in by_name:
        raise StartError(f"The default provider {default!r} is none of {_listed(by_name)}.")
    for model, chain in settings.fallbacks.items():
        for each in chain:
            prefix, slash, rest = each.partition("/")
            if not slash or not rest or prefix not in by_name:
                raise StartError(
                    f"The fallback {each!r} of {model!r} must be PROVIDER/MODEL, with a provider "
                    f"of {_listed(by_name)}."
                )
    return Providers(by_name, settings.fallbacks, default)


def _told(name: str, given: Mapping[str, Any]) -> Provider:
    provider = _BY_NAME.get(name) or Provider(name, "")
    values = {("key" if field == "api_key" else field): value for field, value in given.items()}
    told = replace(provider, **values, configured=not _NAMED_BY.isdisjoint(given))
    if not told.base_url:
        variable = variable_of(name, "base_url")
        raise StartError(f"The provider {name!r} has no address: set base_url, or {variable}.")
    return told


def _listed(by_name: Mapping[str, Provider]) -> str:
    return ", ".join(sorted(by_name))
