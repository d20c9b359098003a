"""The headers of the gateway: what a request asks of it, what it passes on, what it adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchllm_server.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

Pairs = list[tuple[str, str]]
RawPairs = list[tuple[bytes, bytes]]

_OURS: Final = b"x-watchllm-"
_MODES: Final = ("off", "exact", "semantic")
_LONGEST_TTL: Final = 366 * 24 * 3_600
_MAX_TAGS: Final = 50
_MAX_VALUE: Final = 1_000

_TEXTS: Final = {
    b"run-id": "run_id",
    b"user-id": "user_id",
    b"release": "release",
    b"env": "env",
}
_CHOICES: Final = {b"provider": "provider", b"cache": "cache"}

# RFC 9110, 7.6.1: what is between two neighbours alone. The client library makes its own.
_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_SENT_ON: Final = _HOP | {
    b"host",
    b"content-length",
    b"expect",
    # The keys of our own clients, which no provider may see.
    b"authorization",
    b"x-api-key",
    b"api-key",
    b"cookie",
    # Who a proxy before us says that the client is.
    b"forwarded",
    b"via",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-real-ip",
    # Answers are read as they pass: they come as they are.
    b"accept-encoding",
    # It speaks of our cache.
    b"cache-control",
}
_NOT_SENT_BACK: Final = _HOP | {b"content-length", b"date", b"server", b"set-cookie", b"alt-svc"}


@dataclass(slots=True)
class Wishes:
    """What the headers of a request ask of the gateway."""

    secret: str = ""
    run_id: str = ""
    user_id: str = ""
    tags: tuple[str, ...] = ()
    release: str = ""
    env: str = ""
    provider: str = ""
    provider_key: str = ""
    cache: str = ""
    """off, exact or semantic; empty where the project's mode decides."""
    ttl: float | None = None
    namespace: str = ""
    no_cache: bool = False
    no_store: bool = False
    anthropic: bool = False
    """Whether a client of Anthropic's API sent it."""

    @property
    def authorization(self) -> str | None:
        """Return the key as the keyring reads it."""
        return f"Bearer {self.secret}" if self.secret else None


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[Wishes, Pairs]:
    """Return what a request asks of the gateway, and the headers that its provider shall see.

    A key is taken from `Authorization: Bearer`, `x-api-key` or `api-key`, the first that is there.
    Names are lower case, as ASGI gives them. What cannot be read is named by `check`.
    """
    wishes = Wishes()
    passed: Pairs = []
    for name, value in headers:
        if name.startswith(_OURS):
            _read_own(wishes, name[len(_OURS) :], value.decode("latin-1").strip())
        elif name not in _NOT_SENT_ON:
            passed.append((name.decode("latin-1"), value.decode("latin-1")))
            if name == b"anthropic-version":
                wishes.anthropic = True
        elif name == b"authorization":
            scheme, _, secret = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() == "bearer":
                wishes.secret = secret.strip()
        elif name in (b"x-api-key", b"api-key"):
            wishes.secret = wishes.secret or value.decode("latin-1").strip()
        elif name == b"cache-control":
            directives = {part.strip() for part in value.decode("latin-1").lower().split(",")}
            wishes.no_cache |= "no-cache" in directives or "max-age=0" in directives
            wishes.no_store |= "no-store" in directives
    return wishes, passed


def _read_own(wishes: Wishes, name: bytes, value: str) -> None:
    """Take one header; those of a newer client say nothing that this version could heed."""
    if name in _TEXTS:
        setattr(wishes, _TEXTS[name], value[:_MAX_VALUE])
    elif name in _CHOICES:
        setattr(wishes, _CHOICES[name], value.lower())
    elif name == b"tags":
        tags = [tag.strip() for tag in value[:_MAX_VALUE].split(",")]
        wishes.tags = tuple(tag for tag in tags if tag)[:_MAX_TAGS]
    elif name == b"provider-key":
        wishes.provider_key = value
    elif name == b"cache-namespace":
        # To its end: what is cut off must not let two of them be one.
        wishes.namespace = value
    elif name == b"cache-ttl":
        wishes.ttl = _seconds(value)


def _seconds(text: str) -> float:
    if not (text.isascii() and text.isdecimal()):
        return -1
    return min(int(text[:12]), _LONGEST_TTL)


def check(wishes: Wishes) -> None:
    """Raise the Problem that answers 400 to a header that asks for what there is not."""
    if wishes.cache and wishes.cache not in _MODES:
        message = f"X-WatchLLM-Cache must be one of {', '.join(_MODES)}, not {wishes.cache[:40]!r}."
        raise Problem(400, "invalid_header", message)
    if wishes.ttl is not None and wishes.ttl < 0:
        raise Problem(400, "invalid_header", "X-WatchLLM-Cache-TTL must be a number of seconds.")


def returned(headers: Iterable[tuple[bytes, bytes]]) -> RawPairs:
    """Return the headers of a provider's answer that its client shall see, in lower case."""
    lower = ((name.lower(), value) for name, value in headers)
    return [
        (name, value)
        for name, value in lower
        if name not in _NOT_SENT_BACK and not name.startswith(_OURS)
    ]


def encoded(value: str) -> bytes:
    """Return a text as a header may have it; what no header can have becomes a question mark."""
    return "".join(c if c.isprintable() else "?" for c in value).encode("latin-1", "replace")
