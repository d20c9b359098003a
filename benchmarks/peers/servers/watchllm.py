"""WatchLLM's server, with its embedded store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from measured import KEY, PROJECT, disk_of

from servers.server import Server, ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AUTHORIZATION = {"Authorization": f"Bearer {KEY}"}


class WatchLLM(Server):
    """`watchllm serve` with its defaults."""

    name = "WatchLLM"
    environment = "watchllm-server"
    distribution = "watchllm-server"
    ready = "/readyz"

    def command(self, directory: Path, port: int) -> list[str]:
        """Start the installed wheel."""
        serve = [str(self.python), "-m", "watchllm", "serve"]
        return [*serve, "--port", str(port), "--data-dir", str(directory)]

    def variables(self, directory: Path, port: int) -> dict[str, str]:  # noqa: ARG002 - as named
        """Give the first project and its key."""
        return {"WATCHLLM_INIT_PROJECT_ID": PROJECT, "WATCHLLM_INIT_API_KEY": KEY}

    def count(self, port: int) -> int:
        """Return the events of the totals."""
        stats = ask(port, "/v1/analytics/stats", headers=AUTHORIZATION)
        return int(stats["stats"]["events"])

    def disk_bytes(self, directory: Path) -> int:
        """Leave out the files that merges have replaced: they are deleted within ten minutes."""
        return disk_of(directory).bytes

    def newest(self, port: int) -> int:
        """Ask for the newest events, with their texts."""
        return self._query(port, limit=50)

    def searches(self) -> dict[str, Callable[[int, str], int]]:
        """Look for a whole word, by its index, or for any part of a text."""
        return {
            "words": lambda port, text: self._query(port, text_search=text),
            "substring": lambda port, text: self._query(port, text_search=text, mode="substring"),
        }

    def _query(self, port: int, **question: Any) -> int:
        return len(ask(port, "/v1/events/query", question, AUTHORIZATION)["events"])
