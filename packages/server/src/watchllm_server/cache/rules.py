"""How answers are kept and looked up where a request does not say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from watchllm_server.cache_settings import Matching, read_matching

if TYPE_CHECKING:
    from watchllm_server.metadata import Metadata

_T = TypeVar("_T")
_TTL: Final = "cache_ttl"
_MATCHING: Final = "cache_semantic"


class Rules:
    """Know a project's rules: as the route is set, else the project, else the server.

    `seconds` and `matching` are the server's. What projects say is in memory and as old as the
    last `refresh`. Safe to use from any thread.
    """

    def __init__(
        self, metadata: Metadata, seconds: float, matching: Matching | None = None
    ) -> None:
        self._metadata = metadata
        self._seconds = seconds
        self._matching = matching or Matching("shadow")
        self._said: dict[tuple[str, str, str], Any] = {}

    def seconds(self, project_id: str, route: str) -> float:
        """Return for how many seconds an answer of a project's route is kept; 0 keeps none."""
        return self._rule(_TTL, project_id, route, self._seconds)

    def matching(self, project_id: str, route: str) -> Matching:
        """Return how questions of a project's route are matched by their meaning."""
        return self._rule(_MATCHING, project_id, route, self._matching)

    @property
    def matches(self) -> bool:
        """Say whether anyone's questions are matched by their meaning."""
        said = [rule for (name, *_), rule in self._said.items() if name == _MATCHING]
        return any(matching.mode != "off" for matching in (self._matching, *said))

    def refresh(self) -> None:
        """Read anew what projects say. Raises MetadataUnavailableError while that is away."""
        said: dict[tuple[str, str, str], Any] = {}
        for project in self._metadata.projects():
            seconds, matching = project.cache_ttl, project.cache_semantic
            if seconds is not None:
                said[_TTL, project.id, ""] = seconds
            if matching is not None:
                said[_MATCHING, project.id, ""] = read_matching(matching)
            for route, value in (project.cache_ttl_routes or {}).items():
                said[_TTL, project.id, route] = value
            for route, text in (project.cache_semantic_routes or {}).items():
                said[_MATCHING, project.id, route] = read_matching(text)
        self._said = said

    def _rule(self, name: str, project_id: str, route: str, otherwise: _T) -> _T:
        said = self._said
        found: _T = said.get((name, project_id, route), said.get((name, project_id, ""), otherwise))
        return found
