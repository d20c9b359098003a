"""How long a project's answers are kept, as it is set: for the project, and apart for a route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchllm_server.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def check_seconds(seconds: int | None) -> None:
    """Raise MetadataError for a time that no answer may be kept."""
    if seconds is not None and not 0 <= seconds <= LONGEST:
        raise MetadataError(f"Answers are kept for 0 to {LONGEST} seconds, not {seconds}.")


def checked_routes(routes: Mapping[str, int] | None) -> dict[str, int] | None:
    """Return seconds by route as they are stored; raise MetadataError for an unknown route."""
    for route, seconds in (routes or {}).items():
        if route not in ROUTES:
            raise MetadataError(f"A route is one of {', '.join(ROUTES)}, not {route[:100]!r}.")
        check_seconds(seconds)
    return dict(routes) if routes else None
