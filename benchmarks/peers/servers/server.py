"""What is asked of a server that is measured, whichever it is."""

from __future__ import annotations

import json
import urllib.request
from abc import ABC, abstractmethod
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from environments import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

ANSWER_SECONDS = 60.0  # that any one question may take


class Server(Environment, ABC):
    """A product that takes spans at /v1/traces, and its own ways to ask for them.

    `ready` is the path that answers 200 once the server can be used. `searches` names the ways in
    which it looks for a text.
    """

    name: str
    ready: str
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, requirements: tuple[str, ...] = ()) -> None:
        self.requirements = requirements

    @abstractmethod
    def command(self, directory: Path, port: int) -> list[str]:
        """Return what starts it on a port, its data in a directory."""

    def variables(self, directory: Path, port: int) -> dict[str, str]:  # noqa: ARG002 - for others
        """Return environment variables that it is started with."""
        return {}

    @abstractmethod
    def count(self, port: int) -> int:
        """Return how many spans it has, as it tells its own users."""

    def disk_bytes(self, directory: Path) -> int:
        """Return what its data takes."""
        sizes = []
        for path in directory.rglob("*"):
            with suppress(FileNotFoundError):  # journals come and go
                if path.is_file():
                    sizes.append(path.stat().st_size)
        return sum(sizes)

    @abstractmethod
    def newest(self, port: int) -> int:
        """Ask for its list of what came last, at most 50; return how many there are."""

    @abstractmethod
    def searches(self) -> dict[str, Callable[[int, str], int]]:
        """Return its ways to look for a text: (port, text) -> how much of a page was found."""


def ask(
    port: int, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> Any:
    """Return the JSON of an answer; a body makes it a POST."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json", **(headers or {})},
    )
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)
