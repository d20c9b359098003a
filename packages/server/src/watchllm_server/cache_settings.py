"""What a project may say of its answers, for itself and apart for a route of the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from watchllm_server.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROUTES: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/responses",
)
"""The addresses of the gateway whose answers are kept."""

LONGEST: Final = 31_622_400
"""Seconds that an answer may be kept at most: a year."""

MODES: Final = ("off", "shadow", "serve")
"""What may be done with a question of like meaning: nothing, look up and measure, answer it."""
ERROR_RATE: Final = 0.01
"""The share of answers that may be wrong where nothing else is said."""
LEAST_RATE, HIGHEST_RATE = 0.0001, 0.5


class Matching(NamedTuple):
    """How questions are matched by their meaning, and which share of hits may be wrong."""

    mode: str
    max_error_rate: float = ERROR_RATE

    @property
    def text(self) -> str:
        """Return what `read_matching` reads."""
        if self.max_error_rate == ERROR_RATE:
            return self.mode
        return f"{self.mode}:{self.max_error_rate:g}"


def read_matching(text: str) -> Matching:
    """Return what a text such as serve or serve:0.02 says; raise ValueError with what is allowed.

    The number is the share of hits that may be wrong, 0.01 where there is none.
    """
    mode, colon, share = text.strip().lower().partition(":")
    try:
        rate = float(share) if colon else ERROR_RATE
    except ValueError:
        rate = 0.0
    if mode not in MODES or not LEAST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(
            f"{', '.join(MODES)}, with the share of hits that may be wrong or without, as in "
            f"serve:0.02 (from {LEAST_RATE:g} to {HIGHEST_RATE:g})"
        )
    return Matching(mode, rate)


def checked_seconds(seconds: int) -> int:
    """Return a time; raise MetadataError for one that no answer may be kept."""
    if not 0 <= seconds <= LONGEST:
        raise MetadataError(f"Answers are kept for 0 to {LONGEST} seconds, not {seconds}.")
    return seconds


def checked_matching(text: str) -> str:
    """Return a text as it is stored; raise MetadataError for one that cannot be read."""
    try:
        return read_matching(text).text
    except ValueError as error:
        message = f"Matching by meaning is one of {error}, not {text[:40]!r}."
        raise MetadataError(message) from None


def checked_routes(
    routes: Mapping[str, Any] | None, checked: Callable[[Any], Any]
) -> dict[str, Any] | None:
    """Return settings by route as they are stored; raise MetadataError for an unknown route."""
    stored = {}
    for route, value in (routes or {}).items():
        if route not in ROUTES:
            raise MetadataError(f"A route is one of {', '.join(ROUTES)}, not {route[:100]!r}.")
        stored[route] = checked(value)
    return stored or None
