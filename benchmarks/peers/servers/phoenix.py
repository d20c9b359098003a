"""Arize Phoenix, with SQLite."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from servers.process import free_port
from servers.server import Server, ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROJECT = base64.b64encode(b"Project:1").decode()  # the one that is always there
SPANS = "edges { node { spanId name startTime latencyMs tokenCountTotal %s } }"
TEXTS = "input { truncatedValue } output { truncatedValue }"


class Phoenix(Server):
    """`phoenix serve` with its defaults, asked over GraphQL as its own pages ask."""

    name = "Phoenix"
    environment = "phoenix"
    distribution = "arize-phoenix"
    ready = "/healthz"

    def command(self, directory: Path, port: int) -> list[str]:  # noqa: ARG002 - by variables
        """Start it."""
        return [str(self.home / "bin" / "phoenix"), "serve"]

    def variables(self, directory: Path, port: int) -> dict[str, str]:
        """Say where, and that nothing is to be reported to its makers."""
        return {
            "PHOENIX_WORKING_DIR": str(directory),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }

    def count(self, port: int) -> int:
        """Return the project's number of spans."""
        return int(self._project(port, "recordCount")["recordCount"])

    def newest(self, port: int) -> int:
        """Ask for the spans that started last, with the beginnings of their texts."""
        fields = SPANS % TEXTS
        asked = f"spans(first: 50, sort: {{col: startTime, dir: desc}}) {{ {fields} }}"
        return len(self._project(port, asked)["spans"]["edges"])

    def searches(self) -> dict[str, Callable[[int, str], int]]:
        """Look for a part of the input or the output."""
        return {"substring": self._search}

    def _search(self, port: int, text: str) -> int:
        condition = f"'{text}' in input.value or '{text}' in output.value"
        asked = f'spans(first: 50, filterCondition: "{condition}") {{ {SPANS % ""} }}'
        return len(self._project(port, asked)["spans"]["edges"])

    def _project(self, port: int, asked: str) -> Any:
        query = f'{{ node(id: "{PROJECT}") {{ ... on Project {{ {asked} }} }} }}'
        answer = ask(port, "/graphql", {"query": query})
        if answer.get("errors"):
            raise RuntimeError(f"it does not understand the question: {answer['errors']}")
        return answer["data"]["node"]
