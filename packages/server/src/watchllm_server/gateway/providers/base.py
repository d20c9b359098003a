"""What the gateway must know of a provider of models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

Auth = Literal["bearer", "x-api-key", "api-key"]
"""How a key is sent: `Authorization: Bearer KEY`, or in a header of that name.

A provider with `x-api-key` still takes `Authorization: Bearer` on the routes of OpenAI's API.
"""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider: where it is, how it is asked, and what it may cost the gateway to ask it.

    `base_url` has the version in it (`https://api.openai.com/v1`) and no slash at its end. `key` is
    the server's own for it, which `repr` leaves out; a project's key or the request's wins over it.
    """

    name: str
    base_url: str
    key: str = field(default="", repr=False)
    auth: Auth = "bearer"
    models: tuple[str, ...] = ()
    """Patterns (`gpt-*`) of the models that go to this provider when a request names none."""
    configured: bool = False
    """Whether somebody named it for this server; it is then asked without a key, if it has none."""
    price_id: str = ""
    """Its name in the price lists, where that differs from `name`."""
    stream_usage: bool = True
    """Whether it takes `stream_options.include_usage`, which OpenAI's streams need for usage."""
    connect_seconds: float = 10
    timeout_seconds: float = 600
    """The longest wait for the first byte of an answer and for each one after it."""
    retries: int = 1
    """How often a request is repeated that failed before the first byte of its answer."""
    max_concurrency: int = 0
    """Requests that may be under way at once; 0 does not limit them."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where one attempt goes: a provider, the model's name there, and the key to ask with."""

    provider: Provider
    model: str
    key: str = field(default="", repr=False)


class Credentials(Protocol):
    """What knows the keys that projects have stored for providers."""

    def key(self, project_id: str, provider: str) -> str | None:
        """Return a project's own key for a provider, or None. From memory: never waits."""
        ...


class NoCredentials:
    """No project has stored a key."""

    def key(self, project_id: str, provider: str) -> str | None:  # noqa: ARG002 - the protocol's
        """Return None."""
        return None


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers of this server by name, those it knows of itself and those it was told of.

    `fallbacks` has for a model, or a provider's name with a slash at its end, what to ask next when
    it fails: models with the prefix of their provider, in order. `default` is the provider of
    models that no pattern matches.
    """

    by_name: Mapping[str, Provider]
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default: str = ""
