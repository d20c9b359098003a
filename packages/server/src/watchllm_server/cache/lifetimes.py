"""For how long an answer is kept where its request does not say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchllm_server.metadata import Metadata


class Lifetimes:
    """Know how long answers are kept: as the route is set, else the project, else the server.

    `seconds` is the server's. What projects say is in memory and as old as the last `refresh`.
    Safe to use from any thread.
    """

    def __init__(self, metadata: Metadata, seconds: float) -> None:
        self._metadata = metadata
        self._seconds = seconds
        self._routes: dict[tuple[str, str], int] = {}
        self._projects: dict[str, int] = {}

    def seconds(self, project_id: str, route: str) -> float:
        """Return for how many seconds an answer of a project's route is kept; 0 keeps none."""
        found = self._routes.get((project_id, route))
        return self._projects.get(project_id, self._seconds) if found is None else found

    def refresh(self) -> None:
        """Read anew what projects say. Raises MetadataUnavailableError while that is away."""
        projects = self._metadata.projects()
        self._projects = {
            project.id: project.cache_ttl for project in projects if project.cache_ttl is not None
        }
        self._routes = {
            (project.id, route): seconds
            for project in projects
            for route, seconds in (project.cache_ttl_routes or {}).items()
        }
